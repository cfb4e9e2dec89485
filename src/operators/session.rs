//! `GROUP BY window_start, window_end, keys` over SESSION: rows of a key with no more than the gap between them.
//!
//! Whether a row joins a session depends on which sessions had ended when it was read. So rows wait until the
//! watermark has passed the one of their own partition before them, and are taken in the order (that watermark,
//! partition, offset): what Flink does with one partition and a watermark after every record, and a function of the
//! input log for several. No row waits longer than its session does. A session that swallows others keeps their
//! accumulators and merges them, in Flink's order, when it ends: the last bit does not depend on how often the
//! watermark was told.
//!
//! A watermark costs what it lets go: rows wait in the order of their turns, a key is looked at when the end has passed
//! that one of its sessions had at the last look, and accumulators are kept in blocks.
//!
//! # Source
//! Flink `MergingWindowSet` and `TimeWindow.intersects`: windows that touch are one, and lateness is judged after
//! merging.

mod parts;
mod state;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMillisecondArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::physical_expr::PhysicalExpr;

use self::parts::Parts;
use super::columns::{evaluate_all, row_times};
use super::waiting::Waiting;
use super::windows::{WindowClock, made_origin, time_column};
use super::{Firing, KeyFilter, Operator, Output, Snapshot};
use crate::error::{Error, Result};
use crate::limits::BATCH_ROWS_MAX;
use crate::plan::{WindowAggregate, WindowKind, WindowOutput};
use crate::stream::{LateRow, Origin, PartitionId, with_origin};
use crate::time::{EventTime, WATERMARK_MIN};

const NAME: &str = "session_aggregate";

/// Keys of a row as bytes, equal for equal keys.
type Key = Arc<[u8]>;

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
    key: Key,
    parts: Vec<i64>,
}

/// Where Flink keeps a session among those that become one: it merges them in the order of a Java `HashSet` of 16
/// buckets, and in a bucket the later one first. Lists and texts of a session show that order.
///
/// # Source  Flink, `TimeWindow.hashCode` and `SessionWindowAssigner.mergeWindows`
fn bucket(session: &Session) -> u32 {
    // integers of Java keep the low bits; the inverse of an odd number modulo 2^32, by Newton's method
    let odd = (session.end as u32).wrapping_mul(2).wrapping_add(1);
    let mut inverse = odd.wrapping_mul(odd).wrapping_mul(odd);
    for _ in 0..3 {
        inverse = inverse.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(inverse)));
    }
    let hash = (session.start as u32).wrapping_add(inverse);
    (hash ^ hash >> 16) % 16
}

/// Aggregates per session and key.
pub struct SessionAggregate {
    gap_ms: i64,
    clock: WindowClock,
    rowtime: usize,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    key_fields: Vec<FieldRef>,
    converter: Option<RowConverter>,
    output: Vec<WindowOutput>,
    /// Of the input, with origin columns.
    input: SchemaRef,
    /// Of the output, with origin columns.
    schema: SchemaRef,

