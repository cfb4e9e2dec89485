//! Operators by Flink's rules of types: what is computed in which type, and what a comparison of two types means.
//!
//! Operators that DataFusion computes as Flink does stay as they are; others become calls of our functions.

use arrow::datatypes::{DECIMAL256_MAX_PRECISION, DataType};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::{Between, BinaryExpr, Cast, InList, Like, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, lit};

use super::common::least_restrictive;
use super::{call_of, converted};
use crate::error::Error;
use crate::sql::registry::Registry;
use crate::sql::types::flink_type;

/// FLOAT or DOUBLE.
pub(super) fn approximate(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

/// DECIMAL.
pub(super) fn decimal(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal128(..))
}

/// A number as DOUBLE or FLOAT; a literal becomes one.
pub(super) fn to_approximate(expr: Expr, from: &DataType, to: &DataType, registry: &Registry) -> DfResult<Expr> {
    Ok(match expr {
        Expr::Literal(ScalarValue::Decimal128(Some(n), _, scale), metadata) => {
            // the text of a decimal reads as the nearest double
            let nearest: Option<f64> = format!("{n}e{}", -i32::from(scale)).parse().ok();
            match to {
                DataType::Float32 => Expr::Literal(ScalarValue::Float32(nearest.map(|x| x as f32)), metadata),
                _ => Expr::Literal(ScalarValue::Float64(nearest), metadata),
            }
        }
        Expr::Literal(ScalarValue::Int32(Some(n)), metadata) if *to == DataType::Float64 => {
            Expr::Literal(ScalarValue::Float64(Some(f64::from(n))), metadata)
        }
        expr if from == to => expr,
        expr if decimal(from) => converted(expr, from, to, registry)?,
        expr => Expr::Cast(Cast::new(Box::new(expr), to.clone())),
    })
}

fn apply(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

/// `left op right`.
pub(super) fn binary(binary: BinaryExpr, schema: &DFSchema, registry: &Registry) -> DfResult<Transformed<Expr>> {
    let (from, to) = (binary.left.get_type(schema)?, binary.right.get_type(schema)?);
    let sides = Sides { left: from, right: to, registry };
    if binary.op.is_numerical_operators() {
        return sides.arithmetic(binary);
    }
    if binary.op.supports_propagation() || matches!(binary.op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom) {
        return sides.comparison(binary);
    }
    Ok(Transformed::no(Expr::BinaryExpr(binary)))
}

/// `-value`: the least integer is its own opposite, as in Java.
pub(super) fn negative(value: Box<Expr>, schema: &DFSchema, registry: &Registry) -> DfResult<Transformed<Expr>> {
    let data_type = value.get_type(schema)?;
    if !data_type.is_signed_integer() {
        return Ok(Transformed::no(Expr::Negative(value)));
    }
    let zero = Box::new(lit(ScalarValue::new_zero(&data_type)?));
    binary(BinaryExpr::new(zero, Operator::Minus, value), schema, registry).map(|minus| Transformed::yes(minus.data))
}

/// Whether an interval is one of months; `None`: it is none, or one that does not say.
fn is_of_months(expr: &Expr) -> Option<bool> {
    match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(length)), _) => {
            let days = length.days != 0 || length.nanoseconds != 0;
            (days || length.months != 0).then_some(!days)
        }
        Expr::Alias(alias) => is_of_months(&alias.expr),
        Expr::Negative(value) => is_of_months(value),
        Expr::ScalarFunction(call) if call.name().starts_with("interval_") => call.args.iter().find_map(is_of_months),
        _ => None,
    }
}

/// Refuses months beside days: no number of days is a month.
fn one_family(binary: &BinaryExpr) -> DfResult<()> {
    match (is_of_months(&binary.left), is_of_months(&binary.right)) {
        (Some(left), Some(right)) if left != right => {
            Err(Error::sql("an INTERVAL of months and one of days do not go together")
                .detail("A month is no number of days.")
                .hint("add one after the other to a time stamp: ts + INTERVAL '1' MONTH + INTERVAL '1' DAY")
                .into())
        }
        _ => Ok(()),
    }
}

