//! Small rewrites that make DataFusion's planner mean what Flink means.
//!
//! On syntax, before planning: intervals in one plain form, `1e3` a DOUBLE, names for columns without
//! one, calls for forms with words. On the logical plan, after: an integer literal that fits is INT, a decimal
//! literal has a digit before its point, casts with Flink's results, and (in `operator`, `branch`) operators and
//! branches by Flink's rules of types, aggregates in OVER by their own.

mod aggregate;
mod branch;
mod common;
pub(crate) mod families;
mod names;
mod operator;
mod over;
mod quantified;
mod type_name;
mod unnest;

pub(crate) use names::tell_apart;

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ExprSchema, Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, ScalarUDF, lit};
use datafusion::sql::sqlparser::ast::{self, Spanned, Value, ValueWithSpan, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::Span as TokenSpan;

use crate::error::Error;
use crate::sql::collections;
use crate::sql::interval;
use crate::sql::mark::{mark, unmarked, without_row};
use crate::sql::parser::dialect::{MAP_CONSTRUCTOR, call};
use crate::sql::parser::names::is_character_set;
use crate::sql::parser::types::arrow_type_of;
use crate::sql::places::{from_parser, span_of};
use crate::sql::registry::Registry;
use crate::table::DIGITS;

/// Rewrites syntax in place.
///
/// # Errors
/// `Sql` for each literal that cannot be read.
pub(crate) fn prepare<V: VisitMut>(syntax: &mut V, registry: &Registry) -> Vec<Error> {
    let mut preparation = Preparation { registry, errors: Vec::new() };
    let ControlFlow::Continue(()) = syntax.visit(&mut preparation);
    preparation.errors
}

struct Preparation<'a> {
    registry: &'a Registry,
    errors: Vec<Error>,
}

impl VisitorMut for Preparation<'_> {
    type Break = Infallible;

    fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<Infallible> {
        unnest::nest(&mut select.from);
        collections::flatten_keys(&mut select.group_by);
        names::name_columns(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<Infallible> {
        quantified::spell_out(expr);
        self.errors.extend(quantified::rows_in(expr));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<Infallible> {
        let place = span_of(expr).filter(|_| self.can_fail(expr));
        match expr {
            ast::Expr::Interval(literal) => self.errors.extend(plain_interval(literal)),
            ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, .. } => negate_interval(expr),
            ast::Expr::Floor { expr: value, field } => {
                if let Some(call) = rounded("floor_to", value, field) {
                    *expr = call;
                }
            }
            ast::Expr::Ceil { expr: value, field } => {
                if let Some(call) = rounded("ceil_to", value, field) {
                    *expr = call;
                }
            }
            ast::Expr::Cast { data_type, .. } => {
                if let Some(digits) = digits(data_type) {
                    let digits = ast::Expr::value(Value::Number(digits.to_string(), false));
                    *expr = call("flink_digits", TokenSpan::empty(), vec![take(expr), digits]);
                }
            }
            ast::Expr::TypedString(ast::TypedString {
                data_type: ast::DataType::Decimal(ast::ExactNumberInfo::None),
                value: ValueWithSpan { value: Value::SingleQuotedString(number), span },
                ..
            }) => {
                *expr = ast::Expr::Value(Value::Number(number.trim().to_owned(), false).with_span(*span));
            }
            ast::Expr::TypedString(text) => {
                self.errors.extend(no_such_day(text));
                if written_digits(text).is_some_and(|digits| digits > 6) {
                    text.data_type = ast::DataType::Timestamp(Some(9), ast::TimezoneInfo::None);
                }
                if let Some(digits) = literal_digits(text) {
                    let digits = ast::Expr::value(Value::Number(digits.to_string(), false));
                    *expr = call("flink_digits", TokenSpan::empty(), vec![take(expr), digits]);
                }
            }
            ast::Expr::Function(function) => {
                name_unit(function);
                count_rows(function);
            }
            ast::Expr::Overlay { expr: text, overlay_what, overlay_from, overlay_for } => {
                let mut arguments = vec![take(text), take(overlay_what), take(overlay_from)];
                arguments.extend(overlay_for.as_mut().map(|length| take(length)));
                *expr = call("overlay", TokenSpan::empty(), arguments);
            }
            ast::Expr::Value(value) if matches!(&value.value, Value::Number(n, _) if n.contains(['e', 'E'])) => {
                *expr = approximate(value);
            }
            ast::Expr::Value(value) => self.errors.extend(out_of_range(value)),
            ast::Expr::Prefixed { prefix, value } if is_character_set(prefix) => *expr = take(value),
            ast::Expr::Tuple(_) => collections::name_row(expr),
            ast::Expr::CompoundFieldAccess { root, access_chain } => collections::name_fields(root, access_chain),
            _ => {}
        }
        if let Some(place) = place {
            mark(expr, place);
        }
        ControlFlow::Continue(())
    }
}

impl Preparation<'_> {
    /// Whether some value may make the expression fail while a job runs.
    fn can_fail(&self, expr: &ast::Expr) -> bool {
        match expr {
            // TRY_CAST fails where no value could be cast
            ast::Expr::Cast { .. } | ast::Expr::TypedString(_) => true,
            ast::Expr::BinaryOp { left, op, right } => match op {
                ast::BinaryOperator::Divide | ast::BinaryOperator::Modulo => true,
                // a text that is compared is read in the type of the other side
                _ => is_comparison(op) && (is_text(left) || is_text(right)),
            },
            // their patterns may be none
            ast::Expr::SimilarTo { .. } | ast::Expr::Like { escape_char: Some(_), .. } => true,
            ast::Expr::Function(call) => {
                let name = call.name.to_string().replace('`', "").to_lowercase();
                call.over.is_none() && self.registry.scalar(&name).is_some()
            }
            _ => false,
        }
    }
}

