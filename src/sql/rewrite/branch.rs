//! The common type of what a CASE, COALESCE, IF, IFNULL, NULLIF, GREATEST or LEAST can give, by Flink's rules.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::logical_expr::expr::{BinaryExpr, Case, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, lit};

use super::common::least_restrictive;
use super::converted;
use super::families::Family;
use super::operator::{self, approximate, decimal, to_approximate};
use crate::error::Error;
use crate::sql::collections;
use crate::sql::registry::Registry;
use crate::sql::types::flink_type;

/// Whether a function gives one of its arguments.
pub(super) fn chooses(name: &str) -> bool {
    matches!(name, "coalesce" | "if" | "ifnull" | "nullif" | "greatest" | "least")
}

/// The type of a FLOAT or DOUBLE among numbers; `None`: DataFusion's choice is Flink's. `left`: the first of FLOAT and
/// DOUBLE wins, as in CASE and IF; else DOUBLE does.
pub(super) fn common(types: &[DataType], left: bool) -> Option<DataType> {
    let number = |t: &&DataType| t.is_numeric() || t.is_null();
    if !types.iter().any(approximate) || !types.iter().all(|t| number(&t)) {
        return None;
    }
    let first = types.iter().find(|t| approximate(t))?;
    let wide = types.contains(&DataType::Float64);
    Some(if types.iter().any(decimal) || wide && !(left && *first == DataType::Float32) {
        DataType::Float64
    } else {
        DataType::Float32
    })
}

/// DATE, where there are days and time stamps without a zone: COALESCE makes days of them.
pub(super) fn day(types: &[DataType]) -> Option<DataType> {
    let is_day = |t: &DataType| *t == DataType::Date32;
    let is_stamp = |t: &DataType| matches!(t, DataType::Timestamp(_, None));
    let both = types.iter().any(is_day) && types.iter().any(is_stamp);
    (both && types.iter().all(|t| is_day(t) || is_stamp(t) || t.is_null())).then_some(DataType::Date32)
}

fn all(exprs: Vec<&mut Expr>, left: bool, schema: &DFSchema, registry: &Registry) -> DfResult<()> {
    let types = exprs.iter().map(|expr| expr.get_type(schema)).collect::<DfResult<Vec<_>>>()?;
    let nested = |t: &DataType| t.is_nested() || t.is_null();
    let collections = types.iter().all(nested);
    let first = || types.iter().skip(1).try_fold(types.first()?.clone(), |all, t| least_restrictive(&all, t));
    let day = day(&types);
    let Some(to) = (if collections { first() } else { day.clone().or_else(|| common(&types, left)) }) else {
        return Ok(());
    };
    for (expr, from) in exprs.into_iter().zip(&types) {
        if *from != to && !from.is_null() {
            let own = std::mem::replace(expr, lit(true));
            *expr = match collections || day.is_some() {
                true => converted(own, from, &to, registry)?,
                false => to_approximate(own, from, &to, registry)?,
            };
        }
    }
    Ok(())
}

/// Conditions that are none: of `CASE WHEN` and of `FILTER (WHERE …)`, which DataFusion would make BOOLEAN.
///
/// # Errors
/// `Sql` for a condition of another type.
pub(super) fn check_conditions(expr: &Expr, schema: &DFSchema) -> DfResult<()> {
    let (clause, conditions): (&str, Vec<&Expr>) = match expr {
        Expr::Case(Case { expr: None, when_then_expr, .. }) => {
            ("CASE WHEN", when_then_expr.iter().map(|(when, _)| when.as_ref()).collect())
        }
        Expr::AggregateFunction(call) => ("FILTER (WHERE …)", call.params.filter.as_deref().into_iter().collect()),
        _ => return Ok(()),
    };
    for condition in conditions {
        let data_type = condition.get_type(schema)?;
        if !matches!(data_type, DataType::Boolean | DataType::Null) {
            return Err(Error::sql(format!("{clause} takes a condition, not {}", flink_type(&data_type)))
                .hint("compare the value: … = …")
                .into());
        }
    }
    Ok(())
}

/// The branches of a CASE; `CASE x WHEN y` compares by Flink's rules.
pub(super) fn case(mut case: Case, schema: &DFSchema, registry: &Registry) -> DfResult<Transformed<Expr>> {
    if let Some(operand) = &case.expr
        && compared_each(operand, &case, schema)?
    {
        for (when, _) in &mut case.when_then_expr {
            let own = std::mem::replace(when.as_mut(), lit(true));
            let comparison = BinaryExpr::new(operand.clone(), Operator::Eq, Box::new(own));
            **when = operator::binary(comparison, schema, registry)?.data;
        }
        case.expr = None;
    }
    let thens = case.when_then_expr.iter_mut().map(|(_, then)| then.as_mut());
    all(thens.chain(case.else_expr.as_deref_mut()).collect(), true, schema, registry)?;
    Ok(Transformed::yes(Expr::Case(case)))
}

/// Whether `CASE x WHEN y` has to become `CASE WHEN x = y`: DataFusion would make one type of all it compares, and
/// so numbers of texts that are none. What does not go together at all stays as it is, to be refused as a whole.
fn compared_each(operand: &Expr, case: &Case, schema: &DFSchema) -> DfResult<bool> {
    let data_type = operand.get_type(schema)?;
    let whens = case.when_then_expr.iter().map(|(when, _)| when.get_type(schema)).collect::<DfResult<Vec<_>>>()?;
    let families = whens.iter().chain([&data_type]).filter_map(Family::of);
    let (texts, others): (Vec<Family>, Vec<Family>) = families.partition(|family| *family == Family::Text);
    let mixed = !texts.is_empty() && !others.is_empty() && others.iter().all(|family| *family == Family::Number);
    Ok(approximate(&data_type) || mixed)
}

/// The arguments of a function that gives one of them.
pub(super) fn function(
    mut call: ScalarFunction,
    schema: &DFSchema,
    registry: &Registry,
) -> DfResult<Transformed<Expr>> {
    let choice = call.name() == "if";
    if call.name() == "nullif"
        && let [value, other] = &call.args[..]
    {
        // the type is that of the value, whatever it is compared with
        let comparison = BinaryExpr::new(Box::new(value.clone()), Operator::Eq, Box::new(other.clone()));
        let equal = match collections::comparison(&Expr::BinaryExpr(comparison.clone()), schema, registry)? {
            Some(equal) => equal,
            None => operator::binary(comparison, schema, registry)?.data,
        };
        let when_then_expr = vec![(Box::new(equal), Box::new(lit(datafusion::common::ScalarValue::Null)))];
        let else_expr = Some(Box::new(value.clone()));
        return Ok(Transformed::yes(Expr::Case(Case { expr: None, when_then_expr, else_expr })));
    }
    let skipped = usize::from(choice);
    all(call.args.iter_mut().skip(skipped).collect(), choice, schema, registry)?;
    Ok(Transformed::yes(Expr::ScalarFunction(call)))
}
