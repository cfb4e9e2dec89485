//! Operators that keep whole rows until their window ends: Top-N, deduplication and joins.
//!
//! A row is late when the window it is in had ended by the watermark of its own partition, before the row: a function
//! of the input log alone. A row on time by that comes before this operator's watermark, the lowest of all
//! partitions', has passed the window. A row that is in several windows is late if one of them had ended.
//!
//! # Source
//! Flink `WindowRankOperator`, `WindowJoinOperator`, `RowTimeWindowDeduplicateOperator`.

mod join;
mod rank;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;

use self::join::Join;
use self::rank::Rank;
use super::columns::{evaluate_all, event_millis, misfit};
use super::windows::{WindowClock, made_origin, progress, take_progress};
use super::{Firing, KeyFilter, Operator, Output, Snapshot, hash_keys};
use crate::error::{Error, Result};
use crate::limits::{BATCH_ROWS_MAX, PRUNE_ROWS_MIN};
use crate::plan::{WindowJoin, WindowRank};
use crate::stream::{LateRow, Origin, PartitionId, with_origin};
use crate::time::zone::Zone;
use crate::time::{EventTime, WATERMARK_MIN};

/// What is done with the rows of a window. Order of the rows: that of arrival within each partition.
trait Window: Send {
    /// What leaves when the window ends: columns of the node, in a defined order.
    fn fire(&self, rows: &RecordBatch) -> Result<Vec<RecordBatch>>;

    /// The rows that can still matter, whatever comes; `None`: all.
    fn prune(&self, _rows: &RecordBatch) -> Result<Option<RecordBatch>> {
        Ok(None)
    }
}

/// Rows of one window.
#[derive(Debug, Default)]
struct Held {
    batches: Vec<RecordBatch>,
    rows: usize,
    /// Rows left by the last pruning.
    pruned: usize,
    /// Of memory; batches may share some.
    bytes: usize,
}

/// Where the times of a row are.
struct Places {
    /// The end of its window.
    window_end: usize,
    /// Its event time; `None`: a window has made it.
    rowtime: Option<usize>,
}

/// Waits for the end of windows.
pub struct WindowRows {
    name: &'static str,
    window: Box<dyn Window>,
    places: Places,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    clock: WindowClock,
    /// Of the input, with origin columns.
    input: SchemaRef,
    /// Of the output, with origin columns.
    schema: SchemaRef,

    windows: BTreeMap<i64, Held>,
    /// What came since the last snapshot; `None` until there is one.
    unsaved: Option<Vec<RecordBatch>>,
    watermark: EventTime,
}

impl WindowRows {
    /// `input` and `schema` are those of the node's input and of the node, without origin columns.
    ///
    /// # Errors
    /// `Internal` if plan and schemas do not fit.
    pub fn rank(plan: &WindowRank, input: &SchemaRef, schema: &SchemaRef) -> Result<Self> {
        let keys = plan.keys.iter().map(|key| Arc::clone(&key.expr)).collect();
        let places = Places { window_end: plan.window_end, rowtime: plan.rowtime };
        Ok(Self::new("window_rank", Box::new(Rank::new(plan, input)?), places, keys, plan.zone, [input, schema]))
    }

    /// As [`WindowRows::rank`].
    ///
    /// # Errors
    /// `Internal` if plan and schemas do not fit.
    pub fn join(plan: &WindowJoin, input: &SchemaRef, schema: &SchemaRef) -> Result<Self> {
        let window = Box::new(Join::new(plan, input, schema)?);
        let places = Places { window_end: WindowJoin::WINDOW_END, rowtime: Some(WindowJoin::ROWTIME) };
        Ok(Self::new("window_join", window, places, super::join_keys(plan), plan.zone, [input, schema]))
    }

    fn new(
        name: &'static str,
        window: Box<dyn Window>,
        places: Places,
        keys: Vec<Arc<dyn PhysicalExpr>>,
        zone: Option<Zone>,
        [input, schema]: [&SchemaRef; 2],
    ) -> Self {
        Self {
            name,
            window,
            places,
            keys,
            clock: WindowClock::new(zone),
            input: with_origin(input),
            schema: with_origin(schema),
            windows: BTreeMap::new(),
            unsaved: None,
            watermark: WATERMARK_MIN,
        }
    }

    fn ends(&self, batch: &RecordBatch) -> Result<Int64Array> {
        event_millis(batch.column(self.places.window_end))
    }

    /// Files the rows under their windows.
    fn insert(&mut self, batch: &RecordBatch) -> Result<()> {
        let ends = self.ends(batch)?;
        let mut rows: Vec<u32> = (0..batch.num_rows() as u32).collect();
        rows.sort_by_key(|row| ends.value(*row as usize));
        let sorted = if ends.values().is_sorted() {
            batch.clone()
        } else {
            take_record_batch(batch, &UInt32Array::from(rows.clone()))?
        };
        let bytes = sorted.get_array_memory_size() / sorted.num_rows().max(1);
        let mut from = 0;
        for of_window in rows.chunk_by(|a, b| ends.value(*a as usize) == ends.value(*b as usize)) {
            let count = of_window.len();
            let held = self.windows.entry(ends.value(of_window[0] as usize)).or_default();
            held.rows += count;
            held.bytes += bytes * count;
            held.batches.push(sorted.slice(from, count));
            from += count;
            if held.rows > 2 * held.pruned + PRUNE_ROWS_MIN {
                let all = concat_batches(&self.input, &held.batches)?;
                let all = self.window.prune(&all)?.unwrap_or(all);
                let (rows, bytes) = (all.num_rows(), all.get_array_memory_size());
                *held = Held { rows, pruned: rows, bytes, batches: vec![all] };
            }
        }
        Ok(())
    }

