//! `CURRENT_WATERMARK`: how far event time was when a row was read.

use arrow::array::{ArrayRef, TimestampMillisecondArray, new_null_array};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::Result;
use std::sync::Arc;

use super::scalar::{Call, Entry, Takes};

/// Functions of watermarks.
pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "current_watermark",
    usage: "CURRENT_WATERMARK(rowtime)",
    takes: &[Takes::Moment],
    // the row's watermark in ms, given by the planner
    optional: &[Takes::Integer],
    returns: |types| match types.get(0)? {
        DataType::Timestamp(_, zone) => Some(DataType::Timestamp(TimeUnit::Millisecond, zone)),
        _ => None,
    },
    kernel: current_watermark,
    doc: "The watermark of the row's partition just before the row; NULL before the first one, and outside streams.",
    ..Entry::BASE
}];

fn current_watermark(call: &Call<'_>) -> Result<ArrayRef> {
    if call.count() < 2 {
        return Ok(new_null_array(call.return_type, call.rows));
    }
    let zone = match call.return_type {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let known = call.integers(1)?.iter().map(|mark| mark.filter(|mark| *mark != i64::MIN));
    Ok(Arc::new(known.collect::<TimestampMillisecondArray>().with_timezone_opt(zone)))
}
