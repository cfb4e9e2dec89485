//! A window table function whose rows are not aggregated: one copy of a row per window it is in.
//!
//! Nothing is late here; operators that wait for the end of a window judge its rows. All copies of a row stay in one
//! batch, so that such an operator can tell whether it could take at least one of them.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMillisecondArray, UInt32Array};
use arrow::compute::take_arrays;
use arrow::datatypes::{Schema, SchemaRef};

use super::columns::row_times;
use super::windows::{Slices, WindowClock, time_column};
use super::{Operator, Output};
use crate::error::Result;
use crate::plan::WindowAssign;
use crate::stream::{user_columns, with_origin};

/// Puts rows into windows.
#[derive(Debug)]
pub struct WindowAssignOperator {
    clock: WindowClock,
    slices: Slices,
    rowtime: usize,
    /// Windows that a row may be in.
    windows_max: usize,
    schema: SchemaRef,
}

impl WindowAssignOperator {
    /// `schema` is the node's, without origin columns.
    ///
    /// # Errors
    /// `Internal` if the window has no slices.
    pub fn new(plan: &WindowAssign, schema: &Schema) -> Result<Self> {
        Ok(Self {
            clock: WindowClock::new(plan.window.zone),
            slices: Slices::new(&plan.window)?,
            rowtime: plan.window.rowtime,
            windows_max: usize::try_from(plan.window.kind.windows_max()).unwrap_or(usize::MAX),
            schema: with_origin(schema),
        })
    }

    fn copies(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let times = self.clock.times(row_times(batch, self.rowtime)?);
        let (mut rows, mut ends) = (Vec::new(), Vec::new());
        for (row, &time) in (0u32..).zip(times.values()) {
            ends.extend(self.slices.window_ends(time)?);
            rows.resize(ends.len(), row);
        }
        let users = user_columns(batch)?;
        let taken = take_arrays(batch.columns(), &UInt32Array::from(rows), None)?;
        let column = |place: usize, time: &dyn Fn(i64) -> i64| -> Result<ArrayRef> {
            let times = TimestampMillisecondArray::from_iter_values(ends.iter().map(|end| time(*end)));
            time_column(times, self.schema.field(users + place).data_type())
        };
        let mut columns = taken[..users].to_vec();
        columns.push(column(0, &|end| self.slices.window_start(end))?);
        columns.push(column(1, &|end| end)?);
        columns.push(column(2, &|end| self.clock.event_time(end.saturating_sub(1)))?);
        columns.extend_from_slice(&taken[users..]);
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

impl Operator for WindowAssignOperator {
    fn name(&self) -> &str {
        "window_assign"
    }

    fn process(&mut self, batch: RecordBatch, output: &mut Output) -> Result<()> {
        output.batches.push(self.copies(&batch)?);
        Ok(())
    }

    fn copies_max(&self, _: &RecordBatch) -> usize {
        self.windows_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::testing::{batch, schema, stamp, text};
    use crate::plan::{WindowKind, WindowSpec};
    use arrow::datatypes::{DataType, Field, TimeUnit};

    #[test]
    fn a_row_is_copied_once_per_window_in_the_order_of_their_ends() -> Result<()> {
        let window = WindowSpec {
            kind: WindowKind::Hop { slide_ms: 1000, size_ms: 2000 },
            offset_ms: 0,
            rowtime: 0,
            zone: None,
        };
        let instant = DataType::Timestamp(TimeUnit::Millisecond, None);
        let added = ["window_start", "window_end", "window_time"]
            .map(|name| Arc::new(Field::new(name, instant.clone(), false)));
        let fields: Vec<_> = schema().fields().iter().cloned().chain(added).collect();
        let mut operator = WindowAssignOperator::new(&WindowAssign { window }, &Schema::new(fields))?;
        let mut output = Output::default();
        operator.process(batch(&stamp(&[(0, -1, Some("a"), Some(1.0)), (0, 1500, None, None)], 0)), &mut output)?;
        let found: Vec<String> = output.batches.iter().flat_map(text).collect();
        assert_eq!(found.len(), 4);
        assert!(
            found[0].contains(" 1969-12-31T23:59:58 1970-01-01T00:00:00 1969-12-31T23:59:59.999 0 0 "),
            "{found:?}"
        );
        assert!(
            found[3].contains(" 1970-01-01T00:00:01 1970-01-01T00:00:03 1970-01-01T00:00:02.999 0 1 -1"),
            "{found:?}"
        );
        Ok(())
    }
}