/// Writes an interval in its plain form.
fn plain_interval(literal: &mut ast::Interval) -> Option<Error> {
    match interval::parse(literal) {
        Ok(length) => {
            let plain = Value::SingleQuotedString(length.plain());
            *literal.value = ast::Expr::Value(plain.with_span(literal.value.span()));
            literal.leading_field = None;
            literal.leading_precision = None;
            literal.last_field = None;
            literal.fractional_seconds_precision = None;
            None
        }
        Err(error) => Some(error.or_at(span_of(literal.value.as_ref()))),
    }
}

/// `-INTERVAL …` as one literal: DataFusion would negate the first of its two parts.
fn negate_interval(expr: &mut ast::Expr) {
    if let ast::Expr::UnaryOp { expr: value, .. } = expr
        && let ast::Expr::Interval(literal) = value.as_mut()
        && let Ok(length) = interval::parse(literal)
    {
        let plain = Value::SingleQuotedString(length.negated().plain());
        *literal.value = ast::Expr::Value(plain.with_span(literal.value.span()));
        *expr = take(value);
    }
}

/// A whole number beyond BIGINT; with a point it would be a DECIMAL. `-9223372036854775808` is read without its sign.
fn out_of_range(number: &ValueWithSpan) -> Option<Error> {
    let Value::Number(text, _) = &number.value else { return None };
    let whole = text.bytes().all(|byte| byte.is_ascii_digit());
    if !whole || text.parse::<u64>().is_ok_and(|number| number <= i64::MIN.unsigned_abs()) {
        return None;
    }
    let error = Error::sql(format!("the number \"{text}\" is out of range")).or_at(from_parser(number.span));
    let error = error.detail("A number without a point is an INT or BIGINT, and a DECIMAL has 38 digits at most.");
    let fits = text.trim_start_matches('0').len() <= usize::from(DECIMAL128_MAX_PRECISION);
    Some(if fits { error.hint(format!("write DECIMAL '{text}'")) } else { error.hint("write it as a DOUBLE: …E0") })
}

