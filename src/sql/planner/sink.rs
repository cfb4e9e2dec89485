//! What a sink takes: columns by position, the implicit casts Flink allows, declared lengths, NOT NULL.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};

use crate::error::{Error, Result};
use crate::plan::LengthRule;
use crate::sql::planner::context::Relation;
use crate::sql::planner::relabel;
use crate::sql::planner::window::{unaliased, window_tvf};
use crate::sql::registry::Registry;
use crate::sql::types::flink_type;
use crate::sql::{length, rewrite};
use crate::table::{ColumnSpec, Length};

/// A column of the query.
pub(crate) struct Given<'a> {
    /// Its value.
    pub(crate) expr: Expr,
    /// Its type.
    pub(crate) data_type: &'a DataType,
    /// Its type as a table declares it, if it is a column of one.
    pub(crate) declared: Option<String>,
    /// Its name.
    pub(crate) name: &'a str,
}

/// The value of a sink column.
///
/// # Errors
/// `Sql` if Flink has no implicit cast between the types.
pub(crate) fn coerce(
    given: Given<'_>,
    column: &ColumnSpec,
    table: &str,
    registry: &Registry,
    rule: LengthRule,
) -> Result<Expr> {
    let declared = given.declared.clone();
    let Some(length) = Length::of(&column.sql_type) else {
        let digits = cut_to(column, declared.as_deref());
        let value = cast(given, column, table, registry)?;
        return match digits {
            Some(digits) => call("flink_digits", vec![value, lit(digits)], registry),
            None => Ok(value),
        };
    };
    let within = declared.as_deref().and_then(Length::of).is_some_and(|from| from.size <= length.size);
    if declared.as_deref() == Some(&column.sql_type) || (within && !length.fixed) {
        // no cast, so the values may have any length
        return enforce(given.expr, length, rule, &format!("{table}.{}", column.name), registry);
    }
    let varying = declared.as_deref().is_some_and(|from| Length::of(from).is_none_or(|length| !length.fixed));
    if length.fixed && varying {
        return Err(refused(&given, column, table));
    }
    let value = cast(given, column, table, registry)?;
    sized(value, length::function(length), length, &[], registry)
}

/// The digits of the fraction of a time that a column keeps of values that are declared with more, or not declared:
/// Arrow's types have 3, 6 or 9.
fn cut_to(column: &ColumnSpec, declared: Option<&str>) -> Option<i64> {
    let digits = time_digits(&column.sql_type)?;
    let kept = match &column.data_type {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 9,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 6,
        _ => 3,
    };
    (digits < kept && declared.and_then(time_digits).is_none_or(|given| given > digits)).then_some(digits)
}

/// The digits that a type of time declares: 3 of `TIMESTAMP_LTZ(3)`.
fn time_digits(sql_type: &str) -> Option<i64> {
    let (name, rest) = sql_type.split_once('(')?;
    matches!(name, "TIME" | "TIMESTAMP" | "TIMESTAMP_LTZ").then(|| rest.strip_suffix(')')?.parse().ok()).flatten()
}

/// A value of the column's own type under `table.exec.sink.type-length-enforcer`.
fn enforce(value: Expr, length: Length, rule: LengthRule, column: &str, registry: &Registry) -> Result<Expr> {
    match rule {
        LengthRule::Ignore => Ok(value),
        LengthRule::TrimPad => sized(value, length::function(length), length, &[], registry),
        LengthRule::Error => {
            let more = [lit(i64::from(length.fixed)), lit(column)];
            sized(value, "flink_check_length", length, &more, registry)
        }
    }
}

fn sized(value: Expr, function: &str, length: Length, more: &[Expr], registry: &Registry) -> Result<Expr> {
    let mut args = vec![value, lit(i64::from(length.size))];
    args.extend_from_slice(more);
    call(function, args, registry)
}

fn call(function: &str, args: Vec<Expr>, registry: &Registry) -> Result<Expr> {
    let function = registry.scalar(function).ok_or_else(|| Error::internal(format!("no function {function}")))?;
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), args)))
}

fn refused(given: &Given<'_>, column: &ColumnSpec, table: &str) -> Error {
    let from = given.declared.clone().unwrap_or_else(|| flink_type(given.data_type));
    // a name that the planner gave is none to the user
    let (what, value) = match given.name.strip_prefix("EXPR$").and_then(|number| number.parse::<usize>().ok()) {
        Some(number) => (format!("column {} of the query", number.saturating_add(1)), "…"),
        None => (format!("column \"{}\"", given.name), given.name),
    };
    Error::sql(format!(
        "{what} has the type {from}, column \"{}\" of table \"{table}\" has the type {}",
        column.name, column.sql_type
    ))
    .hint(format!("write CAST({value} AS {}) AS {}", column.sql_type, column.name))
}

/// The type that a table declares for a column that comes from it unchanged.
pub(crate) fn declared_type(plan: &LogicalPlan, index: usize) -> Option<String> {
    let through = |input: &LogicalPlan, expr: &Expr| match unaliased(expr) {
        Expr::Column(column) => declared_type(input, input.schema().index_of_column(column).ok()?),
        _ => None,
    };
    match plan {
        LogicalPlan::TableScan(scan) => {
            let table = scan.source.downcast_ref::<Relation>()?.table.as_ref()?;
            table.spec.columns.get(index).map(|column| column.sql_type.clone())
        }
        LogicalPlan::Projection(p) => through(&p.input, p.expr.get(index)?),
        LogicalPlan::SubqueryAlias(a) => declared_type(&a.input, index),
        LogicalPlan::Filter(f) => declared_type(&f.input, index),
        LogicalPlan::Aggregate(a) => through(&a.input, a.group_expr.get(index)?),
        LogicalPlan::Window(w) if index < w.input.schema().fields().len() => declared_type(&w.input, index),
        LogicalPlan::Union(union) => {
            let mut types = union.inputs.iter().map(|input| declared_type(input, index));
            let first = types.next()??;
            types.all(|other| other.as_ref() == Some(&first)).then_some(first)
        }
        other => window_tvf(other).and_then(|tvf| match index < tvf.input.schema().fields().len() {
            true => declared_type(&tvf.input, index),
            false => None,
        }),
    }
}

