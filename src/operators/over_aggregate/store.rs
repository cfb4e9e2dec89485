//! Snapshots of the OVER aggregate.
//!
//! What changed since the last snapshot is the rows accepted since then: a restore takes them as they
//! were taken before, and lets those up to the stored watermark leave without a result. Accumulators of
//! unbounded frames are written themselves, since their rows are gone. Batches are told apart by the
//! name of their first column.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat, interleave_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::ScalarValue;

use super::{Key, OverAggregateOperator, Running, times_column};
use crate::error::{Error, Result};
use crate::operators::columns::{int32, int64, misfit};
use crate::operators::{KeyFilter, Snapshot, hash_keys};
use crate::stream::LateRow;
use crate::time::EventTime;

/// Watermark, and whether the snapshot is a full one.
const PROGRESS: &str = "$progress";
/// Time, moment of leaving, partition, keys and arguments of the rows that frames may still cover.
const HISTORY: &str = "$history";
/// Times of keys and partitions ([`super::Fired`]).
const FIRED: &str = "$fired";
/// Keys and accumulator states.
const RUNNING: &str = "$running";
/// Last column of the rows that wait, in a full snapshot ([`super::Place::since`]).
const SINCE: &str = "$since";
/// What a row of [`FIRED`] holds.
const LAST_AND_FORGOTTEN: i64 = 0;
const AHEAD: i64 = 1;
const CLEANUP: i64 = 2;

impl OverAggregateOperator {
    pub(super) fn write(&mut self, how: Snapshot) -> Result<Vec<RecordBatch>> {
        let unsaved = self.unsaved.replace(Vec::new());
        let (mut batches, full) = match (how, unsaved) {
            (Snapshot::Changes, Some(unsaved)) => (unsaved, false),
            _ => (self.write_waiting()?, true),
        };
        if full && !self.frame.unbounded() {
            batches.extend(self.write_history()?);
            batches.extend(self.write_fired()?);
        }
        batches.extend(self.write_running(full)?);
        let progress = [self.watermark, i64::from(full)].map(|v| times_column(vec![v]));
        batches.push(named(PROGRESS, progress.to_vec())?);
        Ok(batches)
    }