fn is_comparison(op: &ast::BinaryOperator) -> bool {
    use ast::BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

fn is_text(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(_), .. }))
}

/// A number with an exponent is a DOUBLE.
fn approximate(number: &ValueWithSpan) -> ast::Expr {
    let text = Value::SingleQuotedString(number.value.to_string()).with_span(number.span);
    ast::Expr::Cast {
        kind: ast::CastKind::Cast,
        expr: Box::new(ast::Expr::Value(text)),
        data_type: ast::DataType::Double(ast::ExactNumberInfo::None),
        array: false,
        format: None,
    }
}

/// The digits of `TIMESTAMP(1)` or `TIME(0)`, where the Arrow type behind them has more.
fn digits(data_type: &ast::DataType) -> Option<u32> {
    let declared = arrow_type_of(data_type).ok()?;
    let kept = match declared.data_type {
        DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Time32(_) => 3,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 6,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 9,
        _ => return None,
    };
    let digits = match declared.text.split_once('(') {
        Some((_, rest)) => rest.split(')').next()?.trim().parse().ok()?,
        None if declared.text == "TIME" => 0,
        None => kept,
    };
    // the digits of a TIME show in its text, whatever Arrow keeps
    let time = matches!(declared.data_type, DataType::Time32(_)) && declared.text.contains('(');
    (time || digits < kept).then_some(digits)
}

/// A DATE or TIMESTAMP literal of a day that no calendar has.
fn no_such_day(text: &ast::TypedString) -> Option<Error> {
    let (ast::DataType::Date | ast::DataType::Timestamp(..), Value::SingleQuotedString(value)) =
        (&text.data_type, &text.value.value)
    else {
        return None;
    };
    let mut parts = value.split_whitespace().next()?.splitn(3, '-').map(str::parse::<u32>);
    let mut part = || parts.next()?.ok();
    let (year, month, day) = (part()?, part()?, part()?);
    if chrono::NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day).is_some() {
        return None;
    }
    let error = Error::sql(format!("\"{value}\" is no day of the calendar")).or_at(from_parser(text.value.span));
    Some(error.hint(format!("write {} '2024-02-29', with a day that there is", text.data_type)))
}

/// The digits of the fraction of a TIMESTAMP or TIME literal, which are those of its type, if Arrow's type has others.
fn literal_digits(text: &ast::TypedString) -> Option<usize> {
    let kept = match written_digits(text)? {
        7.. => 9,
        _ if matches!(text.data_type, ast::DataType::Time(..)) => 3,
        _ => 6,
    };
    let time = matches!(text.data_type, ast::DataType::Time(..));
    written_digits(text).filter(|digits| time || *digits < kept)
}

/// The digits of the fraction of a TIMESTAMP or TIME literal.
fn written_digits(text: &ast::TypedString) -> Option<usize> {
    let (ast::DataType::Timestamp(..) | ast::DataType::Time(..), Value::SingleQuotedString(value)) =
        (&text.data_type, &text.value.value)
    else {
        return None;
    };
    Some(value.rsplit_once('.').map_or(0, |(_, fraction)| fraction.trim_end().len()))
}

/// `FLOOR(ts TO HOUR)` as a call.
fn rounded(function: &str, value: &ast::Expr, field: &ast::CeilFloorKind) -> Option<ast::Expr> {
    let ast::CeilFloorKind::DateTimeField(unit) = field else { return None };
    if *unit == ast::DateTimeField::NoDateTime {
        return None;
    }
    let unit = ast::Expr::value(Value::SingleQuotedString(unit.to_string()));
    Some(call(function, TokenSpan::empty(), vec![value.clone(), unit]))
}

fn take(expr: &mut ast::Expr) -> ast::Expr {
    std::mem::replace(expr, ast::Expr::value(Value::Null))
}

