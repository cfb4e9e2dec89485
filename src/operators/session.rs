//! `GROUP BY window_start, window_end, keys` over SESSION: rows of a key with no more than the gap between them.
//!
//! Whether a row joins a session depends on which sessions had ended when it was read. So rows wait until the
//! watermark has passed the one of their own partition before them, and are taken in the order (that watermark,
//! partition, offset): what Flink does with one partition and a watermark after every record, and a function of the
//! input log for several. No row waits longer than its session does. A session that swallows others keeps their
//! accumulators and merges them, in the order of their making, when it ends: the last bit does not depend on how
//! often the watermark was told.
//!
//! # Source
//! Flink `MergingWindowSet` and `TimeWindow.intersects`: windows that touch are one, and lateness is judged after
//! merging.

mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray, UInt32Array};
use arrow::compute::{interleave_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::physical_expr::PhysicalExpr;

use super::accumulate::{GroupSpec, Groups, take_rows};
use super::columns::{evaluate_all, row_times};
use super::windows::{WindowClock, made_origin, time_column};
use super::{KeyFilter, Operator, Output, Snapshot};
use crate::error::{Error, Result};
use crate::limits::BATCH_ROWS_MAX;
use crate::plan::{WindowAggregate, WindowKind, WindowOutput};
use crate::stream::{LateRow, Origin, PartitionId, with_origin};
use crate::time::{EventTime, WATERMARK_MIN};

const NAME: &str = "session_aggregate";

/// A window `[start, end)` of a key, in the time of the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Session {
    start: i64,
    end: i64,
    /// Its accumulators, in the order in which they are merged; rows go to the last.
    parts: Vec<i64>,
}

/// A session that leaves; their order is that of leaving.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ended {
    end: i64,
    start: i64,
    key: Box<[u8]>,
    parts: Vec<i64>,
}

/// Aggregates per session and key.
pub struct SessionAggregate {
    gap_ms: i64,
    clock: WindowClock,
    rowtime: usize,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    key_fields: Vec<FieldRef>,
    converter: Option<RowConverter>,
    /// Keyed by the number of an accumulator.
    spec: Arc<GroupSpec>,
    output: Vec<WindowOutput>,
    /// Of the input, with origin columns.
    input: SchemaRef,
    /// Of the output, with origin columns.
    schema: SchemaRef,

    /// Rows whose partition's watermark has not been passed.
    waiting: Vec<RecordBatch>,
    sessions: BTreeMap<Box<[u8]>, Vec<Session>>,
    groups: Groups,
    parts: i64,
    /// Of event time.
    watermark: EventTime,
    /// Rows that came since the last snapshot; `None` until there is one.
    unsaved: Option<Vec<RecordBatch>>,
    /// Keys whose sessions have changed since the last snapshot.
    changed: BTreeSet<Box<[u8]>>,
}

impl SessionAggregate {
    /// `input` and `schema` are those of the node's input and of the node, without origin columns.
    ///
    /// # Errors
    /// `Internal` if plan and schemas do not fit.
    pub fn new(plan: &WindowAggregate, input: &SchemaRef, schema: &SchemaRef) -> Result<Self> {
        let WindowKind::Session { gap_ms } = plan.window.kind else {
            return Err(Error::internal("a session window of another kind"));
        };
        let keys: Vec<Arc<dyn PhysicalExpr>> = plan.keys.iter().map(|key| Arc::clone(&key.expr)).collect();
        let key_field = |(i, key): (usize, &Arc<dyn PhysicalExpr>)| {
            Ok(Arc::new(Field::new(format!("key{i}"), key.data_type(input)?, true)) as FieldRef)
        };
        let key_fields = keys.iter().enumerate().map(key_field).collect::<Result<Vec<_>>>()?;
        let sort = key_fields.iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let number = Arc::new(Field::new("part", DataType::Int64, false)) as FieldRef;
        let spec = Arc::new(GroupSpec::new(vec![number], &plan.aggregates)?);
        Ok(Self {
            gap_ms,
            clock: WindowClock::new(plan.window.zone),
            rowtime: plan.window.rowtime,
            converter: if keys.is_empty() { None } else { Some(RowConverter::new(sort)?) },
            keys,
            key_fields,
            groups: Groups::new(&spec)?,
            spec,
            output: plan.output.clone(),
            input: with_origin(input),
            schema: with_origin(schema),
            waiting: Vec::new(),
            sessions: BTreeMap::new(),
            parts: 0,
            watermark: WATERMARK_MIN,
            unsaved: None,
            changed: BTreeSet::new(),
        })
    }

