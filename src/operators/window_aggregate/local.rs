//! The first half: rows become panes, partition by partition.
//!
//! A row in the slice `s` read at watermark `wm` can still join the windows with `end - 1 > wm`; the
//! first of them is `from_end`. Rows of a partition with equal `(from_end, s)` share a pane, since they join
//! the same windows. Behind a source all rows are of one partition; behind a keyed operator (a window over the
//! rows of an OVER) of several, and the watermark is the minimum of theirs. **A pane is complete once the partition's watermark `w` is ≥ `from_end - 1`**: a later row
//! has `wm ≥ w ≥ from_end - 1`, so its own first window has `end - 1 > wm ≥ from_end - 1`: another pane.
//! Panes leave in the order (from_end, slice_end, partition), so the order does not depend on how often the
//! watermark is told; within a pane, groups stand in the order of their first rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;

use super::{NAME, WindowQuery};
use crate::error::Result;
use crate::limits::BATCH_ROWS_MAX;
use crate::operators::accumulate::{Groups, Partial, take_rows};
use crate::operators::columns::{evaluate_all, int32, int64, misfit, row_times};
use crate::operators::windows::{is_progress, progress};
use crate::operators::{Firing, KeyFilter, Operator, Output, Snapshot};
use crate::plan::WindowAggregate;
use crate::stream::{LateRow, Origin, PartitionId};
use crate::time::{EventTime, WATERMARK_MIN};

/// Name of a pane: `(from_end, slice_end, partition)`.
type PaneId = (i64, i64, i32);

struct Pane {
    groups: Groups,
    /// Groups touched since the last snapshot, by number.
    changed: Vec<bool>,
}

/// Partial results of rows, per partition.
pub struct LocalWindowAggregate {
    query: WindowQuery,

    panes: BTreeMap<PaneId, Pane>,
    watermark: EventTime,
    /// Partials sent so far.
    sequence: i64,
}

impl LocalWindowAggregate {
    /// `input` is the schema of the rows, without origin columns.
    ///
    /// # Errors
    /// `Internal` if plan and input do not fit.
    pub fn new(plan: &WindowAggregate, input: &SchemaRef) -> Result<Self> {
        Ok(Self {
            query: WindowQuery::new(plan, input)?,
            panes: BTreeMap::new(),
            watermark: WATERMARK_MIN,
            sequence: 0,
        })
    }

    /// The rows of each pane; the late ones go to `output`.
    fn assign(&self, batch: &RecordBatch, output: &mut Output) -> Result<BTreeMap<PaneId, Vec<u32>>> {
        let origin = Origin::of(batch)?;
        let event_times = row_times(batch, self.query.rowtime)?;
        let times = self.query.times(batch, &event_times)?;
        let mut panes: BTreeMap<PaneId, Vec<u32>> = BTreeMap::new();
        for (row, (&time, &watermark)) in times.values().iter().zip(origin.watermark.values()).enumerate() {
            let slice_end = self.query.slices.slice_end(time)?;
            match self.query.slices.first_open(slice_end, self.query.clock.watermark(watermark)) {
                Some(from_end) => {
                    panes.entry((from_end, slice_end, origin.partition.value(row))).or_default().push(row as u32);
                }
                None if !self.query.slices.has_window(slice_end) => {}
                None => output.late.push(LateRow {
                    partition: PartitionId(origin.partition.value(row)),
                    offset: origin.offset.value(row),
                    event_time: event_times.value(row),
                    watermark,
                    operator: NAME.into(),
                }),
            }
        }
        Ok(panes)
    }

    fn add(&mut self, id: PaneId, keys: &[ArrayRef], arguments: &[ArrayRef], rows: usize) -> Result<()> {
        if !self.panes.contains_key(&id) {
            self.panes.insert(id, Pane { groups: Groups::new(&self.query.groups)?, changed: Vec::new() });
        }
        let Some(pane) = self.panes.get_mut(&id) else { return Ok(()) };
        pane.groups.update(keys, arguments, rows)?;
        pane.changed.resize(pane.groups.len(), false);
        for &group in pane.groups.ids() {
            pane.changed[group] = true;
        }
        Ok(())
    }

    /// A batch of partials of one pane, numbered from `sequence` on.
    fn partials(&self, id: PaneId, partial: Partial, sequence: i64) -> Result<RecordBatch> {
        let (from_end, slice_end, partition) = id;
        let (mut columns, rows) = partial;
        columns.push(Arc::new(Int64Array::from_value(slice_end, rows)));
        columns.push(Arc::new(Int64Array::from_value(from_end, rows)));
        columns.push(Arc::new(Int32Array::from_value(partition, rows)));
        columns.push(Arc::new(Int64Array::from_iter_values((0..rows as i64).map(|i| sequence + i))));
        columns.push(Arc::new(Int64Array::from_value(WATERMARK_MIN, rows)));
        Ok(RecordBatch::try_new(Arc::clone(&self.query.partial), columns)?)
    }
}

