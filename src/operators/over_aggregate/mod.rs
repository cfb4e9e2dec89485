//! `f(…) OVER (PARTITION BY keys ORDER BY rowtime … PRECEDING)`: one row out per row in.
//!
//! Rows wait until the watermark has passed their time and leave in the order (time, partition,
//! offset); what a frame needs of them stays behind per key. A row behind its own partition's watermark
//! `w` that is still accepted (`lateness`) leaves as if its time were `w + 1`: by then it has arrived
//! in every interleaving, so the order in which rows leave is a function of the input log. For keys
//! that come from one partition that order is the order of time.
//!
//! How long state lives: a ROWS frame keeps so many rows of a key for ever; a RANGE frame lets go of a
//! key when the watermark is one and a half of the frame's length past its last row; an unbounded frame keeps
//! one accumulator per key and call for ever.
//!
//! # Source
//! Flink `RowTimeRowsBoundedPrecedingFunction`, `RowTimeRangeBoundedPrecedingFunction`,
//! `AbstractRowTimeUnboundedPrecedingOver` and `RowTimeDeduplicateKeepFirstRowFunction` for lateness and order.

mod frame;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{interleave_record_batch, take, take_arrays, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::ScalarValue;
use datafusion::physical_expr::PhysicalExpr;

use self::frame::{FrameSpec, History, Results, Rows, Running};
use super::columns::{Arguments, evaluate, row_times};
use super::lateness::{Fired, NEVER, fires_at};
use super::{Firing, KeyFilter, Operator, Output, Snapshot};
use crate::error::{Error, Result};
use crate::limits::BATCH_ROWS_MAX;
use crate::plan::OverAggregate;
use crate::stream::{LateRow, Origin, PartitionId, user_columns, with_origin};
use crate::time::{EventTime, WATERMARK_MIN};

const NAME: &str = "over_aggregate";

/// Place of a row in the order in which rows leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    /// The time, or for a row behind its partition's watermark the first moment after that.
    effective: i64,
    time: i64,
    partition: i32,
    offset: i64,
    /// Rows of one record share an offset: order of arrival, which within a partition is fixed.
    arrival: u64,
}

/// Where a waiting row is.
#[derive(Debug, Clone, Copy)]
struct Place {
    batch: u64,
    row: u32,
    key: u32,
    /// When its partition had last forgotten its key ([`Fired`]).
    since: i64,
}

/// A batch of which rows wait.
#[derive(Debug)]
struct Waiting {
    batch: RecordBatch,
    rows: usize,
}

/// All that is known of one key.
#[derive(Debug, Default)]
struct Key {
    /// The key as the row converter writes it.
    bytes: Box<[u8]>,
    fired: Vec<Fired>,
    history: History,
    running: Option<Running>,
    /// Rows that wait.
    waiting: usize,
    /// Whether `running` has changed since the last snapshot.
    changed: bool,
}

/// Aggregates over the rows before each row.
pub struct OverAggregateOperator {
    rowtime: usize,
    key_exprs: Vec<Arc<dyn PhysicalExpr>>,
    frame: FrameSpec,
    keeps_first: bool,
    /// Of the input, with origin columns.
    input: SchemaRef,
    /// Of the output, with origin columns.
    schema: SchemaRef,
    converter: Option<RowConverter>,

    index: BTreeMap<Box<[u8]>, u32>,
    keys: Vec<Key>,
    /// Places in `keys` to be used again.
    free: Vec<u32>,
    waiting: BTreeMap<u64, Waiting>,
    order: BTreeMap<Position, Place>,
    batches: u64,
    arrivals: u64,
    watermark: EventTime,
    /// Rows accepted since the last snapshot; `None` until there is one.
    unsaved: Option<Vec<RecordBatch>>,
    /// When keys are next looked through for some to let go.
    next_sweep: EventTime,
}