    /// The rows on time; the others go to `output`.
    fn on_time(&self, batch: RecordBatch, output: &mut Output) -> Result<RecordBatch> {
        let ends = self.ends(&batch)?;
        let origin = Origin::of(&batch)?;
        let open = |row: usize| ends.value(row) - 1 > self.clock.watermark(origin.watermark.value(row));
        let on_time: Vec<u32> = (0..batch.num_rows()).filter(|row| open(*row)).map(|row| row as u32).collect();
        if on_time.len() == batch.num_rows() {
            return Ok(batch);
        }
        let times = match self.places.rowtime {
            Some(rowtime) => event_millis(batch.column(rowtime))?,
            None => return Err(Error::internal("a row that a window has made is late")),
        };
        output.late.extend((0..batch.num_rows()).filter(|row| !open(*row)).map(|row| LateRow {
            partition: PartitionId(origin.partition.value(row)),
            offset: origin.offset.value(row),
            event_time: times.value(row),
            watermark: origin.watermark.value(row),
            operator: self.name.into(),
        }));
        Ok(take_record_batch(&batch, &UInt32Array::from(on_time))?)
    }

    /// What leaves of the window that ends at `end`.
    fn fire(&self, held: &[RecordBatch], end: i64, output: &mut Output) -> Result<()> {
        let rows = concat_batches(&self.input, held)?;
        let complete = self.clock.event_time(end.saturating_sub(1)).saturating_add(1);
        for made in self.window.fire(&rows)? {
            let count = made.num_rows();
            let users = self.schema.fields().len() - crate::stream::ORIGIN_COLUMNS;
            let mut columns: Vec<ArrayRef> = made.columns()[..users].to_vec();
            columns.extend(made_origin(&columns, std::iter::repeat_n(complete, count), count)?);
            let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
            output.batches.extend(
                (0..count).step_by(BATCH_ROWS_MAX).map(|from| batch.slice(from, BATCH_ROWS_MAX.min(count - from))),
            );
        }
        Ok(())
    }
}

impl Operator for WindowRows {
    fn name(&self) -> &str {
        self.name
    }

    fn process(&mut self, batch: RecordBatch, output: &mut Output) -> Result<()> {
        let batch = self.on_time(batch, output)?;
        if let Some(late) = self.ends(&batch)?.values().iter().find(|end| **end - 1 <= self.watermark) {
            return Err(Error::internal(format!(
                "a row of the window ending at {late} ms came after the watermark {}",
                self.watermark
            )));
        }
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.push(batch.clone());
        }
        self.insert(&batch)
    }

    fn on_watermark(&mut self, watermark: EventTime, output: &mut Output) -> Result<Firing> {
        let watermark = self.clock.watermark(watermark).max(self.watermark);
        while let Some(first) = self.windows.first_entry().filter(|first| *first.key() - 1 <= watermark) {
            if output.rows() >= BATCH_ROWS_MAX {
                return Ok(Firing::More);
            }
            let (end, held) = first.remove_entry();
            self.fire(&held.batches, end, output)?;
        }
        self.watermark = watermark;
        Ok(Firing::Done)
    }

    fn snapshot(&mut self, how: Snapshot) -> Result<Vec<RecordBatch>> {
        let unsaved = self.unsaved.replace(Vec::new());
        let mut batches: Vec<RecordBatch> = match (how, unsaved) {
            (Snapshot::Changes, Some(unsaved)) => unsaved,
            _ => self.windows.values().flat_map(|held| held.batches.iter().cloned()).collect(),
        };
        batches.push(progress(self.watermark, 0)?);
        Ok(batches)
    }

    fn restore(&mut self, mut snapshot: Vec<RecordBatch>, owns: &KeyFilter) -> Result<()> {
        let watermark = take_progress(&mut snapshot)?;
        for batch in snapshot {
            if batch.schema_ref().fields().len() != self.input.fields().len() {
                return Err(misfit(&batch));
            }
            let hashes = hash_keys(&evaluate_all(&self.keys, &batch)?, batch.num_rows())?;
            let own: Vec<u32> =
                (0u32..).zip(&hashes).filter(|(_, hash)| owns.owns(**hash)).map(|(row, _)| row).collect();
            if !own.is_empty() {
                let own = take_record_batch(&batch, &UInt32Array::from(own))?;
                self.insert(&RecordBatch::try_new(Arc::clone(&self.input), own.columns().to_vec())?)?;
            }
        }
        self.unsaved = Some(Vec::new());
        self.watermark = watermark.map_or(self.watermark, |watermark| watermark.max(self.watermark));
        // These had left before the snapshot was taken.
        let watermark = self.watermark;
        self.windows.retain(|end, _| *end - 1 > watermark);
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        self.windows.values().map(|held| held.bytes).sum()
    }
}

/// Places of the rows in the order of arrival: within a partition as they came, partitions one after the other.
fn arrival(rows: &RecordBatch) -> Result<Vec<u32>> {
    let origin = Origin::of(rows)?;
    let mut places: Vec<u32> = (0..rows.num_rows() as u32).collect();
    places.sort_by_key(|row| (origin.partition.value(*row as usize), origin.offset.value(*row as usize)));
    Ok(places)
}
