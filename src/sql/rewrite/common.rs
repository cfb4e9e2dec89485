//! The one type of values that stand for each other: the sides of `UNION ALL`, the rows of `VALUES`, the branches of CASE
//! and COALESCE. A ROW has the names of the first; what has no such type is refused.
//!
//! # Source  Calcite, `SqlTypeFactoryImpl.leastRestrictive`; digits of DECIMAL as Flink 2.3 shows them

use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, Fields, TimeUnit};
use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, Union, Values};

use super::branch;
use super::converted;
use crate::error::Error;
use crate::sql::mark::marks_row;
use crate::sql::registry::Registry;
use crate::sql::types::flink_type;
use crate::table::map::{entry_fields, map_type, multiset_element, multiset_type};

/// The type that two types have in common; `None`: there is none.
pub(super) fn least_restrictive(one: &DataType, other: &DataType) -> Option<DataType> {
    match (one, other) {
        (DataType::Null, known) | (known, DataType::Null) => Some(known.clone()),
        (one, other) if one == other => Some(one.clone()),
        (one, other) if one.is_numeric() && other.is_numeric() => number(one, other),
        (one, other) if one.is_string() && other.is_string() => Some(DataType::Utf8),
        // of the same digits the first wins, of others the one with a zone
        (DataType::Timestamp(unit, zone), DataType::Timestamp(other, _)) if unit == other => {
            Some(DataType::Timestamp(*unit, zone.clone()))
        }
        (DataType::Timestamp(one, zone), DataType::Timestamp(other, other_zone)) => {
            Some(DataType::Timestamp(finer(*one, *other), zone.clone().or_else(|| other_zone.clone())))
        }
        (DataType::List(one), DataType::List(other)) => Some(DataType::List(field(one, other)?)),
        (DataType::Struct(one), DataType::Struct(other)) if one.len() == other.len() => {
            let fields = one.iter().zip(other).map(|(one, other)| field(one, other)).collect::<Option<Fields>>()?;
            Some(DataType::Struct(fields))
        }
        (one, other) => {
            if let Some((one, other)) = multiset_element(one).zip(multiset_element(other)) {
                return least_restrictive(one, other).map(multiset_type);
            }
            if multiset_element(one).is_some() || multiset_element(other).is_some() {
                return None;
            }
            let ((key, value), (other_key, other_value)) = entry_fields(one).zip(entry_fields(other))?;
            let (key, value) = (field(key, other_key)?, field(value, other_value)?);
            Some(map_type(key.data_type().clone(), value.data_type().clone(), value.is_nullable()))
        }
    }
}

fn field(one: &Arc<Field>, other: &Arc<Field>) -> Option<Arc<Field>> {
    let data_type = least_restrictive(one.data_type(), other.data_type())?;
    Some(Arc::new(Field::new(one.name(), data_type, one.is_nullable() || other.is_nullable())))
}

fn finer(one: TimeUnit, other: TimeUnit) -> TimeUnit {
    let order = [TimeUnit::Nanosecond, TimeUnit::Microsecond, TimeUnit::Millisecond];
    order.into_iter().find(|unit| [one, other].contains(unit)).unwrap_or(one)
}

/// Whole digits, and digits behind the point.
fn digits(data_type: &DataType) -> Option<(i16, i16)> {
    Some(match data_type {
        DataType::Decimal128(precision, scale) => (i16::from(*precision) - i16::from(*scale), i16::from(*scale)),
        DataType::Int8 => (3, 0),
        DataType::Int16 => (5, 0),
        DataType::Int32 => (10, 0),
        DataType::Int64 => (19, 0),
        _ => return None,
    })
}

/// Whole digits come first where 38 are too few.
fn number(one: &DataType, other: &DataType) -> Option<DataType> {
    let types = [one.clone(), other.clone()];
    if let Some(approximate) = branch::common(&types, false) {
        return Some(approximate);
    }
    let ((whole, scale), (other_whole, other_scale)) = digits(one).zip(digits(other))?;
    if !types.iter().any(|t| matches!(t, DataType::Decimal128(..))) {
        return Some(if whole >= other_whole { one.clone() } else { other.clone() });
    }
    let most = i16::from(DECIMAL128_MAX_PRECISION);
    let whole = whole.max(other_whole);
    let scale = scale.max(other_scale).min(most - whole);
    Some(DataType::Decimal128(u8::try_from(whole + scale).ok()?, i8::try_from(scale).ok()?))
}

/// A `UNION ALL` with the same types on all sides.
///
/// # Errors
/// `Sql` for sides without a type in common.
pub(super) fn union(union: Union, registry: &Registry) -> DfResult<LogicalPlan> {
    let Some(first) = union.inputs.first() else { return Ok(LogicalPlan::Union(union)) };
    let mut types: Vec<DataType> = first.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    for input in union.inputs.iter().skip(1) {
        for ((common, field), named) in types.iter_mut().zip(input.schema().fields()).zip(first.schema().fields()) {
            *common = least_restrictive(common, field.data_type()).ok_or_else(|| {
                let (one, other) = (flink_type(common), flink_type(field.data_type()));
                let name = named.name();
                let what = if rows_of_values(&union) { "rows of VALUES" } else { "sides of UNION ALL" };
                Error::sql(format!("the {what} have the types {one} and {other} in column \"{name}\""))
                    .hint("convert one of them with CAST(… AS type)")
            })?;
        }
    }
    let inputs =
        union.inputs.iter().map(|input| cast_columns(input, &types, registry)).collect::<DfResult<Vec<_>>>()?;
    let union = Union::try_new_with_loose_types(inputs)?;
    let rows = union.inputs.iter().map(|input| constant_rows(input)).collect::<Option<Vec<_>>>();
    Ok(match rows {
        Some(rows) => LogicalPlan::Values(Values { schema: union.schema, values: rows.concat() }),
        None => LogicalPlan::Union(union),
    })
}