/// Refuses a comparison of a day with a time stamp, and of either with a number.
fn one_kind(left: &DataType, right: &DataType) -> DfResult<()> {
    let day = |t: &DataType| *t == DataType::Date32;
    let stamp = |t: &DataType| matches!(t, DataType::Timestamp(..));
    let apart =
        |one: &DataType, other: &DataType| day(one) && stamp(other) || one.is_numeric() && (day(other) || stamp(other));
    if !apart(left, right) && !apart(right, left) {
        return Ok(());
    }
    Err(Error::sql(format!("{} and {} cannot be compared", flink_type(left), flink_type(right)))
        .hint("convert one of them with CAST(… AS type)")
        .into())
}

/// The types of an operator's sides.
struct Sides<'a> {
    left: DataType,
    right: DataType,
    registry: &'a Registry,
}

impl Sides<'_> {
    fn either(&self, is: impl Fn(&DataType) -> bool) -> bool {
        is(&self.left) || is(&self.right)
    }

    fn arithmetic(&self, binary: BinaryExpr) -> DfResult<Transformed<Expr>> {
        if self.either(|t| matches!(t, DataType::Interval(_))) {
            one_family(&binary)?;
            return self.interval(binary);
        }
        if self.either(approximate) {
            return self.approximate(binary).map(Transformed::yes);
        }
        let exact = |t: &DataType| decimal(t) || t.is_signed_integer();
        if !exact(&self.left) || !exact(&self.right) {
            return Ok(Transformed::no(Expr::BinaryExpr(binary)));
        }
        let name = match binary.op {
            Operator::Modulo => "mod",
            Operator::Divide if !self.either(decimal) => "integer_divide",
            _ if !self.either(decimal) => return Ok(Transformed::no(Expr::BinaryExpr(binary))),
            Operator::Plus => "decimal_add",
            Operator::Minus => "decimal_subtract",
            Operator::Multiply => "decimal_multiply",
            Operator::Divide => "decimal_divide",
            _ => return Ok(Transformed::no(Expr::BinaryExpr(binary))),
        };
        call_of(name, vec![*binary.left, *binary.right], self.registry).map(Transformed::yes)
    }

    /// FLOAT beside an integer stays FLOAT, beside a DECIMAL it is DOUBLE; FLOAT with DOUBLE has the type of the left.
    fn approximate(&self, binary: BinaryExpr) -> DfResult<Expr> {
        if binary.op == Operator::Modulo {
            return Err(Error::sql("% does not take FLOAT and DOUBLE")
                .hint("write a - b * FLOOR(a / b), or CAST both AS DECIMAL")
                .into());
        }
        let wide = |t: &DataType| *t == DataType::Float64;
        let float =
            self.left == DataType::Float32 && !decimal(&self.right) || !self.either(decimal) && !self.either(wide);
        let within = if float { DataType::Float32 } else { DataType::Float64 };
        let left = to_approximate(*binary.left, &self.left, &within, self.registry)?;
        let right = to_approximate(*binary.right, &self.right, &within, self.registry)?;
        Ok(apply(left, binary.op, right))
    }

    /// DATE, TIME and time stamps with intervals.
    fn interval(&self, binary: BinaryExpr) -> DfResult<Transformed<Expr>> {
        let time = |t: &DataType| {
            matches!(t, DataType::Date32 | DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_))
        };
        let (left, op, right) = (*binary.left, binary.op, *binary.right);
        let changed = match op {
            Operator::Plus | Operator::Minus if time(&self.left) => {
                if is_of_ms(&right, &self.left) {
                    return Ok(Transformed::no(apply(left, op, right)));
                }
                let name = if op == Operator::Plus { "time_add" } else { "time_subtract" };
                call_of(name, vec![left, right], self.registry)?
            }
            Operator::Plus if time(&self.right) => call_of("time_add", vec![right, left], self.registry)?,
            Operator::Plus => call_of("interval_add", vec![left, right], self.registry)?,
            Operator::Minus if !time(&self.right) => call_of("interval_subtract", vec![left, right], self.registry)?,
            _ => return Ok(Transformed::no(apply(left, op, right))),
        };
        Ok(Transformed::yes(changed))
    }

    fn comparison(&self, binary: BinaryExpr) -> DfResult<Transformed<Expr>> {
        one_family(&binary)?;
        one_kind(&self.left, &self.right)?;
        let BinaryExpr { left, op, right } = binary;
        let (left, right) = (*left, *right);
        if self.either(approximate) && !self.either(DataType::is_string) {
            return self.compare_approximate(left, op, right);
        }
        let text = |t: &DataType| t.is_string();
        let read = |t: &DataType| t.is_numeric() || t.is_temporal() || *t == DataType::Boolean;
        if text(&self.left) && read(&self.right) {
            let left = converted(left, &self.left, &self.right, self.registry)?;
            let sides = Sides { left: self.right.clone(), right: self.right.clone(), registry: self.registry };
            return sides.comparison(BinaryExpr::new(Box::new(left), op, Box::new(right))).map(yes);
        }
        if text(&self.right) && read(&self.left) {
            let right = converted(right, &self.right, &self.left, self.registry)?;
            let sides = Sides { left: self.left.clone(), right: self.left.clone(), registry: self.registry };
            return sides.comparison(BinaryExpr::new(Box::new(left), op, Box::new(right))).map(yes);
        }
        if let Some(wide) = wide_decimal(&self.left, &self.right) {
            let cast = |expr: Expr| Expr::Cast(Cast::new(Box::new(expr), wide.clone()));
            return Ok(Transformed::yes(apply(cast(left), op, cast(right))));
        }
        Ok(Transformed::no(apply(left, op, right)))
    }

    /// Java compares numbers so that NaN equals nothing; in the order beside a DECIMAL it is the largest, and -0.0 less
    /// than 0.0.
    fn compare_approximate(&self, left: Expr, op: Operator, right: Expr) -> DfResult<Transformed<Expr>> {
        let name = match op {
            Operator::Eq => "equal",
            Operator::NotEq => "not_equal",
            Operator::Lt => "less",
            Operator::LtEq => "less_or_equal",
            Operator::Gt => "greater",
            Operator::GtEq => "greater_or_equal",
            Operator::IsDistinctFrom => "distinct",
            Operator::IsNotDistinctFrom => "not_distinct",
            _ => return Ok(Transformed::no(apply(left, op, right))),
        };
        let number = |t: &DataType| t.is_numeric() || t.is_null();
        if !number(&self.left) || !number(&self.right) {
            return Ok(Transformed::no(apply(left, op, right)));
        }
        if let Some(known) = itself(&left, op, &right) {
            return Ok(Transformed::yes(known));
        }
        let equality = matches!(op, Operator::Eq | Operator::NotEq);
        let order = if self.either(decimal) && !equality { "total" } else { "double" };
        // an integer beside a FLOAT is rounded to one
        let within = |own: &DataType, other: &DataType| {
            if *other == DataType::Float32 && own.is_integer() { DataType::Float32 } else { own.clone() }
        };
        let place = |expr: Expr, own: &DataType, other: &DataType| -> DfResult<Expr> {
            let within = within(own, other);
            let expr = if within == *own { expr } else { to_approximate(expr, own, &within, self.registry)? };
            to_approximate(expr, &within, &DataType::Float64, self.registry)
        };
        let left = place(left, &self.left, &self.right)?;
        let right = place(right, &self.right, &self.left)?;
        call_of(&format!("{order}_{name}"), vec![left, right], self.registry).map(Transformed::yes)
    }
}

