//! The second half: panes of all partitions become windows.
//!
//! A pane arrives whole and is never changed, so it is kept as it came. The window `E` takes the panes
//! of its slices with `from_end ≤ E`, and merges them in the order (slice_end, from_end, partition) into
//! fresh accumulators: the order of arrival leaves no trace in the last bit. HOP takes its slices from the newest on,
//! as Flink does.
//!
//! **No pane comes after its window has fired.** A partition sends pane `(s, E)` before the watermark
//! `≥ E - 1` that completes it, and this operator's watermark is the lowest of all partitions', so it
//! reaches `E - 1` only after every partition's pane `E`. A restore keeps this: nothing is on the way
//! at a barrier, and each partition's watermark in a snapshot is at least this operator's.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take_arrays};
use arrow::datatypes::SchemaRef;
use datafusion::functions_aggregate::count::Count;
use datafusion::logical_expr::AggregateUDF;

use super::{NAME, WindowQuery};
use crate::error::{Error, Result};
use crate::limits::BATCH_ROWS_MAX;
use crate::operators::accumulate::{Groups, take_rows};
use crate::operators::columns::{int32, int64, misfit};
use crate::operators::windows::{constant_time, made_origin, progress, take_progress};
use crate::operators::{Firing, KeyFilter, Operator, Output, Snapshot, hash_keys};
use crate::plan::{WindowAggregate, WindowOutput};
use crate::stream::with_origin;
use crate::time::{EventTime, WATERMARK_MIN};

/// Name of a pane: `(slice_end, from_end, partition)`; its order is the order of merging.
type PaneId = (i64, i64, i32);

/// Partials of one pane: rows of a batch as it came (columns of the query's partial schema). A batch holds many
/// panes where keys are sparse, so it is shared rather than cut.
#[derive(Clone)]
struct Piece {
    batch: Arc<RecordBatch>,
    from: usize,
    rows: usize,
}

impl Piece {
    fn rows(&self) -> RecordBatch {
        self.batch.slice(self.from, self.rows)
    }
}

/// Results per window and key.
pub struct GlobalWindowAggregate {
    query: WindowQuery,
    output: Vec<WindowOutput>,
    schema: SchemaRef,
    /// Slices of a window are merged from its end, unless a function asks for the order of rows.
    newest_first: bool,

    panes: BTreeMap<PaneId, Vec<Piece>>,
    /// What came since the last snapshot; `None` until there is one.
    unsaved: Option<Vec<RecordBatch>>,
    watermark: EventTime,
}

impl GlobalWindowAggregate {
    /// `input` is the schema of the first half's input, `schema` the node's; both without origin columns.
    ///
    /// # Errors
    /// `Internal` if plan and input do not fit.
    pub fn new(plan: &WindowAggregate, input: &SchemaRef, schema: &SchemaRef) -> Result<Self> {
        let query = WindowQuery::new(plan, input)?;
        // DataFusion's COUNT asks for an order as every function that says nothing
        let asks = |call: &AggregateUDF| !call.inner().is::<Count>() && call.order_sensitivity().hard_requires();
        let ordered = query.groups.calls.iter().any(|call| asks(call.fun()));
        Ok(Self {
            newest_first: query.slices.newest_first() && !ordered,
            query,
            output: plan.output.clone(),
            schema: with_origin(schema),
            panes: BTreeMap::new(),
            unsaved: None,
            watermark: WATERMARK_MIN,
        })
    }

    /// Files the rows under their panes.
    fn insert(&mut self, batch: RecordBatch) -> Result<()> {
        let batch = Arc::new(batch);
        if batch.num_columns() != self.query.partial.fields().len() {
            return Err(misfit(&batch));
        }
        let column = self.query.slice_end_column();
        let slices = int64(&batch, column)?.values();
        let windows = int64(&batch, column + 1)?.values();
        let partitions = int32(&batch, column + 2)?.values();
        let mut from = 0;
        while from < batch.num_rows() {
            let id = (slices[from], windows[from], partitions[from]);
            let rows = (from..batch.num_rows()).take_while(|&i| (slices[i], windows[i], partitions[i]) == id).count();
            self.panes.entry(id).or_default().push(Piece { batch: Arc::clone(&batch), from, rows });
            from += rows;
        }
        Ok(())
    }

    /// End of the next window that has rows and has not fired, for a pane.
    fn next_end(&self, (slice_end, from_end, _): PaneId) -> Option<i64> {
        self.query.slices.first_open(slice_end, self.watermark.max(from_end.saturating_sub(2)))
    }

    /// End of the next window to fire. Panes stand in the order of their slices, and no window ends before a slice
    /// in it: those behind the best end so far need no look.
    fn next_window(&self) -> Option<i64> {
        let mut best: Option<i64> = None;
        for id in self.panes.keys() {
            if best.is_some_and(|best| id.0 > best) {
                break;
            }
            best = best.into_iter().chain(self.next_end(*id)).min();
        }
        best
    }