fn cast(given: Given<'_>, column: &ColumnSpec, table: &str, registry: &Registry) -> Result<Expr> {
    let (from, to) = (given.data_type, &column.data_type);
    if from == to {
        return Ok(given.expr);
    }
    let field: FieldRef = Arc::new(Field::new("", to.clone(), true));
    let allowed = implicit(from, to);
    if !matches!(allowed, Implicit::No)
        && let Some(cast) = rewrite::cast(&given.expr, from, to, registry)
    {
        return Ok(cast?);
    }
    let mut given = given;
    if matches!(allowed, Implicit::Cast) && from.is_nested() {
        // rows are cast by position, and Arrow's kernel goes by the names of their fields
        given.expr = relabel::to_names_of(given.expr, to);
    }
    match allowed {
        Implicit::Cast => Ok(Expr::Cast(Cast::new_from_field(Box::new(given.expr), field))),
        // what does not fit into a DECIMAL is NULL
        Implicit::OrNull => Ok(Expr::TryCast(TryCast::new_from_field(Box::new(given.expr), field))),
        Implicit::No => Err(refused(&given, column, table)),
    }
}

enum Implicit {
    Cast,
    OrNull,
    No,
}

/// Flink's implicit casts.
fn implicit(from: &DataType, to: &DataType) -> Implicit {
    use DataType as T;
    let rank = |t: &T| match t {
        T::Int8 => Some(1),
        T::Int16 => Some(2),
        T::Int32 => Some(3),
        T::Int64 => Some(4),
        _ => None,
    };
    let yes = match (from, to) {
        (T::Null, _) => true,
        (T::Decimal128(..), T::Decimal128(..)) | (T::Float32 | T::Float64, T::Decimal128(..)) => {
            return Implicit::OrNull;
        }
        (_, T::Decimal128(..)) if rank(from).is_some() => return Implicit::OrNull,
        (T::Decimal128(..), T::Float32 | T::Float64) | (T::Float32, T::Float64) => true,
        (_, T::Float32 | T::Float64) if rank(from).is_some() => true,
        (T::UInt64, T::Int64) => true,
        (T::Timestamp(..), T::Timestamp(..)) | (T::Timestamp(_, None), T::Date32 | T::Time32(_)) => true,
        (T::Utf8 | T::LargeUtf8 | T::Utf8View, T::Utf8 | T::LargeUtf8 | T::Utf8View) => true,
        (T::Binary | T::BinaryView | T::LargeBinary | T::FixedSizeBinary(_), T::Binary) => true,
        (T::List(a), T::List(b)) => inside(a.data_type(), b.data_type()),
        (T::Struct(a), T::Struct(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| inside(a.data_type(), b.data_type()))
        }
        (T::Map(a, _), T::Map(b, _)) => inside(a.data_type(), b.data_type()),
        _ => matches!((rank(from), rank(to)), (Some(a), Some(b)) if a <= b),
    };
    if yes { Implicit::Cast } else { Implicit::No }
}

/// Whether a value inside a collection may be cast.
fn inside(from: &DataType, to: &DataType) -> bool {
    from == to || !matches!(implicit(from, to), Implicit::No)
}

/// `expr`, or an error of the job where it is NULL.
pub(crate) fn not_null(expr: Expr, table: &str, column: &str) -> Expr {
    let function = ScalarUDF::from(NotNull {
        table: table.into(),
        column: column.into(),
        signature: Signature::any(1, Volatility::Immutable),
    });
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![expr]))
}

/// NULL for a column the table does not get from the query.
pub(crate) fn missing(column: &ColumnSpec) -> Expr {
    match ScalarValue::try_from(&column.data_type) {
        Ok(null) => lit(null),
        Err(_) => lit(ScalarValue::Null),
    }
}

/// Passes values on; fails the job at the first NULL, as Flink's not-null enforcer does.
#[derive(Debug, PartialEq, Eq, Hash)]
struct NotNull {
    table: String,
    column: String,
    signature: Signature,
}

impl ScalarUDFImpl for NotNull {
    fn name(&self) -> &str {
        "not_null"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> DfResult<DataType> {
        Ok(args.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DfResult<FieldRef> {
        let data_type = args.arg_fields.first().map_or(DataType::Null, |f| f.data_type().clone());
        Ok(Arc::new(Field::new(self.name(), data_type, false)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let value = args.args.into_iter().next().unwrap_or(ColumnarValue::Scalar(ScalarValue::Null));
        let null = match &value {
            ColumnarValue::Array(array) => array.logical_null_count() > 0,
            ColumnarValue::Scalar(scalar) => scalar.is_null() && args.number_rows > 0,
        };
        if null {
            return Err(Error::data(format!(
                "column \"{}\" of table \"{}\" is NOT NULL, the query gave NULL",
                self.column, self.table
            ))
            .hint(format!("filter in the query: WHERE {} IS NOT NULL", self.column))
            .into());
        }
        Ok(value)
    }
}