fn yes(transformed: Transformed<Expr>) -> Transformed<Expr> {
    Transformed::yes(transformed.data)
}

/// An interval literal that DataFusion adds to a time stamp as Flink does: one without months, and beside a zone without
/// days, which are 24 hours to Flink and days of the calendar to Arrow.
fn is_of_ms(interval: &Expr, time: &DataType) -> bool {
    let DataType::Timestamp(_, zone) = time else { return false };
    matches!(interval, Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(i)), _)
        if i.months == 0 && (i.days == 0 || zone.is_none()))
}

/// The type in which two DECIMALs can be compared, where 38 digits are too few.
fn wide_decimal(left: &DataType, right: &DataType) -> Option<DataType> {
    let of = |t: &DataType| match t {
        DataType::Decimal128(precision, scale) => Some((i16::from(*precision), i16::from(*scale))),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => Some((10, 0)),
        DataType::Int64 => Some((20, 0)),
        _ => None,
    };
    if !decimal(left) && !decimal(right) {
        return None;
    }
    let ((p1, s1), (p2, s2)) = (of(left)?, of(right)?);
    let scale = s1.max(s2);
    let precision = (p1 - s1).max(p2 - s2) + scale;
    (precision > 38).then_some(DataType::Decimal256(DECIMAL256_MAX_PRECISION, i8::try_from(scale).ok()?))
}