    /// Keys of rows as bytes, equal for equal keys.
    fn key_bytes(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<Box<[u8]>>> {
        match &self.converter {
            None => Ok(vec![Box::default(); rows]),
            Some(converter) => Ok(converter.convert_columns(columns)?.iter().map(|row| row.data().into()).collect()),
        }
    }

    /// Takes the rows whose partition's watermark `watermark` has passed out of those that wait, in order.
    fn take_ready(&mut self, watermark: EventTime) -> Result<Option<RecordBatch>> {
        let mut ready: Vec<(i64, i32, i64, usize, usize)> = Vec::new();
        let mut rest = Vec::new();
        for (number, batch) in self.waiting.iter().enumerate() {
            let origin = Origin::of(batch)?;
            let (mut left, mut taken) = (Vec::new(), false);
            for (row, &before) in origin.watermark.values().iter().enumerate() {
                if before < watermark {
                    ready.push((before, origin.partition.value(row), origin.offset.value(row), number, row));
                    taken = true;
                } else {
                    left.push(row as u32);
                }
            }
            match (taken, left.is_empty()) {
                (false, _) => rest.push(batch.clone()),
                (true, false) => rest.push(take_record_batch(batch, &UInt32Array::from(left))?),
                (true, true) => {}
            }
        }
        if ready.is_empty() {
            return Ok(None);
        }
        ready.sort_unstable();
        let places: Vec<(usize, usize)> = ready.iter().map(|&(.., number, row)| (number, row)).collect();
        let batches: Vec<&RecordBatch> = self.waiting.iter().collect();
        let batch = interleave_record_batch(&batches, &places)?;
        self.waiting = rest;
        Ok(Some(batch))
    }

    /// Puts rows into sessions, and those that are late to `output`.
    fn assign(&mut self, batch: &RecordBatch, output: &mut Output) -> Result<()> {
        let columns = evaluate_all(&self.keys, batch)?;
        let keys = self.key_bytes(&columns, batch.num_rows())?;
        let event_times = row_times(batch, self.rowtime)?;
        let times = self.clock.times(event_times.clone());
        let origin = Origin::of(batch)?;
        let (mut rows, mut parts) = (Vec::new(), Vec::new());
        for (row, key) in keys.into_iter().enumerate() {
            let watermark = origin.watermark.value(row);
            match self.part_of(&key, times.value(row), self.clock.watermark(watermark)) {
                Some(part) => {
                    rows.push(row as u32);
                    parts.push(part);
                    if self.unsaved.is_some() {
                        self.changed.insert(key);
                    }
                }
                None => output.late.push(LateRow {
                    partition: PartitionId(origin.partition.value(row)),
                    offset: origin.offset.value(row),
                    event_time: event_times.value(row),
                    watermark,
                    operator: NAME.into(),
                }),
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let batch = take_record_batch(batch, &UInt32Array::from(rows))?;
        let arguments = self.spec.arguments.columns(&batch)?;
        self.groups.update(&[Arc::new(Int64Array::from(parts))], &arguments, batch.num_rows())
    }

    /// The accumulator of a row at `time` that was read at `watermark`; `None` if it is late.
    fn part_of(&mut self, key: &[u8], time: i64, watermark: i64) -> Option<i64> {
        let (mut start, mut end) = (time, time.saturating_add(self.gap_ms));
        let touches = |s: &Session| s.end.saturating_sub(1) > watermark && s.start <= end && s.end >= start;
        let known = self.sessions.get_mut(key);
        let joined: Vec<Session> = match known {
            Some(sessions) => sessions.extract_if(.., |session| touches(session)).collect(),
            None => Vec::new(),
        };
        if joined.is_empty() && end.saturating_sub(1) <= watermark {
            return None;
        }
        // A row that makes one of several comes after all of theirs: it begins an accumulator of its own.
        let begins = joined.len() != 1;
        let mut parts = Vec::new();
        for session in joined {
            (start, end) = (start.min(session.start), end.max(session.end));
            parts.extend(session.parts);
        }
        parts.sort_unstable();
        if begins {
            parts.push(self.parts);
            self.parts += 1;
        }
        let part = parts.last().copied();
        self.sessions.entry(key.into()).or_default().push(Session { start, end, parts });
        part
    }

    /// Lets the sessions leave that `watermark`, a time of the clock, has completed.
    fn fire(&mut self, watermark: i64, output: &mut Output) -> Result<()> {
        let mut ended = Vec::new();
        self.sessions.retain(|key, sessions| {
            let done = sessions.extract_if(.., |session| session.end.saturating_sub(1) <= watermark);
            ended.extend(done.map(|Session { start, end, parts }| Ended { end, start, key: key.clone(), parts }));
            !sessions.is_empty()
        });
        if ended.is_empty() {
            return Ok(());
        }
        ended.sort_unstable();
        let results = self.take_results(ended.iter().map(|session| session.parts.as_slice()))?;
        for from in (0..ended.len()).step_by(BATCH_ROWS_MAX) {
            let to = ended.len().min(from + BATCH_ROWS_MAX);
            let results: Vec<ArrayRef> = results.iter().map(|column| column.slice(from, to - from)).collect();
            output.batches.push(self.rows(&ended[from..to], &results)?);
        }
        Ok(())
    }

    /// Results of sessions given by their accumulators, in their order; these accumulators are gone then.
    fn take_results<'a>(&mut self, sessions: impl Iterator<Item = &'a [i64]>) -> Result<Vec<ArrayRef>> {
        let groups = std::mem::replace(&mut self.groups, Groups::new(&self.spec)?);
        let (columns, count) = groups.into_partial()?;
        let numbers = column_of_numbers(&columns)?;
        let place: BTreeMap<i64, u32> = numbers.values().iter().copied().zip(0u32..).collect();
        let (mut rows, mut session_of) = (Vec::new(), Vec::new());
        for (session, parts) in (0i64..).zip(sessions) {
            for part in parts {
                rows.push(*place.get(part).ok_or_else(|| Error::internal("a session without its accumulator"))?);
                session_of.push(session);
            }
        }
        let mut taken = vec![false; count];
        rows.iter().for_each(|row| taken[*row as usize] = true);
        let left: Vec<u32> = (0u32..).zip(&taken).filter(|(_, taken)| !**taken).map(|(row, _)| row).collect();
        self.groups.merge(&take_rows(&columns, &left)?, left.len())?;
        let mut merged = Groups::new(&self.spec)?;
        let mut partial = take_rows(&columns, &rows)?;
        partial[0] = Arc::new(Int64Array::from(session_of));
        merged.merge(&partial, rows.len())?;
        Ok(merged.into_results()?.1)
    }

    /// The rows of ended sessions.
    fn rows(&self, ended: &[Ended], results: &[ArrayRef]) -> Result<RecordBatch> {
        let keys = self.key_columns(ended.iter().map(|session| session.key.as_ref()))?;
        let times = |time: &dyn Fn(i64, i64) -> i64, data_type: &DataType| {
            let times = ended.iter().map(|session| time(session.start, session.end));
            time_column(TimestampMillisecondArray::from_iter_values(times), data_type)
        };
        let last = |_: i64, end: i64| self.clock.event_time(end.saturating_sub(1));
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for (output, field) in self.output.iter().zip(self.schema.fields()) {
            columns.push(match *output {
                WindowOutput::Start => times(&|start, _| start, field.data_type())?,
                WindowOutput::End => times(&|_, end| end, field.data_type())?,
                WindowOutput::Time => times(&last, field.data_type())?,
                WindowOutput::Key(i) => Arc::clone(&keys[i]),
                WindowOutput::Aggregate(i) => Arc::clone(&results[i]),
            });
        }
        let ends = ended.iter().map(|session| last(session.start, session.end).saturating_add(1));
        columns.extend(made_origin(&keys, ends, ended.len())?);
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// Keys as columns again.
    fn key_columns<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        match &self.converter {
            None => Ok(Vec::new()),
            Some(converter) => {
                let parser = converter.parser();
                Ok(converter.convert_rows(keys.map(|key| parser.parse(key)))?)
            }
        }
    }
}

/// The numbers of accumulators in a partial.
fn column_of_numbers(columns: &[ArrayRef]) -> Result<&Int64Array> {
    use arrow::array::AsArray;
    let numbers = columns.first().and_then(|column| column.as_primitive_opt());
    numbers.ok_or_else(|| Error::internal("accumulators without numbers"))
}

impl Operator for SessionAggregate {
    fn name(&self) -> &str {
        NAME
    }

    fn process(&mut self, batch: RecordBatch, _output: &mut Output) -> Result<()> {
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.push(batch.clone());
        }
        self.waiting.push(batch);
        Ok(())
    }

    fn on_watermark(&mut self, watermark: EventTime, output: &mut Output) -> Result<()> {
        if watermark <= self.watermark {
            return Ok(());
        }
        if let Some(ready) = self.take_ready(watermark)? {
            self.assign(&ready, output)?;
        }
        self.watermark = watermark;
        self.fire(self.clock.watermark(watermark), output)
    }

    fn snapshot(&mut self, how: Snapshot) -> Result<Vec<RecordBatch>> {
        self.write(how)
    }

    fn restore(&mut self, snapshot: Vec<RecordBatch>, owns: &KeyFilter) -> Result<()> {
        self.read(snapshot, owns)
    }

    fn state_bytes(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(RecordBatch::get_array_memory_size).sum();
        let sessions: usize = self.sessions.iter().map(|(key, s)| key.len() + s.len() * size_of::<Session>()).sum();
        waiting + sessions + self.groups.bytes()
    }
}
