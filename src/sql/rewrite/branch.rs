//! The common type of what a CASE, COALESCE, IF, IFNULL, NULLIF, GREATEST or LEAST can give, by Flink's rules.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::logical_expr::expr::{BinaryExpr, Case, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, lit};

use super::common::least_restrictive;
use super::converted;
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

fn all(exprs: Vec<&mut Expr>, left: bool, schema: &DFSchema, registry: &Registry) -> DfResult<()> {
    let types = exprs.iter().map(|expr| expr.get_type(schema)).collect::<DfResult<Vec<_>>>()?;
    let nested = |t: &DataType| t.is_nested() || t.is_null();
    let collections = types.iter().all(nested);
    let first = || types.iter().skip(1).try_fold(types.first()?.clone(), |all, t| least_restrictive(&all, t));
    let Some(to) = (if collections { first() } else { common(&types, left) }) else { return Ok(()) };
    for (expr, from) in exprs.into_iter().zip(&types) {
        if *from != to && !from.is_null() {
            let own = std::mem::replace(expr, lit(true));
            *expr = match collections {
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

/// What an operand or a branch may not be beside others: DataFusion would make one type of them.
///
/// # Errors
/// `Sql` for branches of different sorts, and for `||` of what is no text.
pub(super) fn check_types(expr: &Expr, schema: &DFSchema) -> DfResult<()> {
    let (name, values): (&str, Vec<&Expr>) = match expr {
        Expr::Case(case) => {
            let thens = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
            ("CASE", thens.chain(case.else_expr.as_deref()).collect())
        }
        Expr::ScalarFunction(call) if chooses(call.name()) => {
            (call.name(), call.args.iter().skip(usize::from(call.name() == "if")).collect())
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => ("||", vec![left, right]),
        _ => return Ok(()),
    };
    let types = values.iter().map(|value| value.get_type(schema)).collect::<DfResult<Vec<_>>>()?;
    let mut sorts = types.iter().filter(|t| !t.is_null()).map(Sort::of);
    let first = sorts.next();
    let fit = match name {
        // as in Flink, which takes no other ROW there
        "if" if types.iter().any(|t| matches!(t, DataType::Struct(_))) => {
            let mut known = types.iter().filter(|t| !t.is_null());
            known.next().is_none_or(|first| known.all(|t| t == first))
        }
        "||" => first.iter().cloned().chain(sorts).all(|sort| matches!(sort, Sort::Text | Sort::Bytes)),
        _ => sorts.all(|sort| Some(sort) == first),
    };
    if fit {
        return Ok(());
    }
    let types: Vec<String> = types.iter().map(flink_type).collect();
    let what = match name {
        "CASE" => format!("the branches of CASE have types that do not go together: {}", types.join(", ")),
        _ => format!("{} does not take {}", name.to_uppercase(), types.join(" and ")),
    };
    let to = if name == "||" { "STRING" } else { "type" };
    Err(Error::sql(what).hint(format!("convert to one type with CAST(… AS {to})")).into())
}

/// Types of which a common one can be made.
#[derive(Clone, PartialEq)]
enum Sort {
    Number,
    Text,
    Bytes,
    /// Time stamps, with a zone or without.
    Timestamp,
    List(Box<Sort>),
    /// A type that goes with none but itself, whatever is in it.
    Other(std::mem::Discriminant<DataType>),
}

impl Sort {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Self::Bytes
            }
            DataType::Timestamp(..) => Self::Timestamp,
            DataType::List(element) => Self::List(Box::new(Self::of(element.data_type()))),
            number if number.is_numeric() => Self::Number,
            other => Self::Other(std::mem::discriminant(other)),
        }
    }
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
    let sorts = whens.iter().chain([&data_type]).filter(|t| !t.is_null()).map(Sort::of);
    let (texts, others): (Vec<Sort>, Vec<Sort>) = sorts.partition(|sort| *sort == Sort::Text);
    let mixed = !texts.is_empty() && !others.is_empty() && others.iter().all(|sort| *sort == Sort::Number);
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