/// Whether DataFusion compares the types as Flink does.
fn plain(left: &DataType, right: &DataType) -> bool {
    let text = left.is_string() != right.is_string() && !left.is_null() && !right.is_null();
    !approximate(left) && !approximate(right) && !text && wide_decimal(left, right).is_none()
}

/// `x BETWEEN low AND high`, as two comparisons where the types ask for it.
pub(super) fn between(between: Between, schema: &DFSchema, registry: &Registry) -> DfResult<Transformed<Expr>> {
    let own = between.expr.get_type(schema)?;
    one_kind(&own, &between.low.get_type(schema)?)?;
    one_kind(&own, &between.high.get_type(schema)?)?;
    if plain(&own, &between.low.get_type(schema)?) && plain(&own, &between.high.get_type(schema)?) {
        return Ok(Transformed::no(Expr::Between(between)));
    }
    let types = [between.low.get_type(schema)?, between.high.get_type(schema)?];
    // one DECIMAL makes both bounds DECIMALs
    let total = approximate(&own) && types.iter().any(decimal);
    let [low, high] = types;
    let side = |op: Operator, bound: Expr, from: &DataType| -> DfResult<Expr> {
        let bound = if total && from.is_integer() { as_decimal(bound) } else { bound };
        let comparison = BinaryExpr::new(between.expr.clone(), op, Box::new(bound));
        Ok(binary(comparison, schema, registry)?.data)
    };
    // not NOT (…): NaN is neither within nor outside
    Ok(Transformed::yes(if between.negated {
        side(Operator::Lt, *between.low, &low)?.or(side(Operator::Gt, *between.high, &high)?)
    } else {
        side(Operator::GtEq, *between.low, &low)?.and(side(Operator::LtEq, *between.high, &high)?)
    }))
}

/// A whole number as DECIMAL.
fn as_decimal(expr: Expr) -> Expr {
    Expr::Cast(Cast::new(Box::new(expr), DataType::Decimal128(20, 0)))
}

/// The values of a list, of which Flink makes one type.
///
/// # Errors
/// `Sql` for values without a type in common.
fn check_list(types: &[DataType]) -> DfResult<()> {
    let mut common = DataType::Null;
    for one in types {
        common = least_restrictive(&common, one).ok_or_else(|| {
            Error::sql(format!(
                "the values of a list have types that do not go together: {} and {}",
                flink_type(&common),
                flink_type(one)
            ))
            .hint("convert them to one type with CAST(… AS type)")
        })?;
    }
    Ok(())
}

/// Whether an expression is a constant number other than NaN and the infinities, which Flink keeps as calls.
fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => text.trim().parse().is_ok_and(f64::is_finite),
        Expr::Literal(value, _) => !value.is_null() && value.data_type().is_numeric(),
        Expr::Cast(cast) => is_number(&cast.expr),
        Expr::Negative(value) => is_number(value),
        // casts of ours: the value, and a NULL of the type
        Expr::ScalarFunction(call) => call.name().starts_with("flink_cast") && call.args.first().is_some_and(is_number),
        _ => false,
    }
}

/// `x = x`, which Flink answers without a look at the value: true for NaN, too.
fn itself(left: &Expr, op: Operator, right: &Expr) -> Option<Expr> {
    let column = matches!(left, Expr::Column(_)) && left == right;
    let unknown = || lit(ScalarValue::Boolean(None));
    match op {
        Operator::Eq | Operator::LtEq | Operator::GtEq if column => Some(left.clone().is_not_null().or(unknown())),
        Operator::NotEq | Operator::Lt | Operator::Gt if column => Some(left.clone().is_null().and(unknown())),
        _ => None,
    }
}