impl OverAggregateOperator {
    /// `input` and `schema` are those of the node's input and of the node, without origin columns.
    ///
    /// # Errors
    /// `Internal` if plan and schemas do not fit.
    pub fn new(plan: &OverAggregate, input: &SchemaRef, schema: &SchemaRef) -> Result<Self> {
        let key_exprs: Vec<_> = plan.keys.iter().map(|key| Arc::clone(&key.expr)).collect();
        let fields =
            key_exprs.iter().map(|k| Ok(SortField::new(plain(k.data_type(input)?)))).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            rowtime: plan.rowtime,
            converter: if fields.is_empty() { None } else { Some(RowConverter::new(fields)?) },
            key_exprs,
            frame: FrameSpec {
                frame: plan.frame,
                calls: plan.aggregates.iter().map(|a| Arc::clone(&a.call)).collect(),
                arguments: Arguments::new(&plan.aggregates),
            },
            keeps_first: plan.keeps_first,
            input: with_origin(input),
            schema: with_origin(schema),
            index: BTreeMap::new(),
            keys: Vec::new(),
            free: Vec::new(),
            waiting: BTreeMap::new(),
            order: BTreeMap::new(),
            batches: 0,
            arrivals: 0,
            watermark: WATERMARK_MIN,
            unsaved: None,
            next_sweep: WATERMARK_MIN,
        })
    }

    /// Key columns of rows, without dictionaries.
    fn key_columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let unpacked = |key: &Arc<dyn PhysicalExpr>| {
            let column = evaluate(key, batch)?;
            match column.data_type() {
                DataType::Dictionary(_, value) => Ok(arrow::compute::cast(&column, value)?),
                _ => Ok(column),
            }
        };
        self.key_exprs.iter().map(unpacked).collect()
    }

    /// Keys of rows as bytes that are equal for equal keys.
    fn key_bytes(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<Box<[u8]>>> {
        match &self.converter {
            None => Ok(vec![Box::default(); rows]),
            Some(converter) => Ok(converter.convert_columns(columns)?.iter().map(|row| row.as_ref().into()).collect()),
        }
    }

    /// Place of a key, which is made if it is new.
    fn key(&mut self, bytes: &[u8]) -> u32 {
        if let Some(&key) = self.index.get(bytes) {
            return key;
        }
        let state = Key { bytes: bytes.into(), ..Key::default() };
        let key = match self.free.pop() {
            Some(key) => {
                self.keys[key as usize] = state;
                key
            }
            None => {
                self.keys.push(state);
                (self.keys.len() - 1) as u32
            }
        };
        self.index.insert(bytes.into(), key);
        key
    }

    /// If a row comes in time, since when its frame sees rows; `key` is asked for only if that depends on it.
    fn in_time(&mut self, key: &[u8], partition: i32, time: EventTime, watermark: EventTime) -> Option<i64> {
        if self.frame.unbounded() {
            let in_time = if self.keeps_first { time >= watermark } else { time > watermark };
            return in_time.then_some(NEVER);
        }
        let range_ms = self.frame.range_ms();
        let key = self.key(key) as usize;
        let fired = self.keys[key].fired_in(partition);
        fired.accept(time, watermark, range_ms).then_some(fired.forgotten)
    }

    /// Puts rows in their places; `judge` says since when each sees others, or `None` if it is late. Returns the
    /// accepted ones.
    fn accept(
        &mut self,
        batch: RecordBatch,
        mut judge: impl FnMut(&mut Self, &[u8], usize, LateRow) -> Option<i64>,
    ) -> Result<Option<RecordBatch>> {
        let times = row_times(&batch, self.rowtime)?;
        let keys = self.key_bytes(&self.key_columns(&batch)?, batch.num_rows())?;
        let origin = Origin::of(&batch)?;
        let number = self.batches;
        let mut accepted: Vec<u32> = Vec::with_capacity(batch.num_rows());
        for (row, bytes) in keys.iter().enumerate() {
            let (time, watermark) = (times.value(row), origin.watermark.value(row));
            let (partition, offset) = (origin.partition.value(row), origin.offset.value(row));
            let as_late = LateRow {
                partition: PartitionId(partition),
                offset,
                event_time: time,
                watermark,
                operator: String::new(),
            };
            let Some(since) = judge(self, bytes, row, as_late) else { continue };
            let effective = fires_at(time, watermark);
            let key = self.key(bytes);
            self.keys[key as usize].waiting += 1;
            let position = Position { effective, time, partition, offset, arrival: self.arrivals };
            self.order.insert(position, Place { batch: number, row: row as u32, key, since });
            self.arrivals += 1;
            accepted.push(row as u32);
        }
        if accepted.is_empty() {
            return Ok(None);
        }
        self.batches += 1;
        self.waiting.insert(number, Waiting { batch: batch.clone(), rows: accepted.len() });
        match accepted.len() == batch.num_rows() {
            true => Ok(Some(batch)),
            false => Ok(Some(take_record_batch(&batch, &UInt32Array::from(accepted))?)),
        }
    }

    /// Lets all rows up to `watermark` leave; without `output`, only their traces in the state remain.
    fn fire(&mut self, watermark: EventTime, output: Option<&mut Output>) -> Result<()> {
        let mut ready = std::mem::take(&mut self.order);
        if let Some(after) = watermark.checked_add(1) {
            let first =
                Position { effective: after, time: i64::MIN, partition: i32::MIN, offset: i64::MIN, arrival: 0 };
            self.order = ready.split_off(&first);
        }
        if !ready.is_empty() {
            let batch = self.take_waiting(&ready)?;
            self.compute(&ready, &batch, output)?;
        }
        self.watermark = self.watermark.max(watermark);
        self.sweep();
        Ok(())
    }

    /// The rows of `ready` as a batch, in order.
    fn take_waiting(&mut self, ready: &BTreeMap<Position, Place>) -> Result<RecordBatch> {
        let mut numbers: Vec<u64> = ready.values().map(|place| place.batch).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let batches: Vec<&RecordBatch> = numbers.iter().filter_map(|n| self.waiting.get(n)).map(|w| &w.batch).collect();
        let rows: Vec<(usize, usize)> =
            ready.values().map(|p| (numbers.partition_point(|n| *n < p.batch), p.row as usize)).collect();
        let batch = interleave_record_batch(&batches, &rows)?;
        for place in ready.values() {
            if let Some(waiting) = self.waiting.get_mut(&place.batch) {
                waiting.rows -= 1;
                if waiting.rows == 0 {
                    self.waiting.remove(&place.batch);
                }
            }
        }
        Ok(batch)
    }

    /// Computes the calls for the rows of `batch`, key by key, and puts the results beside the rows.
    fn compute(
        &mut self,
        ready: &BTreeMap<Position, Place>,
        batch: &RecordBatch,
        output: Option<&mut Output>,
    ) -> Result<()> {
        let places: Vec<(&Position, &Place)> = ready.iter().collect();
        let mut by_key: Vec<u32> = (0..places.len() as u32).collect();
        by_key.sort_by_key(|&row| places[row as usize].1.key);
        let arguments = take_arrays(&self.frame.arguments.columns(batch)?, &UInt32Array::from(by_key.clone()), None)?;
        let times: Vec<i64> = by_key.iter().map(|&row| places[row as usize].0.time).collect();
        let effective: Vec<i64> = by_key.iter().map(|&row| places[row as usize].0.effective).collect();
        let partitions: Vec<i32> = by_key.iter().map(|&row| places[row as usize].0.partition).collect();
        let since: Vec<i64> = by_key.iter().map(|&row| places[row as usize].1.since).collect();
        let key_of = |i: usize| places[by_key[i] as usize].1.key;
        let mut results: Option<Results> =
            output.is_some().then(|| vec![Vec::with_capacity(times.len()); self.frame.calls.len()]);
        let mut from = 0;
        while from < times.len() {
            let key = key_of(from);
            let to = (from..times.len()).find(|&i| key_of(i) != key).unwrap_or(times.len());
            let columns: Vec<ArrayRef> = arguments.iter().map(|c| c.slice(from, to - from)).collect();
            let rows = Rows {
                effective: &effective[from..to],
                times: &times[from..to],
                partitions: &partitions[from..to],
                since: &since[from..to],
                columns: &columns,
            };
            let state = &mut self.keys[key as usize];
            state.waiting -= to - from;
            state.advance(&self.frame, &rows, results.as_mut())?;
            from = to;
        }
        match (results, output) {
            (Some(results), Some(output)) => self.emit(batch, results, &by_key, output),
            _ => Ok(()),
        }
    }

    /// `results` stand in the order of `by_key`; they leave in the order of the rows.
    fn emit(&self, batch: &RecordBatch, results: Results, by_key: &[u32], output: &mut Output) -> Result<()> {
        let mut place = vec![0u32; by_key.len()];
        for (at, &row) in (0u32..).zip(by_key) {
            place[row as usize] = at;
        }
        let place = UInt32Array::from(place);
        let users = user_columns(batch)?;
        let mut columns = batch.columns()[..users].to_vec();
        for results in results {
            columns.push(take(&ScalarValue::iter_to_array(results)?, &place, None)?);
        }
        columns.extend_from_slice(&batch.columns()[users..]);
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        let rows = batch.num_rows();
        output
            .batches
            .extend((0..rows).step_by(BATCH_ROWS_MAX).map(|at| batch.slice(at, BATCH_ROWS_MAX.min(rows - at))));
        Ok(())
    }

    /// Lets go of keys that a RANGE frame has forgotten. Looked at once per frame length of event time, so that a
    /// key costs its own rows only.
    fn sweep(&mut self) {
        let Some(length) = self.frame.range_ms() else { return };
        if self.watermark < self.next_sweep {
            return;
        }
        self.next_sweep = self.watermark.saturating_add(length.max(1));
        let (keys, free, watermark) = (&mut self.keys, &mut self.free, self.watermark);
        self.index.retain(|_, place| {
            let key = &mut keys[*place as usize];
            // A row still to come leaves after `watermark`: its frame would have none of this history.
            let forgotten = key.fired.iter().all(|fired| fired.forgotten_by(watermark));
            let done = key.waiting == 0 && forgotten && key.history.forgotten(length, watermark);
            if done {
                *key = Key::default();
                free.push(*place);
            }
            !done
        });
    }
}