impl Operator for LocalWindowAggregate {
    fn name(&self) -> &str {
        NAME
    }

    fn process(&mut self, batch: RecordBatch, output: &mut Output) -> Result<()> {
        let mut panes = self.assign(&batch, output)?;
        // Late rows are taken out before anything is computed of them.
        let on_time: usize = panes.values().map(Vec::len).sum();
        let batch = if on_time < batch.num_rows() {
            let mut rows: Vec<u32> = panes.values().flatten().copied().collect();
            rows.sort_unstable();
            for place in panes.values_mut().flatten() {
                *place = rows.partition_point(|row| row < place) as u32;
            }
            take_record_batch(&batch, &UInt32Array::from(rows))?
        } else {
            batch
        };
        if on_time == 0 {
            return Ok(());
        }
        let keys = evaluate_all(&self.query.keys, &batch)?;
        let arguments = self.query.groups.arguments.columns(&batch)?;
        if let (1, Some(&id)) = (panes.len(), panes.keys().next()) {
            return self.add(id, &keys, &arguments, on_time);
        }
        for (id, rows) in panes {
            self.add(id, &take_rows(&keys, &rows)?, &take_rows(&arguments, &rows)?, rows.len())?;
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark: EventTime, output: &mut Output) -> Result<Firing> {
        let watermark = self.query.clock.watermark(watermark);
        self.watermark = self.watermark.max(watermark);
        let (mut complete, mut rows) = (Vec::new(), 0);
        while let Some(entry) = self.panes.first_entry() {
            let id = *entry.key();
            if id.0 - 1 > watermark {
                break;
            }
            let partial = entry.remove().groups.into_partial()?;
            let batch = self.partials(id, partial, self.sequence)?;
            self.sequence += batch.num_rows() as i64;
            rows += batch.num_rows();
            complete.push(batch);
            if rows >= BATCH_ROWS_MAX {
                output.batches.push(concat_batches(&self.query.partial, &complete)?);
                (complete, rows) = (Vec::new(), 0);
            }
        }
        if rows > 0 {
            output.batches.push(concat_batches(&self.query.partial, &complete)?);
        }
        Ok(Firing::Done)
    }

    fn snapshot(&mut self, how: Snapshot) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        let ids: Vec<PaneId> = self.panes.keys().copied().collect();
        for id in ids {
            let Some(pane) = self.panes.remove(&id) else { continue };
            if how == Snapshot::Changes && !pane.changed.contains(&true) {
                self.panes.insert(id, pane);
                continue;
            }
            let changed = pane.changed;
            let partial = pane.groups.into_partial()?;
            let groups = Groups::from_partials(&self.query.groups, std::slice::from_ref(&partial))?;
            let written = match how {
                Snapshot::Full => partial,
                Snapshot::Changes => {
                    let rows: Vec<u32> = (0u32..).zip(&changed).filter(|(_, c)| **c).map(|(row, _)| row).collect();
                    (take_rows(&partial.0, &rows)?, rows.len())
                }
            };
            batches.push(self.partials(id, written, 0)?);
            self.panes.insert(id, Pane { groups, changed: vec![false; changed.len()] });
        }
        batches.push(progress(self.watermark, self.sequence)?);
        Ok(batches)
    }

    fn restore(&mut self, snapshot: Vec<RecordBatch>, _owns: &KeyFilter) -> Result<()> {
        let slice_end_column = self.query.slice_end_column();
        for batch in snapshot {
            if is_progress(&batch) {
                self.watermark = self.watermark.max(int64(&batch, 0)?.value(0));
                self.sequence = int64(&batch, 1)?.value(0);
                continue;
            }
            if batch.num_rows() == 0 {
                continue;
            }
            if batch.num_columns() != self.query.partial.fields().len() {
                return Err(misfit(&batch));
            }
            let [from_end, slice_end] =
                [int64(&batch, slice_end_column + 1)?.value(0), int64(&batch, slice_end_column)?.value(0)];
            let id = (from_end, slice_end, int32(&batch, slice_end_column + 2)?.value(0));
            let mut partials = Vec::new();
            if let Some(pane) = self.panes.remove(&id) {
                partials.push(pane.groups.into_partial()?);
            }
            partials.push((batch.columns()[..slice_end_column].to_vec(), batch.num_rows()));
            let groups = Groups::from_partials(&self.query.groups, &partials)?;
            let changed = vec![false; groups.len()];
            self.panes.insert(id, Pane { groups, changed });
        }
        // These had left before the snapshot was taken.
        let watermark = self.watermark;
        self.panes.retain(|(from_end, ..), _| from_end - 1 > watermark);
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        self.panes.values().map(|pane| pane.groups.bytes() + pane.changed.len()).sum()
    }
}