    /// Rows that wait, in order.
    fn write_waiting(&self) -> Result<Vec<RecordBatch>> {
        if self.order.is_empty() {
            return Ok(Vec::new());
        }
        let numbers: Vec<u64> = self.waiting.keys().copied().collect();
        let batches: Vec<&RecordBatch> = self.waiting.values().map(|w| &w.batch).collect();
        let rows: Vec<(usize, usize)> =
            self.order.values().map(|p| (numbers.partition_point(|n| *n < p.batch), p.row as usize)).collect();
        let waiting = interleave_record_batch(&batches, &rows)?;
        let since = times_column(self.order.values().map(|place| place.since).collect());
        let mut fields: Vec<_> = waiting.schema_ref().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(SINCE, DataType::Int64, false)));
        let mut columns = waiting.columns().to_vec();
        columns.push(since);
        Ok(vec![RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?])
    }

    /// Keys in the order of their bytes.
    fn sorted_keys(&self) -> impl Iterator<Item = &Key> {
        self.index.values().map(|&place| &self.keys[place as usize])
    }

    /// Key columns of keys.
    fn columns_of_keys(&self, keys: &[&[u8]]) -> Result<Vec<ArrayRef>> {
        let Some(converter) = &self.converter else { return Ok(Vec::new()) };
        let parser = converter.parser();
        Ok(converter.convert_rows(keys.iter().map(|bytes| parser.parse(bytes)))?)
    }

    fn write_history(&self) -> Result<Option<RecordBatch>> {
        let (mut times, mut effective, mut partitions, mut names) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut pieces: Vec<Vec<&dyn Array>> = vec![Vec::new(); self.frame.arguments.len()];
        for key in self.sorted_keys().filter(|key| !key.history.times.is_empty()) {
            times.extend_from_slice(&key.history.times);
            effective.extend_from_slice(&key.history.effective);
            partitions.extend_from_slice(&key.history.partitions);
            names.resize(times.len(), key.bytes.as_ref());
            for (pieces, column) in pieces.iter_mut().zip(&key.history.columns) {
                pieces.push(column.as_ref());
            }
        }
        if times.is_empty() {
            return Ok(None);
        }
        let mut columns = vec![times_column(times), times_column(effective), Arc::new(Int32Array::from(partitions))];
        columns.extend(self.columns_of_keys(&names)?);
        for pieces in &pieces {
            columns.push(concat(pieces)?);
        }
        named(HISTORY, columns).map(Some)
    }

    fn write_fired(&self) -> Result<Option<RecordBatch>> {
        let mut rows: Vec<[i64; 4]> = Vec::new();
        let mut names = Vec::new();
        for key in self.sorted_keys() {
            for fired in &key.fired {
                let row = |kind: i64, (one, other): (i64, i64)| [kind, one, other, i64::from(fired.partition)];
                let mut ahead: Vec<_> = fired.ahead.iter().map(|waiting| waiting.0).collect();
                ahead.sort_unstable();
                rows.push(row(LAST_AND_FORGOTTEN, (fired.last, fired.forgotten)));
                rows.extend(ahead.into_iter().map(|waiting| row(AHEAD, waiting)));
                rows.extend(fired.cleanup.map(|cleanup| row(CLEANUP, cleanup)));
                names.resize(rows.len(), key.bytes.as_ref());
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let mut columns: Vec<ArrayRef> =
            (0..4).map(|column| times_column(rows.iter().map(|row| row[column]).collect())).collect();
        columns.extend(self.columns_of_keys(&names)?);
        named(FIRED, columns).map(Some)
    }

    fn write_running(&mut self, full: bool) -> Result<Option<RecordBatch>> {
        let places: Vec<u32> = self.index.values().copied().collect();
        let mut names: Vec<Box<[u8]>> = Vec::new();
        let mut states: Vec<Vec<ScalarValue>> = Vec::new();
        for place in places {
            let key = &mut self.keys[place as usize];
            let changed = std::mem::take(&mut key.changed) || full;
            let Some(running) = key.running.as_mut().filter(|_| changed) else { continue };
            let state = running.state(&self.frame)?;
            states.resize(state.len().max(states.len()), Vec::new());
            for (column, value) in states.iter_mut().zip(state) {
                column.push(value);
            }
            names.push(key.bytes.clone());
        }
        if names.is_empty() {
            return Ok(None);
        }
        let names: Vec<&[u8]> = names.iter().map(AsRef::as_ref).collect();
        let mut columns = vec![times_column(vec![0; names.len()])];
        columns.extend(self.columns_of_keys(&names)?);
        for values in states {
            columns.push(ScalarValue::iter_to_array(values)?);
        }
        named(RUNNING, columns).map(Some)
    }

    pub(super) fn read(&mut self, snapshot: Vec<RecordBatch>, owns: &KeyFilter) -> Result<()> {
        let progress = read_progress(&snapshot)?;
        let Some((watermark, full)) = progress else { return Ok(()) };
        for batch in snapshot {
            if self.holds_rows(&batch, full) {
                self.read_rows(&batch, owns, full)?;
                continue;
            }
            match batch.schema_ref().fields().first().map(|f| f.name().as_str()) {
                Some(PROGRESS) => {}
                Some(HISTORY) => self.read_history(&batch, owns)?,
                Some(FIRED) => self.read_fired(&batch, owns)?,
                Some(RUNNING) => self.read_running(&batch, owns)?,
                _ => return Err(misfit(&batch)),
            }
        }
        self.unsaved = Some(Vec::new());
        self.fire(watermark, None)
    }

    /// Whether a batch holds rows of the input, with [`SINCE`] behind them if it is of a full snapshot.
    fn holds_rows(&self, batch: &RecordBatch, full: bool) -> bool {
        let (found, expected) = (batch.schema_ref().fields(), self.input.fields());
        found.len() == expected.len() + usize::from(full)
            && found.iter().zip(expected).all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type())
    }

    /// Keys of the rows, which stand from column `first` on; `None` for rows of other instances.
    fn read_keys(&mut self, batch: &RecordBatch, first: usize, owns: &KeyFilter) -> Result<Vec<Option<u32>>> {
        let columns = batch.columns().get(first..first + self.key_exprs.len()).ok_or_else(|| misfit(batch))?;
        let hashes = hash_keys(columns, batch.num_rows())?;
        let bytes = self.key_bytes(columns, batch.num_rows())?;
        Ok(bytes.iter().zip(hashes).map(|(bytes, hash)| owns.owns(hash).then(|| self.key(bytes))).collect())
    }

    fn read_rows(&mut self, batch: &RecordBatch, owns: &KeyFilter, full: bool) -> Result<()> {
        let hashes = hash_keys(&self.key_columns(batch)?, batch.num_rows())?;
        let own: Vec<u32> = (0u32..).zip(&hashes).filter(|(_, hash)| owns.owns(**hash)).map(|(row, _)| row).collect();
        let own = take_record_batch(batch, &UInt32Array::from(own))?;
        if !full {
            self.accept(own, |this: &mut Self, key: &[u8], _, row: LateRow| {
                this.in_time(key, row.partition.0, row.event_time, row.watermark)
            })?;
            return Ok(());
        }
        // A full snapshot holds what became of all accepted rows beside the rows.
        let width = own.num_columns() - 1;
        let since = int64(&own, width)?.clone();
        let rows = own.project(&(0..width).collect::<Vec<_>>())?;
        self.accept(rows, |_: &mut Self, _: &[u8], row: usize, _: LateRow| Some(since.value(row)))?;
        Ok(())
    }

    fn read_history(&mut self, batch: &RecordBatch, owns: &KeyFilter) -> Result<()> {
        let (times, effective) = (int64(batch, 0)?.values(), int64(batch, 1)?.values());
        let partitions = int32(batch, 2)?.values();
        let keys = self.read_keys(batch, 3, owns)?;
        let columns = &batch.columns()[3 + self.key_exprs.len()..];
        if columns.len() != self.frame.arguments.len() {
            return Err(misfit(batch));
        }
        let mut from = 0;
        while from < keys.len() {
            let to = (from..keys.len()).find(|&i| keys[i] != keys[from]).unwrap_or(keys.len());
            if let Some(key) = keys[from] {
                let history = &mut self.keys[key as usize].history;
                history.times = times[from..to].to_vec();
                history.effective = effective[from..to].to_vec();
                history.partitions = partitions[from..to].to_vec();
                history.columns = columns.iter().map(|c| c.slice(from, to - from)).collect();
            }
            from = to;
        }
        Ok(())
    }

    fn read_fired(&mut self, batch: &RecordBatch, owns: &KeyFilter) -> Result<()> {
        let [kinds, ones, others, partitions] =
            [int64(batch, 0)?, int64(batch, 1)?, int64(batch, 2)?, int64(batch, 3)?];
        for (row, key) in self.read_keys(batch, 4, owns)?.into_iter().enumerate() {
            let Some(key) = key else { continue };
            let fired = self.keys[key as usize].fired_in(partitions.value(row) as i32);
            let pair = (ones.value(row), others.value(row));
            match kinds.value(row) {
                AHEAD => fired.ahead.push(std::cmp::Reverse(pair)),
                CLEANUP => fired.cleanup = Some(pair),
                _ => (fired.last, fired.forgotten) = pair,
            }
        }
        Ok(())
    }

    fn read_running(&mut self, batch: &RecordBatch, owns: &KeyFilter) -> Result<()> {
        let first = 1 + self.key_exprs.len();
        for (row, key) in self.read_keys(batch, 1, owns)?.into_iter().enumerate() {
            let Some(key) = key else { continue };
            let state: Vec<ArrayRef> = batch.columns()[first..].iter().map(|c| c.slice(row, 1)).collect();
            self.keys[key as usize].running = Some(Running::from_state(&self.frame, &state)?);
        }
        Ok(())
    }
}

/// A batch whose first column has the name; the others are numbered.
fn named(name: &str, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    let names = std::iter::once(name.to_owned()).chain((1..).map(|i| format!("${i}")));
    let fields: Vec<Field> =
        names.zip(&columns).map(|(name, column)| Field::new(name, column.data_type().clone(), true)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// The watermark of a snapshot, and whether it is a full one; all instances agree at a barrier.
fn read_progress(snapshot: &[RecordBatch]) -> Result<Option<(EventTime, bool)>> {
    let mut found = BTreeSet::new();
    for batch in snapshot {
        if batch.schema_ref().fields().first().is_some_and(|f| f.name() == PROGRESS) {
            let values: Vec<&Int64Array> = vec![int64(batch, 0)?, int64(batch, 1)?];
            found.insert((values[0].value(0), values[1].value(0) == 1));
        }
    }
    match found.len() {
        0 | 1 => Ok(found.pop_first()),
        _ => Err(Error::state("the stored parts of an OVER aggregate are of different moments")),
    }
}