/// `NOT` before a comparison of DOUBLEs, which Flink turns around: `NOT (x > 1)` is `x <= 1`, also for NaN.
pub(super) fn not(expr: Box<Expr>, registry: &Registry) -> DfResult<Transformed<Expr>> {
    let opposite = match expr.as_ref() {
        Expr::ScalarFunction(call) => call.name().split_once('_').and_then(|(order, name)| {
            let opposite = match name {
                "less" => "greater_or_equal",
                "less_or_equal" => "greater",
                "greater" => "less_or_equal",
                "greater_or_equal" => "less",
                _ => return None,
            };
            matches!(order, "double" | "total").then(|| (format!("{order}_{opposite}"), call.args.clone()))
        }),
        _ => None,
    };
    match opposite {
        Some((name, arguments)) => call_of(&name, arguments, registry).map(Transformed::yes),
        None => Ok(Transformed::no(Expr::Not(expr))),
    }
}

/// `x IN (…)`, as comparisons where the types ask for it.
pub(super) fn in_list(list: InList, schema: &DFSchema, registry: &Registry) -> DfResult<Transformed<Expr>> {
    let own = list.expr.get_type(schema)?;
    let types = list.list.iter().map(|one| one.get_type(schema)).collect::<DfResult<Vec<_>>>()?;
    check_list(&types)?;
    types.iter().try_for_each(|one| one_kind(&own, one))?;
    if types.iter().all(|one| plain(&own, one) && !(own.is_integer() && decimal(one))) {
        return Ok(Transformed::no(Expr::InList(list)));
    }
    let mut found: Option<Expr> = None;
    // several constants are a set of Java's, in which 0.0 is not -0.0
    let as_set = list.list.len() > 1 && list.list.iter().all(is_number);
    // a DECIMAL makes all of the list DECIMALs
    let total = approximate(&own) && types.iter().any(decimal);
    for (one, from) in list.list.into_iter().zip(&types) {
        let one = if total && from.is_integer() { as_decimal(one) } else { one };
        // constants are converted to the type of what is looked for, digits or not
        let one = match (own.is_integer() || own.is_string()) && matches!(one, Expr::Literal(..)) {
            true => converted(one, from, &own, registry)?,
            false => one,
        };
        let comparison = BinaryExpr::new(list.expr.clone(), Operator::Eq, Box::new(one));
        let mut equal = binary(comparison, schema, registry)?.data;
        if let Expr::ScalarFunction(call) = &equal
            && call.name() == "double_equal"
            && as_set
        {
            equal = call_of("total_equal", call.args.clone(), registry)?;
        }
        found = Some(match found {
            Some(before) => before.or(equal),
            None => equal,
        });
    }
    let found = found.unwrap_or_else(|| lit(false));
    Ok(Transformed::yes(if list.negated { Expr::Not(Box::new(found)) } else { found }))
}

/// `text LIKE pattern` and `text SIMILAR TO pattern`, as a call.
pub(super) fn like(name: &str, like: Like, registry: &Registry) -> DfResult<Transformed<Expr>> {
    let mut arguments = vec![*like.expr, *like.pattern];
    arguments.extend(like.escape_char.map(|escape| lit(escape.to_string())));
    let found = call_of(name, arguments, registry)?;
    Ok(Transformed::yes(if like.negated { Expr::Not(Box::new(found)) } else { found }))
}

/// `(start, end) OVERLAPS (start, end)`, where an end may be written as the length up to it.
pub(super) fn overlaps(call: ScalarFunction, schema: &DFSchema, registry: &Registry) -> DfResult<Transformed<Expr>> {
    let mut arguments = Vec::with_capacity(4);
    for argument in call.args {
        let length = matches!(argument.get_type(schema)?, DataType::Interval(_));
        arguments.push(match arguments.last() {
            Some(start) if length => {
                let start: &Expr = start;
                call_of("time_add", vec![start.clone(), argument], registry)?
            }
            _ => argument,
        });
    }
    call_of("overlaps", arguments, registry).map(Transformed::yes)
}