/// Whether all that a union unites are rows of `VALUES`.
fn rows_of_values(union: &Union) -> bool {
    let marked = |rows: Vec<Vec<Expr>>| rows.iter().all(|row| row.first().is_some_and(marks_row));
    union.inputs.iter().all(|input| constant_rows(input).is_some_and(marked))
}

/// The rows of a query that reads no table, as expressions: all of a `UNION ALL` of them come from one source, in order.
fn constant_rows(plan: &LogicalPlan) -> Option<Vec<Vec<Expr>>> {
    match plan {
        LogicalPlan::Values(values) => Some(values.values.clone()),
        LogicalPlan::Projection(Projection { expr, input, .. }) => match input.as_ref() {
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => {
                Some(vec![expr.iter().map(|expr| expr.clone().unalias()).collect()])
            }
            // the columns of these rows in another type
            LogicalPlan::Projection(_) | LogicalPlan::Values(_) => {
                let rows = constant_rows(input)?;
                rows.iter().map(|row| expr.iter().map(|expr| over(expr, input, row)).collect()).collect()
            }
            _ => None,
        },
        _ => None,
    }
}

/// An expression with the values of a row for its columns.
fn over(expr: &Expr, input: &LogicalPlan, row: &[Expr]) -> Option<Expr> {
    let placed = expr.clone().unalias().transform_up(|e| match &e {
        Expr::Column(column) => {
            let value = row.get(input.schema().index_of_column(column)?);
            let value = value.ok_or_else(|| Error::internal("a column that no row has"))?;
            Ok(Transformed::yes(value.clone()))
        }
        _ => Ok(Transformed::no(e)),
    });
    placed.ok().map(|placed| placed.data)
}

/// The rows of a plan with columns of these types.
fn cast_columns(plan: &Arc<LogicalPlan>, types: &[DataType], registry: &Registry) -> DfResult<Arc<LogicalPlan>> {
    let schema = plan.schema();
    if schema.fields().iter().zip(types).all(|(field, wanted)| field.data_type() == wanted) {
        return Ok(Arc::clone(plan));
    }
    let columns =
        schema.iter().zip(types).map(|((table, field), wanted)| {
            let column = Expr::from((table, field));
            match field.data_type() == wanted {
                true => Ok(column),
                false => Ok(converted(column, field.data_type(), wanted, registry)?
                    .alias_qualified(table.cloned(), field.name())),
            }
        });
    let columns = columns.collect::<DfResult<Vec<_>>>()?;
    Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(columns, Arc::clone(plan))?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_type_that_flink_shows() {
        use DataType::{Decimal128, Float32, Float64, Int32, Int64};
        for (one, other, common) in [
            (Int32, Int64, Int64),
            (Int64, Float32, Float32),
            (Float64, Float32, Float64),
            (Float32, Decimal128(10, 2), Float64),
            (Int64, Decimal128(10, 2), Decimal128(21, 2)),
            (Decimal128(2, 1), Int32, Decimal128(11, 1)),
            (Decimal128(20, 15), Int64, Decimal128(34, 15)),
            (Decimal128(38, 10), Decimal128(38, 0), Decimal128(38, 0)),
        ] {
            assert_eq!(least_restrictive(&one, &other), Some(common), "{one} {other}");
        }
    }

    #[test]
    fn what_has_nothing_in_common() {
        use DataType::{Boolean, Date32, Int32, Timestamp, Utf8};
        let ts = Timestamp(TimeUnit::Millisecond, None);
        for (one, other) in [(Int32, Utf8), (Boolean, Int32), (Date32, ts.clone()), (Date32, Utf8), (ts, Utf8)] {
            assert_eq!(least_restrictive(&one, &other), None, "{one} {other}");
        }
    }

    #[test]
    fn time_stamps_of_other_digits_have_a_zone_if_one_has() {
        let ts = |unit| DataType::Timestamp(unit, None);
        let ltz = |unit| DataType::Timestamp(unit, Some("+00:00".into()));
        let (ms, us) = (TimeUnit::Millisecond, TimeUnit::Microsecond);
        assert_eq!(least_restrictive(&ts(ms), &ltz(ms)), Some(ts(ms)));
        assert_eq!(least_restrictive(&ltz(ms), &ts(ms)), Some(ltz(ms)));
        assert_eq!(least_restrictive(&ts(us), &ltz(ms)), Some(ltz(us)));
    }

    #[test]
    fn rows_have_the_names_of_the_first() {
        let row = |name: &str, data_type| DataType::Struct(Fields::from(vec![Field::new(name, data_type, true)]));
        let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
        let common = least_restrictive(&list(row("a", DataType::Int32)), &list(row("b", DataType::Int64)));
        assert_eq!(common, Some(list(row("a", DataType::Int64))));
        assert_eq!(least_restrictive(&row("a", DataType::Int32), &row("b", DataType::Utf8)), None);
    }
}