/// The unit of `TIMESTAMPADD(MONTH, …)` is a word, not a column.
fn name_unit(function: &mut ast::Function) {
    for part in &mut function.name.0 {
        if let ast::ObjectNamePart::Identifier(ident) = part {
            // functions have no case, in back-ticks neither
            ident.quote_style = None;
        }
    }
    let name = function.name.0.last().and_then(ast::ObjectNamePart::as_ident);
    let takes_unit = name.is_some_and(|name| {
        ["timestampadd", "timestampdiff"].iter().any(|known| name.value.eq_ignore_ascii_case(known))
    });
    if let ast::FunctionArguments::List(list) = &mut function.args
        && let Some(ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(unit))) = list.args.first_mut()
        && let ast::Expr::Identifier(ident) = unit
        && takes_unit
    {
        let text = Value::SingleQuotedString(ident.value.clone()).with_span(ident.span);
        *unit = ast::Expr::Value(text);
    }
}

/// `ROW_NUMBER` counts rows, in the order of any type; DataFusion's own frame takes a RANGE, which not all types have.
fn count_rows(function: &mut ast::Function) {
    if let Some(ast::WindowType::WindowSpec(spec)) = &mut function.over
        && spec.window_frame.is_none()
        && spec.window_name.is_none()
        && function.name.to_string().eq_ignore_ascii_case("row_number")
    {
        spec.window_frame = Some(ast::WindowFrame {
            units: ast::WindowFrameUnits::Rows,
            start_bound: ast::WindowFrameBound::Preceding(None),
            end_bound: Some(ast::WindowFrameBound::CurrentRow),
        });
    }
}

/// Rewrites the expressions of every node, from the leaves up. Column names do not change.
///
/// # Errors
/// What DataFusion says about types that do not fit.
pub(crate) fn rewrite_plan(plan: LogicalPlan, registry: &Registry) -> DfResult<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        if matches!(node, LogicalPlan::Limit(_)) {
            return Ok(Transformed::no(node));
        }
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        let rewrite = |expr: Expr| {
            let saved = names.save(&expr);
            let expr = expr.transform_up(|e| literal_or_cast(e, &schema, registry))?;
            Ok(expr.update_data(|e| saved.restore(e)))
        };
        let changed = node.map_expressions(|expr| match expr {
            // it has no name of its own: its members are the columns
            sets @ Expr::GroupingSet(_) => sets.map_children(rewrite),
            other => rewrite(other),
        })?;
        changed.map_data(LogicalPlan::recompute_schema)?.map_data(|node| match node {
            LogicalPlan::Union(union) => common::union(union, registry),
            LogicalPlan::Aggregate(aggregate) => aggregate::beside_variance(aggregate).map(LogicalPlan::Aggregate),
            other => Ok(other),
        })
    })?;
    let whole = rewritten.data.transform_up_with_subqueries(|node| node.map_expressions(without_row))?;
    Ok(whole.data)
}