    /// Rows whose partition's watermark has not been passed.
    waiting: Waiting,
    sessions: BTreeMap<Key, Vec<Session>>,
    /// When to look at a key: for each of its sessions there is a time no later than its end.
    due: BTreeSet<(i64, Key)>,
    parts: Parts,
    /// Of event time.
    watermark: EventTime,
    /// Rows that came since the last snapshot; `None` until there is one.
    unsaved: Option<Vec<RecordBatch>>,
    /// Keys whose sessions have changed since the last snapshot.
    changed: BTreeSet<Key>,
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
        Ok(Self {
            gap_ms,
            clock: WindowClock::new(plan.window.zone),
            rowtime: plan.window.rowtime,
            converter: if keys.is_empty() { None } else { Some(RowConverter::new(sort)?) },
            keys,
            key_fields,
            output: plan.output.clone(),
            input: with_origin(input),
            schema: with_origin(schema),
            waiting: Waiting::new(None),
            sessions: BTreeMap::new(),
            due: BTreeSet::new(),
            parts: Parts::new(&plan.aggregates)?,
            watermark: WATERMARK_MIN,
            unsaved: None,
            changed: BTreeSet::new(),
        })
    }

    fn key_bytes(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<Key>> {
        match &self.converter {
            None => Ok(vec![Key::default(); rows]),
            Some(converter) => Ok(converter.convert_columns(columns)?.iter().map(|row| row.data().into()).collect()),
        }
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
            match self.part_of(&key, times.value(row), self.clock.watermark(watermark))? {
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
        let arguments = self.parts.spec().arguments.columns(&batch)?;
        self.parts.update(&parts, &arguments)
    }

    /// The accumulator of a row at `time` that was read at `watermark`; `None` if it is late.
    fn part_of(&mut self, key: &Key, time: i64, watermark: i64) -> Result<Option<i64>> {
        let (mut start, mut end) = (time, time.saturating_add(self.gap_ms));
        let touches = |s: &Session| s.end.saturating_sub(1) > watermark && s.start <= end && s.end >= start;
        let known = self.sessions.get_mut(key);
        let mut joined: Vec<Session> = match known {
            Some(sessions) => sessions.extract_if(.., |session| touches(session)).collect(),
            None => Vec::new(),
        };
        if joined.is_empty() && end.saturating_sub(1) <= watermark {
            return Ok(None);
        }
        // A row that makes one of several comes after all of theirs: it begins an accumulator of its own.
        let begins = joined.len() != 1;
        joined.sort_by_key(|session| (bucket(session), Reverse(session.start)));
        let mut parts = Vec::new();
        for session in joined {
            (start, end) = (start.min(session.start), end.max(session.end));
            parts.extend(session.parts);
        }
        if parts.is_empty() {
            self.due.insert((end, Arc::clone(key)));
        }
        if begins {
            parts.push(self.parts.begin()?);
        }
        let part = parts.last().copied();
        self.sessions.entry(Arc::clone(key)).or_default().push(Session { start, end, parts });
        Ok(part)
    }

    /// Lets the sessions leave that `watermark`, a time of the clock, has completed.
    fn fire(&mut self, watermark: i64, output: &mut Output) -> Result<()> {
        let over = |end: i64| end.saturating_sub(1) <= watermark;
        let mut ended = Vec::new();
        while let Some((_, key)) = self.due.first().filter(|(time, _)| over(*time)).cloned() {
            self.due.pop_first();
            let Some(sessions) = self.sessions.get_mut(&key) else { continue };
            let done = sessions.extract_if(.., |session| over(session.end));
            ended.extend(done.map(|Session { start, end, parts }| Ended { end, start, key: Arc::clone(&key), parts }));
            match sessions.iter().map(|session| session.end).min() {
                Some(next) => drop(self.due.insert((next, key))),
                None => drop(self.sessions.remove(&key)),
            }
        }
        if ended.is_empty() {
            return Ok(());
        }
        ended.sort_unstable();
        let results = self.parts.take_results(ended.iter().map(|session| session.parts.as_slice()))?;
        for from in (0..ended.len()).step_by(BATCH_ROWS_MAX) {
            let to = ended.len().min(from + BATCH_ROWS_MAX);
            let results: Vec<ArrayRef> = results.iter().map(|column| column.slice(from, to - from)).collect();
            output.batches.push(self.rows(&ended[from..to], &results)?);
        }
        Ok(())
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

impl Operator for SessionAggregate {
    fn name(&self) -> &str {
        NAME
    }

    fn process(&mut self, batch: RecordBatch, _output: &mut Output) -> Result<()> {
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.push(batch.clone());
        }
        self.waiting.push(batch)
    }

    fn on_watermark(&mut self, watermark: EventTime, output: &mut Output) -> Result<Firing> {
        if watermark <= self.watermark {
            return Ok(Firing::Done);
        }
        if let Some(ready) = self.waiting.take(watermark)? {
            self.assign(&ready, output)?;
        }
        self.watermark = watermark;
        self.fire(self.clock.watermark(watermark), output)?;
        Ok(Firing::Done)
    }

    fn snapshot(&mut self, how: Snapshot) -> Result<Vec<RecordBatch>> {
        self.write(how)
    }

    fn restore(&mut self, snapshot: Vec<RecordBatch>, owns: &KeyFilter) -> Result<()> {
        self.read(snapshot, owns)
    }

    fn state_bytes(&self) -> usize {
        let sessions: usize = self.sessions.iter().map(|(key, s)| key.len() + s.len() * size_of::<Session>()).sum();
        self.waiting.bytes() + sessions + self.parts.bytes()
    }
}