impl Key {
    fn fired_in(&mut self, partition: i32) -> &mut Fired {
        let place = match self.fired.iter().position(|f| f.partition == partition) {
            Some(place) => place,
            None => {
                self.fired.push(Fired::of_over(partition));
                self.fired.len() - 1
            }
        };
        &mut self.fired[place]
    }

    fn advance(&mut self, frame: &FrameSpec, rows: &Rows<'_>, results: Option<&mut Results>) -> Result<()> {
        if !frame.unbounded() {
            return self.history.advance(frame, rows, results);
        }
        // When restoring, the accumulators of the snapshot know these rows already.
        let Some(results) = results else { return Ok(()) };
        self.changed = true;
        let running = match &mut self.running {
            Some(running) => running,
            None => self.running.insert(Running::new(frame)?),
        };
        running.advance(frame, rows, results)
    }
}

/// The type without a dictionary around it.
fn plain(data_type: DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => *value,
        other => other,
    }
}

impl Operator for OverAggregateOperator {
    fn name(&self) -> &str {
        NAME
    }

    fn process(&mut self, batch: RecordBatch, output: &mut Output) -> Result<()> {
        let mut behind = None;
        let accepted = self.accept(batch, |this, key, _, row| {
            let since = this.in_time(key, row.partition.0, row.event_time, row.watermark);
            if since.is_none() {
                output.late.push(LateRow { operator: NAME.into(), ..row });
            } else if fires_at(row.event_time, row.watermark) <= this.watermark {
                behind = Some((row.event_time, this.watermark));
            }
            since
        })?;
        if let Some((time, watermark)) = behind {
            return Err(Error::internal(format!("a row of {time} ms came after the watermark {watermark} ms")));
        }
        if let (Some(unsaved), Some(accepted)) = (&mut self.unsaved, accepted) {
            unsaved.push(accepted);
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark: EventTime, output: &mut Output) -> Result<Firing> {
        if watermark > self.watermark {
            self.fire(watermark, Some(output))?;
        }
        Ok(Firing::Done)
    }

    fn snapshot(&mut self, how: Snapshot) -> Result<Vec<RecordBatch>> {
        self.write(how)
    }

    fn restore(&mut self, snapshot: Vec<RecordBatch>, owns: &KeyFilter) -> Result<()> {
        self.read(snapshot, owns)
    }

    fn state_bytes(&self) -> usize {
        let waiting: usize = self.waiting.values().map(|w| w.batch.get_array_memory_size()).sum();
        let keys: usize = self
            .keys
            .iter()
            .map(|key| {
                let timers: usize = key.fired.iter().map(|fired| fired.ahead.len() * size_of::<(i64, i64)>()).sum();
                2 * key.bytes.len() + timers + key.history.bytes() + key.running.as_ref().map_or(0, Running::bytes)
            })
            .sum();
        waiting + keys + self.order.len() * (size_of::<Position>() + size_of::<Place>())
    }
}

/// A column of event times, for snapshots.
fn times_column(times: Vec<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(times))
}