fn literal_or_cast(expr: Expr, schema: &DFSchema, registry: &Registry) -> DfResult<Transformed<Expr>> {
    branch::check_conditions(&expr, schema)?;
    families::check(&expr, schema)?;
    aggregate::check(&expr)?;
    if let Some(compared) = collections::comparison(&expr, schema, registry)? {
        return Ok(Transformed::yes(compared));
    }
    let expr = match expr {
        Expr::ScalarFunction(call) => match unmarked(call) {
            Ok(inner) => return Ok(Transformed::yes(inner)),
            Err(call) => Expr::ScalarFunction(call),
        },
        other => other,
    };
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(n)), metadata) => Ok(match i32::try_from(n) {
            Ok(small) => Transformed::yes(Expr::Literal(ScalarValue::Int32(Some(small)), metadata)),
            Err(_) => Transformed::no(Expr::Literal(ScalarValue::Int64(Some(n)), metadata)),
        }),
        Expr::Literal(ScalarValue::Decimal128(Some(n), precision, scale), metadata)
            if i16::from(precision) == i16::from(scale) && precision < 38 =>
        {
            Ok(Transformed::yes(Expr::Literal(ScalarValue::Decimal128(Some(n), precision + 1, scale), metadata)))
        }
        Expr::Cast(cast) if *cast.field.data_type() == DataType::Utf8 && digits_of(&cast.expr, schema).is_some() => {
            let digits = lit(digits_of(&cast.expr, schema).unwrap_or(0));
            let typed = Expr::Literal(ScalarValue::Utf8(None), None);
            call_of("flink_cast_digits", vec![*cast.expr, typed, digits], registry).map(Transformed::yes)
        }
        Expr::Cast(cast) => {
            let from = cast.expr.get_type(schema)?;
            match self::cast(&cast.expr, &from, cast.field.data_type(), registry) {
                Some(call) => Ok(Transformed::yes(call?)),
                None => Ok(Transformed::no(Expr::Cast(cast))),
            }
        }
        Expr::TryCast(cast) => {
            let from = cast.expr.get_type(schema)?;
            let function = registry.scalar("flink_try_cast").filter(|_| differs(&from, cast.field.data_type()));
            match function {
                Some(function) => Ok(Transformed::yes(cast_call(function, *cast.expr, cast.field.data_type())?)),
                None => Ok(Transformed::no(Expr::TryCast(cast))),
            }
        }
        Expr::BinaryExpr(binary) => operator::binary(binary, schema, registry),
        Expr::Negative(value) if !matches!(*value, Expr::Literal(..)) => operator::negative(value, schema, registry),
        Expr::Between(between) => operator::between(between, schema, registry),
        Expr::InList(list) => operator::in_list(list, schema, registry),
        Expr::Not(inner) => operator::not(inner, registry),
        Expr::Like(like) => operator::like("like", like, registry),
        Expr::SimilarTo(like) => operator::like("similar_to", like, registry),
        Expr::WindowFunction(window) => over::window(window, schema),
        Expr::Case(case) => branch::case(case, schema, registry),
        Expr::ScalarFunction(call) if branch::chooses(call.name()) => branch::function(call, schema, registry),
        Expr::ScalarFunction(call) if call.name() == MAP_CONSTRUCTOR => Ok(each_key_once(call)),
        Expr::ScalarFunction(call) if call.name() == "overlaps" => operator::overlaps(call, schema, registry),
        Expr::ScalarFunction(call) if call.name() == "flink_digits" && call.args.len() == 2 => cut(call, schema),
        Expr::ScalarFunction(call) if call.name() == "typeof" => {
            let value = call.args.first().map(|value| type_name::type_name(value, schema)).transpose()?;
            Ok(Transformed::yes(lit(value.unwrap_or_default())))
        }
        // The digits kept decide the type, and are known to the planner only as the very literal the function takes.
        Expr::ScalarFunction(mut call) if matches!(call.name(), "round" | "truncate") => {
            if let Some(Expr::Literal(digits @ ScalarValue::Int32(Some(_)), _)) = call.args.get_mut(1) {
                *digits = digits.cast_to(&DataType::Int64)?;
            }
            Ok(Transformed::yes(Expr::ScalarFunction(call)))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// `MAP['a', 1, 'a', 2]`: of keys that are written alike the last one counts, at the place of the first. Keys that turn out
/// equal are all there, as in Flink.
fn each_key_once(mut call: ScalarFunction) -> Transformed<Expr> {
    if !call.args.len().is_multiple_of(2) {
        return Transformed::no(Expr::ScalarFunction(call));
    }
    let mut pairs: Vec<[Expr; 2]> = Vec::with_capacity(call.args.len() / 2);
    let mut arguments = std::mem::take(&mut call.args).into_iter();
    while let (Some(key), Some(value)) = (arguments.next(), arguments.next()) {
        match pairs.iter_mut().find(|[known, _]| *known == key) {
            Some([_, known]) => *known = value,
            None => pairs.push([key, value]),
        }
    }
    call.args = pairs.into_iter().flatten().collect();
    Transformed::yes(Expr::ScalarFunction(call))
}

/// Cuts the digits of a cast where Flink does: of text after the cast, of a time stamp on its way to a TIME before.
fn cut(mut call: ScalarFunction, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    let digits = call.args[1].clone();
    if let Some(Expr::ScalarFunction(cast)) = call.args.first_mut()
        && cast.name().ends_with("_cast")
        && let [value, to] = &mut cast.args[..]
    {
        let (from, to) = (value.get_type(schema)?, to.get_type(schema)?);
        if from.is_string() {
            call.args.push(lit(true));
            return Ok(Transformed::yes(Expr::ScalarFunction(call)));
        }
        let cuts = matches!(value, Expr::ScalarFunction(inner) if inner.name() == "flink_digits");
        if matches!(from, DataType::Timestamp(_, None)) && !matches!(to, DataType::Timestamp(..)) && !cuts {
            *value = call.func.call(vec![std::mem::replace(value, lit(ScalarValue::Null)), digits]);
            return Ok(Transformed::yes(Expr::ScalarFunction(call)));
        }
    }
    Ok(Transformed::no(Expr::ScalarFunction(call)))
}

/// The digits of a time that was cast or declared with fewer than its Arrow type has.
fn digits_of(expr: &Expr, schema: &DFSchema) -> Option<i64> {
    match expr {
        Expr::Column(column) => {
            let field = schema.field_from_column(column).ok()?;
            field.metadata().get(DIGITS)?.parse().ok()
        }
        Expr::ScalarFunction(call) if call.name() == "flink_digits" => match call.args.get(1)? {
            Expr::Literal(digits, _) => match digits.cast_to(&DataType::Int64).ok()? {
                ScalarValue::Int64(digits) => digits,
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// A cast with Flink's results, where there is a function for it and it differs from DataFusion's.
pub(crate) fn cast(value: &Expr, from: &DataType, to: &DataType, registry: &Registry) -> Option<DfResult<Expr>> {
    let function = registry.scalar("flink_cast").filter(|_| differs(from, to))?;
    Some(cast_call(function, value.clone(), to))
}

/// A cast with Flink's results: the type is that of a NULL in the second argument.
fn cast_call(function: &Arc<ScalarUDF>, value: Expr, to: &DataType) -> DfResult<Expr> {
    let typed = Expr::Literal(ScalarValue::try_from(to)?, None);
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), vec![value, typed])))
}

/// `value` as another type, by Flink's rules where they differ.
fn converted(value: Expr, from: &DataType, to: &DataType, registry: &Registry) -> DfResult<Expr> {
    if from == to {
        return Ok(value);
    }
    match cast(&value, from, to, registry) {
        Some(call) => call,
        None => Ok(Expr::Cast(Cast::new(Box::new(value), to.clone()))),
    }
}

/// A call of one of our functions.
fn call_of(name: &str, arguments: Vec<Expr>, registry: &Registry) -> DfResult<Expr> {
    let function = registry.scalar(name).ok_or_else(|| Error::internal(format!("no function \"{name}\"")))?;
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), arguments)))
}

/// Whether Flink's cast is not DataFusion's: all but those that cannot lose anything.
fn differs(from: &DataType, to: &DataType) -> bool {
    let widens = match (from, to) {
        (DataType::Null, _) => true,
        (DataType::Int8, DataType::Int16 | DataType::Int32 | DataType::Int64) => true,
        (DataType::Int16, DataType::Int32 | DataType::Int64) => true,
        (DataType::Int32, DataType::Int64 | DataType::Float64) => true,
        (DataType::Float32, DataType::Float64) => true,
        _ => from == to,
    };
    !widens
}
