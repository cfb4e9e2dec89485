//! Expressions over batches, event times in ms, and the arguments of aggregates.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;

use crate::error::{Error, ErrorKind, Result};
use crate::plan::PlanAggregate;
use crate::stream::Origin;

/// The value of an expression for each row, `[n]`; a constant becomes a column.
pub(super) fn evaluate(expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<ArrayRef> {
    match expr.evaluate(batch).and_then(|value| value.into_array(batch.num_rows())) {
        Ok(values) => Ok(values),
        Err(error) => Err(with_row(error.into(), expr, batch)),
    }
}

/// The error with the first row that makes it, if the batch knows where its rows come from; a constant that fails does
/// so for every row, and none is to blame.
fn with_row(error: Error, expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Error {
    if constant_fails(expr, &batch.slice(0, batch.num_rows().min(1))) {
        return error;
    }
    let Some(origin) = Origin::of(batch).ok().filter(|_| error.kind() == ErrorKind::Data) else { return error };
    // rows alone: a batch is computed as a whole, which forgets the row
    let broken = (0..batch.num_rows()).find_map(|row| Some((row, expr.evaluate(&batch.slice(row, 1)).err()?)));
    match broken {
        Some((row, alone)) => Error::from(alone).or_row(origin.partition.value(row), origin.offset.value(row)),
        None => error,
    }
}

/// Whether some part of an expression that reads no column fails.
fn constant_fails(expr: &Arc<dyn PhysicalExpr>, row: &RecordBatch) -> bool {
    if collect_columns(expr).is_empty() {
        return expr.evaluate(row).is_err();
    }
    expr.children().into_iter().any(|part| constant_fails(part, row))
}

/// [`evaluate`] for each expression.
pub(super) fn evaluate_all(exprs: &[Arc<dyn PhysicalExpr>], batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    exprs.iter().map(|expr| evaluate(expr, batch)).collect()
}

/// The value of a condition for each row, `[n]`.
pub(super) fn condition(expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<BooleanArray> {
    let values = evaluate(expr, batch)?;
    match values.as_boolean_opt() {
        Some(values) => Ok(values.clone()),
        None => Err(Error::internal(format!("a condition has the type {}", values.data_type()))),
    }
}

/// A `TIMESTAMP` or `TIMESTAMP_LTZ` column of any precision in ms since 1970, rounded towards the past;
/// seconds beyond the range of ms become the nearest ms there is.
pub(super) fn event_millis(column: &dyn Array) -> Result<Int64Array> {
    Ok(match column.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            column.as_primitive::<TimestampSecondType>().unary(|t| t.saturating_mul(1000))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            column.as_primitive::<TimestampMillisecondType>().reinterpret_cast()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            column.as_primitive::<TimestampMicrosecondType>().unary(|t| t.div_euclid(1000))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            column.as_primitive::<TimestampNanosecondType>().unary(|t| t.div_euclid(1_000_000))
        }
        other => return Err(Error::internal(format!("an event time has the type {other}"))),
    })
}

/// [`event_millis`] of a column that the source has freed of NULLs.
pub(super) fn row_times(batch: &RecordBatch, rowtime: usize) -> Result<Int64Array> {
    let times = event_millis(batch.column(rowtime))?;
    if times.null_count() > 0 {
        return Err(Error::internal("a row without event time has passed the source"));
    }
    Ok(times)
}

/// A column of a snapshot or a partial, by place.
pub(super) fn int64(batch: &RecordBatch, column: usize) -> Result<&Int64Array> {
    batch.columns().get(column).and_then(|c| c.as_primitive_opt()).ok_or_else(|| misfit(batch))
}

/// As [`int64`].
pub(super) fn int32(batch: &RecordBatch, column: usize) -> Result<&Int32Array> {
    batch.columns().get(column).and_then(|c| c.as_primitive_opt()).ok_or_else(|| misfit(batch))
}

/// A batch of a snapshot is not what the operator writes.
pub(super) fn misfit(batch: &RecordBatch) -> Error {
    let names: Vec<_> = batch.schema_ref().fields().iter().map(|f| f.name().clone()).collect();
    Error::state("the stored state does not fit the query")
        .detail(format!("Columns found: {}.", names.join(", ")))
        .hint("start anew with \"--fresh\", or choose another directory with \"--state\"")
}

/// The arguments and filters of several aggregates, each distinct expression once.
#[derive(Debug, Clone)]
pub(super) struct Arguments {
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    /// For each aggregate: places of its arguments, and of its filter.
    calls: Vec<(Vec<usize>, Option<usize>)>,
}

impl Arguments {
    pub(super) fn new(aggregates: &[PlanAggregate]) -> Self {
        let mut exprs: Vec<Arc<dyn PhysicalExpr>> = Vec::new();
        let mut place = |expr: &Arc<dyn PhysicalExpr>| {
            exprs.iter().position(|e| e == expr).unwrap_or_else(|| {
                exprs.push(Arc::clone(expr));
                exprs.len() - 1
            })
        };
        let calls = aggregates
            .iter()
            .map(|a| (a.call.expressions().iter().map(&mut place).collect(), a.filter.as_ref().map(&mut place)))
            .collect();
        Self { exprs, calls }
    }

    /// The distinct columns, `[n]` each.
    pub(super) fn columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        evaluate_all(&self.exprs, batch)
    }

    /// Number of distinct columns.
    pub(super) fn len(&self) -> usize {
        self.exprs.len()
    }

    /// Places of the arguments of the aggregate `call`, and of its filter, among the columns.
    pub(super) fn call(&self, call: usize) -> (&[usize], Option<usize>) {
        let (arguments, filter) = &self.calls[call];
        (arguments, *filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{TimestampMicrosecondArray, TimestampSecondArray};

    #[test]
    fn times_before_1970_are_floored() -> Result<()> {
        let micros = TimestampMicrosecondArray::from(vec![-1, -1000, 1999]);
        assert_eq!(event_millis(&micros)?.values(), &[-1, -1, 1]);
        let seconds = TimestampSecondArray::from(vec![i64::MAX, -2]);
        assert_eq!(event_millis(&seconds)?.values(), &[i64::MAX, -2000]);
        assert!(event_millis(&Int64Array::from(vec![1])).is_err());
        Ok(())
    }
}
