//! Which types go with which in an operator, by Flink's rules: DataFusion would make one type of more of them.
//!
//! A family is what types have in common that a comparison, a branch or an operator asks for.
//!
//! # Source  a Flink 2.3, asked for every pair of types; Calcite, `TypeCoercionImpl`

use std::fmt;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, DataFusionError, Result as DfResult};
use datafusion::logical_expr::expr::{BinaryExpr, InSubquery};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};

use super::branch::{chooses, day};
use crate::error::Error;
use crate::sql::types::flink_type;
use crate::table::map::entry_fields;

/// Sides of an operator that do not go together: the planner says so again, in words of the piece of syntax it is about.
#[derive(Debug)]
pub(crate) struct Mismatch(pub(crate) Error);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.message())
    }
}

impl std::error::Error for Mismatch {}

/// Types of which a common one can be made.
#[derive(Clone, PartialEq)]
pub(super) enum Family {
    Number,
    Text,
    Bytes,
    Boolean,
    Date,
    Time,
    /// Time stamps, with a zone or without.
    Timestamp,
    List(Box<Family>),
    /// MAP and MULTISET.
    Map,
    Row,
    Interval,
    /// A type that goes with none but itself, whatever is in it.
    Other(std::mem::Discriminant<DataType>),
}

impl Family {
    /// The family of a type; `None` for NULL, which goes with all.
    pub(super) fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Null => return None,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Self::Bytes
            }
            DataType::Boolean => Self::Boolean,
            DataType::Date32 => Self::Date,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time,
            DataType::Timestamp(..) => Self::Timestamp,
            DataType::Interval(_) => Self::Interval,
            DataType::Struct(_) => Self::Row,
            DataType::List(element) => Self::List(Box::new(Self::of(element.data_type())?)),
            map if entry_fields(map).is_some() => Self::Map,
            number if number.is_numeric() => Self::Number,
            other => Self::Other(std::mem::discriminant(other)),
        })
    }

    fn is_collection(&self) -> bool {
        matches!(self, Self::List(_) | Self::Map | Self::Row)
    }
}

/// The function behind `ARRAY[…]`.
const ARRAY_CONSTRUCTOR: &str = "__array";

/// How values are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// `=` and its negations, which make no number of a text.
    Equality,
    /// `<` and the like, BETWEEN and IN, which do.
    Order,
}

/// Whether Flink compares the types. A text beside a time is read as one.
fn comparable(how: Comparison, left: &DataType, right: &DataType) -> bool {
    let (Some(left), Some(right)) = (Family::of(left), Family::of(right)) else { return true };
    match (&left, &right) {
        (Family::Text, other) | (other, Family::Text) => match other {
            Family::Text | Family::Date | Family::Time | Family::Timestamp => true,
            Family::Number => how == Comparison::Order,
            _ => false,
        },
        // of equality the elements may be of any family
        (Family::List(_), Family::List(_)) => how == Comparison::Equality || left == right,
        _ => left == right,
    }
}

/// Whether Flink computes `left op right`; intervals have rules of their own.
fn computable(left: &DataType, right: &DataType) -> bool {
    let families = [Family::of(left), Family::of(right)];
    let known = || families.iter().flatten();
    known().any(|family| *family == Family::Interval) || known().all(|family| *family == Family::Number)
}