    /// The window ending at `end`: one row per key, in the order of the keys.
    fn fire(&self, end: i64, output: &mut Output) -> Result<()> {
        let start = self.query.slices.window_start(end);
        let mut groups = Groups::new(&self.query.groups)?;
        let slices = (start.saturating_add(1), i64::MIN, i32::MIN)..=(end, i64::MAX, i32::MAX);
        let mut panes: Vec<_> = self.panes.range(slices).filter(|((_, from_end, _), _)| *from_end <= end).collect();
        if self.newest_first {
            panes.sort_by_key(|((slice_end, ..), _)| Reverse(*slice_end));
        }
        for (_, pieces) in panes {
            for piece in pieces {
                groups.merge(&piece.rows().columns()[..self.query.slice_end_column()], piece.rows)?;
            }
        }
        let count = groups.len();
        if count == 0 {
            return Ok(());
        }
        let (keys, results) = groups.into_results()?;
        let (keys, results) = by_key(keys, results)?;
        let batch = self.rows(start, end, &keys, &results, count)?;
        for from in (0..count).step_by(BATCH_ROWS_MAX) {
            output.batches.push(batch.slice(from, BATCH_ROWS_MAX.min(count - from)));
        }
        Ok(())
    }

    fn rows(&self, start: i64, end: i64, keys: &[ArrayRef], results: &[ArrayRef], count: usize) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for (output, field) in self.output.iter().zip(self.schema.fields()) {
            let instant = |time: i64| constant_time(time, field.data_type(), count);
            columns.push(match *output {
                WindowOutput::Start => instant(start)?,
                WindowOutput::End => instant(end)?,
                WindowOutput::Time => instant(self.query.clock.event_time(end.saturating_sub(1)))?,
                WindowOutput::Key(i) => Arc::clone(&keys[i]),
                WindowOutput::Aggregate(i) => Arc::clone(&results[i]),
            });
        }
        let complete = self.query.clock.event_time(end.saturating_sub(1)).saturating_add(1);
        columns.extend(made_origin(keys, std::iter::repeat_n(complete, count), count)?);
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// Lets go of panes whose last window has fired: the first ones, since a later slice is in no earlier window.
    fn drop_complete(&mut self) {
        while let Some(pane) = self.panes.first_entry() {
            if self.query.slices.first_open(pane.key().0, self.watermark).is_some() {
                break;
            }
            pane.remove();
        }
    }
}

/// Sorts groups by their keys, NULLs first. Keys are distinct, so the order is total.
fn by_key(keys: Vec<ArrayRef>, results: Vec<ArrayRef>) -> Result<(Vec<ArrayRef>, Vec<ArrayRef>)> {
    if keys.is_empty() {
        return Ok((keys, results));
    }
    let options = Some(SortOptions { descending: false, nulls_first: true });
    let columns: Vec<_> = keys.iter().map(|key| SortColumn { values: Arc::clone(key), options }).collect();
    let order = lexsort_to_indices(&columns, None)?;
    Ok((take_arrays(&keys, &order, None)?, take_arrays(&results, &order, None)?))
}

impl Operator for GlobalWindowAggregate {
    fn name(&self) -> &str {
        NAME
    }

    fn process(&mut self, batch: RecordBatch, _output: &mut Output) -> Result<()> {
        let windows = int64(&batch, self.query.slice_end_column() + 1)?;
        if let Some(late) = windows.values().iter().find(|end| **end - 1 <= self.watermark) {
            return Err(Error::internal(format!(
                "partial results for the window ending at {late} ms came after the watermark {}",
                self.watermark
            )));
        }
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.push(batch.clone());
        }
        self.insert(batch)
    }

    fn on_watermark(&mut self, watermark: EventTime, output: &mut Output) -> Result<Firing> {
        let watermark = self.query.clock.watermark(watermark);
        if watermark <= self.watermark {
            return Ok(Firing::Done);
        }
        while let Some(end) = self.next_window().filter(|end| end - 1 <= watermark) {
            if output.rows() >= BATCH_ROWS_MAX {
                return Ok(Firing::More);
            }
            self.fire(end, output)?;
            self.watermark = end - 1;
            self.drop_complete();
        }
        self.watermark = watermark;
        self.drop_complete();
        Ok(Firing::Done)
    }

    fn snapshot(&mut self, how: Snapshot) -> Result<Vec<RecordBatch>> {
        let unsaved = self.unsaved.replace(Vec::new());
        let mut batches: Vec<RecordBatch> = match (how, unsaved) {
            (Snapshot::Changes, Some(unsaved)) => unsaved,
            _ => self.panes.values().flatten().map(Piece::rows).collect(),
        };
        batches.push(progress(self.watermark, 0)?);
        Ok(batches)
    }

    fn restore(&mut self, mut snapshot: Vec<RecordBatch>, owns: &KeyFilter) -> Result<()> {
        let watermark = take_progress(&mut snapshot)?;
        for batch in snapshot {
            if batch.num_columns() != self.query.partial.fields().len() {
                return Err(misfit(&batch));
            }
            let hashes = hash_keys(&batch.columns()[..self.query.keys.len()], batch.num_rows())?;
            let rows: Vec<u32> =
                (0u32..).zip(&hashes).filter(|(_, hash)| owns.owns(**hash)).map(|(row, _)| row).collect();
            if !rows.is_empty() {
                let columns = take_rows(batch.columns(), &rows)?;
                self.insert(RecordBatch::try_new(Arc::clone(&self.query.partial), columns)?)?;
            }
        }
        self.unsaved = Some(Vec::new());
        self.watermark = watermark.map_or(self.watermark, |watermark| watermark.max(self.watermark));
        self.drop_complete();
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        let row = |piece: &Piece| piece.batch.get_array_memory_size() / piece.batch.num_rows().max(1);
        self.panes.values().flatten().map(|piece| row(piece) * piece.rows).sum()
    }
}
