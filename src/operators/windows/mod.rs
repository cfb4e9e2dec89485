//! Arithmetic of windows, the same for all operators: slices and their windows, the clock they go by, and what an
//! operator over windows writes of its progress.

mod clock;
mod slices;

pub(super) use self::clock::WindowClock;
pub(super) use self::slices::Slices;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::columns::int64;
use super::hash_keys;
use crate::error::{Error, Result};
use crate::time::EventTime;

/// Schema of the one row of a snapshot that is not of the state proper.
static PROGRESS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("$progress_watermark", DataType::Int64, false),
        Field::new("$progress_sequence", DataType::Int64, false),
    ]))
});

/// How far an operator is: its watermark, and a number of its own.
pub(super) fn progress(watermark: EventTime, sequence: i64) -> Result<RecordBatch> {
    let columns = [watermark, sequence].map(|v| Arc::new(Int64Array::from(vec![v])) as _);
    Ok(RecordBatch::try_new(Arc::clone(&PROGRESS), columns.to_vec())?)
}

/// Whether a batch of a snapshot was made by [`progress`].
pub(super) fn is_progress(batch: &RecordBatch) -> bool {
    batch.schema_ref().fields().first().is_some_and(|f| f.name() == PROGRESS.field(0).name())
}

/// Takes the batches of [`progress`] out of a snapshot: the watermark of all instances, which agree at a barrier.
///
/// # Errors
/// `State` if they do not.
pub(super) fn take_progress(snapshot: &mut Vec<RecordBatch>) -> Result<Option<EventTime>> {
    let mut watermarks = BTreeSet::new();
    for batch in snapshot.extract_if(.., |batch| is_progress(batch)) {
        watermarks.insert(int64(&batch, 0)?.value(0));
    }
    match watermarks.len() {
        0 | 1 => Ok(watermarks.pop_first()),
        _ => Err(Error::state("the stored parts of a window operator are of different moments")),
    }
}

/// A column of `data_type`, a time stamp, that holds one time in ms throughout.
pub(super) fn constant_time(millis: i64, data_type: &DataType, rows: usize) -> Result<ArrayRef> {
    time_column(TimestampMillisecondArray::from_value(millis, rows), data_type)
}

/// Times in ms as a column of `data_type`. The cast changes the precision only: the zone is put on before.
pub(super) fn time_column(times: TimestampMillisecondArray, data_type: &DataType) -> Result<ArrayRef> {
    let zone = match data_type {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    Ok(cast(&times.with_timezone_opt(zone), data_type)?)
}

/// The origin columns of rows that a window has made. They leave before any watermark that completes it, so the
/// highest they can have seen is the one before `ends`' last ms.
///
/// `ends` are event times: the first ms after each row's window.
pub(super) fn made_origin(
    keys: &[ArrayRef],
    ends: impl Iterator<Item = EventTime>,
    rows: usize,
) -> Result<[ArrayRef; 3]> {
    let offsets = hash_keys(keys, rows)?.into_iter().map(|hash| (hash >> 1) as i64);
    Ok([
        Arc::new(Int32Array::from_value(0, rows)),
        Arc::new(Int64Array::from_iter_values(offsets)),
        Arc::new(Int64Array::from_iter_values(ends.map(|end| end.saturating_sub(2)))),
    ])
}