/// Refuses operands, branches and elements of types that do not go together.
///
/// # Errors
/// `Sql`, within [`Mismatch`] for the sides of an operator.
pub(super) fn check(expr: &Expr, schema: &DFSchema) -> DfResult<()> {
    let type_of = |expr: &Expr| expr.get_type(schema);
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => check_operator(&type_of(left)?, *op, &type_of(right)?),
        Expr::Between(between) => {
            let own = type_of(&between.expr)?;
            let bounds = [type_of(&between.low)?, type_of(&between.high)?];
            check_each("BETWEEN", &own, &bounds)
        }
        Expr::InList(list) => {
            let of_list = list.list.iter().map(type_of).collect::<DfResult<Vec<_>>>()?;
            let own = type_of(&list.expr)?;
            if own.is_nested() {
                return Ok(());
            }
            check_each("IN", &own, &of_list)
        }
        Expr::InSubquery(InSubquery { expr, subquery, .. }) => {
            let given = subquery.subquery.schema().fields().first().map(|field| field.data_type().clone());
            check_each("IN", &type_of(expr)?, given.as_slice())
        }
        Expr::Negative(value) => match type_of(value)? {
            time if time.is_temporal() && !matches!(time, DataType::Interval(_)) => {
                Err(apart(format!("- does not take {}", flink_type(&time))).into())
            }
            _ => Ok(()),
        },
        Expr::Case(case) => {
            let thens = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
            let types = thens.chain(case.else_expr.as_deref()).map(type_of).collect::<DfResult<Vec<_>>>()?;
            check_branches("CASE", &types)
        }
        Expr::ScalarFunction(call) if chooses(call.name()) => {
            let choices = call.args.iter().skip(usize::from(call.name() == "if"));
            check_branches(call.name(), &choices.map(type_of).collect::<DfResult<Vec<_>>>()?)
        }
        Expr::ScalarFunction(call) if call.name() == ARRAY_CONSTRUCTOR => {
            check_branches("ARRAY", &call.args.iter().map(type_of).collect::<DfResult<Vec<_>>>()?)
        }
        _ => Ok(()),
    }
}

fn check_operator(left: &DataType, op: Operator, right: &DataType) -> DfResult<()> {
    use Operator as O;
    let fit = match op {
        O::Eq | O::NotEq | O::IsDistinctFrom | O::IsNotDistinctFrom => comparable(Comparison::Equality, left, right),
        O::Lt | O::LtEq | O::Gt | O::GtEq => comparable(Comparison::Order, left, right),
        O::StringConcat => [left, right].into_iter().filter_map(Family::of).all(|family| family == Family::Text),
        op if op.is_numerical_operators() => computable(left, right),
        _ => true,
    };
    if fit {
        return Ok(());
    }
    let error = apart(format!("{op} does not take {} and {}", flink_type(left), flink_type(right)));
    Err(DataFusionError::External(Box::new(Mismatch(error))))
}

fn check_each(name: &str, own: &DataType, others: &[DataType]) -> DfResult<()> {
    match others.iter().find(|other| !comparable(Comparison::Order, own, other)) {
        Some(other) => {
            Err(apart(format!("{name} does not compare {} with {}", flink_type(own), flink_type(other))).into())
        }
        None => Ok(()),
    }
}

fn check_branches(name: &str, types: &[DataType]) -> DfResult<()> {
    let families: Vec<Family> = types.iter().filter_map(Family::of).collect();
    let fit = match name {
        // the type is that of the first
        "nullif" => types.iter().skip(1).all(|other| comparable(Comparison::Equality, &types[0], other)),
        // as in Flink, which takes no collections there
        "coalesce" | "ifnull" if day(types).is_some() => true,
        "if" | "greatest" | "least" if families.iter().any(Family::is_collection) => false,
        _ => families.iter().skip(1).all(|family| *family == families[0]),
    };
    if fit {
        return Ok(());
    }
    let collection = types.iter().find(|t| Family::of(t).is_some_and(|family| family.is_collection()));
    if let Some(collection) = collection.filter(|_| matches!(name, "if" | "greatest" | "least")) {
        let collection = flink_type(collection);
        let error = Error::sql(format!("{} takes no collections, such as {collection}", name.to_uppercase()));
        return Err(if name == "if" { error.hint("write CASE WHEN condition THEN … ELSE … END") } else { error }.into());
    }
    let types: Vec<String> = types.iter().map(flink_type).collect();
    Err(apart(match name {
        "CASE" => format!("the branches of CASE have types that do not go together: {}", types.join(", ")),
        "ARRAY" => format!("the elements of ARRAY have types that do not go together: {}", types.join(", ")),
        _ => format!("{} does not take {}", name.to_uppercase(), types.join(" and ")),
    })
    .into())
}

fn apart(message: String) -> Error {
    Error::sql(message).hint("convert to one type with CAST(… AS type)")
}
