//! Small rewrites that make DataFusion's planner mean what Flink means.
//!
//! On syntax, before planning: intervals in one plain form, `1e3` a DOUBLE, names for columns without
//! one. On the logical plan, after: an integer literal that fits is INT, a decimal literal has a digit
//! before its point, casts with Flink's results.

use std::collections::HashSet;
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::{Between, BinaryExpr, Cast, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF};
use datafusion::sql::sqlparser::ast::{self, Ident, SelectItem, Value, VisitMut, VisitorMut};

use crate::error::Error;
use crate::sql::collections;
use crate::sql::planner::context::Registry;
use crate::sql::planner::errors::span_of;
use crate::sql::planner::{interval, unnest};

/// Rewrites syntax in place.
///
/// # Errors
/// `Sql` for each literal that cannot be read.
pub(crate) fn prepare<V: VisitMut>(syntax: &mut V) -> Vec<Error> {
    let mut preparation = Preparation { errors: Vec::new() };
    let ControlFlow::Continue(()) = syntax.visit(&mut preparation);
    preparation.errors
}

struct Preparation {
    errors: Vec<Error>,
}

impl VisitorMut for Preparation {
    type Break = Infallible;

    fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<Infallible> {
        unnest::nest(&mut select.from);
        collections::flatten_keys(&mut select.group_by);
        name_columns(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<Infallible> {
        match expr {
            ast::Expr::Interval(literal) => match interval::parse(literal) {
                Ok(length) => {
                    if let ast::Expr::Value(value) = literal.value.as_mut() {
                        value.value = Value::SingleQuotedString(length.plain());
                    } else {
                        *literal.value = ast::Expr::value(Value::SingleQuotedString(length.plain()));
                    }
                    literal.leading_field = None;
                    literal.leading_precision = None;
                    literal.last_field = None;
                    literal.fractional_seconds_precision = None;
                }
                Err(error) => self.errors.push(error.or_at(span_of(expr))),
            },
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
            ast::Expr::Value(value) if matches!(&value.value, Value::Number(n, _) if n.contains(['e', 'E'])) => {
                if let Value::Number(number, _) = &value.value {
                    let text = Value::SingleQuotedString(number.clone()).with_span(value.span);
                    *expr = ast::Expr::Cast {
                        kind: ast::CastKind::Cast,
                        expr: Box::new(ast::Expr::Value(text)),
                        data_type: ast::DataType::Double(ast::ExactNumberInfo::None),
                        array: false,
                        format: None,
                    };
                }
            }
            ast::Expr::Tuple(_) => collections::name_row(expr),
            ast::Expr::CompoundFieldAccess { root, access_chain } => collections::name_fields(root, access_chain),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `FLOOR(ts TO HOUR)` as a call.
fn rounded(function: &str, value: &ast::Expr, field: &ast::CeilFloorKind) -> Option<ast::Expr> {
    let ast::CeilFloorKind::DateTimeField(unit) = field else { return None };
    if *unit == ast::DateTimeField::NoDateTime {
        return None;
    }
    let unit = ast::Expr::value(Value::SingleQuotedString(unit.to_string()));
    let argument = |expr| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr));
    Some(ast::Expr::Function(ast::Function {
        name: ast::ObjectName::from(vec![Ident::new(function)]),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args: ast::FunctionArguments::List(ast::FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![argument(value.clone()), argument(unit)],
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    }))
}

/// Gives columns without a name the name Flink gives them: `EXPR$0` by place, and `a0` for a second `a`.
fn name_columns(items: &mut [SelectItem]) {
    let mut seen = HashSet::new();
    for (i, item) in items.iter_mut().enumerate() {
        let (expr, name) = match item {
            SelectItem::ExprWithAlias { alias, .. } => {
                seen.insert(alias.value.clone());
                continue;
            }
            SelectItem::UnnamedExpr(expr) => match expr {
                ast::Expr::Identifier(ident) if seen.insert(ident.value.clone()) => continue,
                ast::Expr::Identifier(ident) => {
                    let name = unused(&ident.value, &mut seen);
                    (expr, name)
                }
                ast::Expr::CompoundIdentifier(idents) => {
                    let last = idents.last().map(|ident| ident.value.clone()).unwrap_or_default();
                    let name = if seen.insert(last.clone()) { last } else { unused(&last, &mut seen) };
                    (expr, name)
                }
                _ => (expr, format!("EXPR${i}")),
            },
            _ => continue,
        };
        let placeholder = ast::Expr::value(Value::Null);
        *item = SelectItem::ExprWithAlias { expr: std::mem::replace(expr, placeholder), alias: Ident::new(name) };
    }
}

fn unused(name: &str, seen: &mut HashSet<String>) -> String {
    let free = (0..).map(|n| format!("{name}{n}")).find(|candidate| !seen.contains(candidate));
    let free = free.unwrap_or_else(|| name.to_owned());
    seen.insert(free.clone());
    free
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
        let changed = node.map_expressions(|expr| {
            let saved = names.save(&expr);
            let expr = expr.transform_up(|e| literal_or_cast(e, &schema, registry))?;
            Ok(expr.update_data(|e| saved.restore(e)))
        })?;
        changed.map_data(LogicalPlan::recompute_schema)
    })?;
    Ok(rewritten.data)
}

fn literal_or_cast(expr: Expr, schema: &DFSchema, registry: &Registry) -> DfResult<Transformed<Expr>> {
    if let Some(compared) = collections::comparison(&expr, schema, registry)? {
        return Ok(Transformed::yes(compared));
    }
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
        Expr::BinaryExpr(binary) if binary.op.is_numerical_operators() || binary.op.supports_propagation() => {
            let (left, right) = (binary.left.get_type(schema)?, binary.right.get_type(schema)?);
            if !approximate(&left) && !approximate(&right) {
                let decimal = [&left, &right].into_iter().any(|side| matches!(side, DataType::Decimal128(..)));
                let function = registry.scalar("decimal_divide").filter(|_| decimal && binary.op == Operator::Divide);
                return Ok(match function {
                    Some(function) => Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(
                        Arc::clone(function),
                        vec![*binary.left, *binary.right],
                    ))),
                    None => Transformed::no(Expr::BinaryExpr(binary)),
                });
            }
            let left = as_double(*binary.left, &left);
            let right = as_double(*binary.right, &right);
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), binary.op, Box::new(right)))))
        }
        // The digits kept decide the type, and are known to the planner only as the very literal the function takes.
        Expr::ScalarFunction(mut call) if matches!(call.name(), "round" | "truncate") => {
            if let Some(Expr::Literal(digits @ ScalarValue::Int32(Some(_)), _)) = call.args.get_mut(1) {
                *digits = digits.cast_to(&DataType::Int64)?;
            }
            Ok(Transformed::yes(Expr::ScalarFunction(call)))
        }
        Expr::Between(between) if approximate(&between.expr.get_type(schema)?) => {
            let (low, high) = (between.low.get_type(schema)?, between.high.get_type(schema)?);
            Ok(Transformed::yes(Expr::Between(Between::new(
                between.expr,
                between.negated,
                Box::new(as_double(*between.low, &low)),
                Box::new(as_double(*between.high, &high)),
            ))))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn approximate(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

/// A DECIMAL beside a DOUBLE is a DOUBLE; DataFusion would make both DECIMAL, which has no NaN and an end.
fn as_double(expr: Expr, data_type: &DataType) -> Expr {
    match (expr, data_type) {
        (Expr::Literal(ScalarValue::Decimal128(Some(n), _, scale), metadata), _) => {
            // the text of a decimal reads as the nearest double
            let nearest = format!("{n}e{}", -i32::from(scale)).parse().ok();
            Expr::Literal(ScalarValue::Float64(nearest), metadata)
        }
        (expr, DataType::Decimal128(..)) => Expr::Cast(Cast::new(Box::new(expr), DataType::Float64)),
        (expr, _) => expr,
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
    !widens && (!to.is_nested() || from.is_nested())
}
