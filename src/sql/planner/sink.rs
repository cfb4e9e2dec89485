//! What a sink takes: columns by position, the implicit casts Flink allows, NOT NULL.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

use crate::error::{Error, Result};
use crate::sql::planner::context::Registry;
use crate::sql::planner::expr::flink_type;
use crate::sql::rewrite;

/// A column of the query.
pub(crate) struct Given<'a> {
    /// Its value.
    pub(crate) expr: Expr,
    /// Its type.
    pub(crate) data_type: &'a DataType,
    /// Its name.
    pub(crate) name: &'a str,
}

/// The value of a sink column.
///
/// # Errors
/// `Sql` if Flink has no implicit cast between the types.
pub(crate) fn coerce(given: Given<'_>, column: &Field, table: &str, registry: &Registry) -> Result<Expr> {
    let Given { expr, data_type: from, name: query_column } = given;
    let to = column.data_type();
    if from == to {
        return Ok(expr);
    }
    let field: FieldRef = Arc::new(Field::new("", to.clone(), true));
    let allowed = implicit(from, to);
    if !matches!(allowed, Implicit::No)
        && let Some(cast) = rewrite::cast(&expr, from, to, registry)
    {
        return Ok(cast?);
    }
    match allowed {
        Implicit::Cast => Ok(Expr::Cast(Cast::new_from_field(Box::new(expr), field))),
        // what does not fit into a DECIMAL is NULL
        Implicit::OrNull => Ok(Expr::TryCast(TryCast::new_from_field(Box::new(expr), field))),
        Implicit::No => Err(Error::sql(format!(
            "column \"{query_column}\" has the type {}, column \"{}\" of table \"{table}\" has the type {}",
            flink_type(from),
            column.name(),
            flink_type(to)
        ))
        .hint(format!("write CAST({query_column} AS {}) AS {}", flink_type(to), column.name()))),
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
        (T::Timestamp(..), T::Timestamp(..) | T::Date32 | T::Time32(_)) => true,
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
pub(crate) fn missing(column: &Field) -> Expr {
    match ScalarValue::try_from(column.data_type()) {
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
