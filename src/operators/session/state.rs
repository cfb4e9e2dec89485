//! What a session aggregate writes at a barrier, and how it takes it back.
//!
//! | batch | columns | a later one |
//! |---|---|---|
//! | sessions | keys, session's number within its key, start, end, states of one accumulator | replaces all sessions of its keys |
//! | rows | those of the input | adds rows; those that the watermark of the snapshot has passed are in the sessions |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{Key, Session, SessionAggregate};
use crate::error::Result;
use crate::operators::columns::{evaluate_all, int64, misfit};
use crate::operators::windows::{progress, take_progress};
use crate::operators::{KeyFilter, Snapshot, hash_keys};

impl SessionAggregate {
    /// Keys, then number, start and end, then states.
    fn stored(&self) -> SchemaRef {
        let own = ["$session", "$start", "$end"].map(|name| Arc::new(Field::new(name, DataType::Int64, false)));
        let states = self.parts.spec().partial[1..].iter().cloned();
        Arc::new(Schema::new(self.key_fields.iter().cloned().chain(own).chain(states).collect::<Vec<_>>()))
    }

    pub(super) fn write(&mut self, how: Snapshot) -> Result<Vec<RecordBatch>> {
        let unsaved = self.unsaved.replace(Vec::new());
        let changed = std::mem::take(&mut self.changed);
        let (mut batches, keys) = match (how, unsaved) {
            (Snapshot::Changes, Some(unsaved)) => (unsaved, Some(changed)),
            _ => (self.waiting.batches().cloned().collect(), None),
        };
        batches.extend(self.write_sessions(keys.as_ref())?);
        batches.push(progress(self.watermark, 0)?);
        Ok(batches)
    }

    fn write_sessions(&mut self, keys: Option<&BTreeSet<Key>>) -> Result<Option<RecordBatch>> {
        let (mut names, mut numbers, mut parts) = (Vec::new(), Vec::<[i64; 3]>::new(), Vec::new());
        for (key, sessions) in self.sessions.iter().filter(|(key, _)| keys.is_none_or(|keys| keys.contains(*key))) {
            for (number, session) in (0i64..).zip(sessions) {
                for part in &session.parts {
                    names.push(key.as_ref());
                    numbers.push([number, session.start, session.end]);
                    parts.push(*part);
                }
            }
        }
        if parts.is_empty() {
            return Ok(None);
        }
        let mut columns = self.key_columns(names.into_iter())?;
        columns
            .extend((0..3).map(|i| Arc::new(Int64Array::from_iter_values(numbers.iter().map(|n| n[i]))) as ArrayRef));
        columns.extend(self.parts.states(&parts, true)?);
        Ok(Some(RecordBatch::try_new(self.stored(), columns)?))
    }

    pub(super) fn read(&mut self, mut snapshot: Vec<RecordBatch>, owns: &KeyFilter) -> Result<()> {
        let watermark = take_progress(&mut snapshot)?;
        let stored = self.stored();
        let (mut replaced, mut waiting) = (BTreeSet::new(), Vec::new());
        for batch in snapshot {
            let is = |schema: &SchemaRef| {
                let (found, expected) = (batch.schema_ref().fields(), schema.fields());
                found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| a.name() == b.name())
            };
            if is(&stored) {
                self.read_sessions(&batch, owns, &mut replaced)?;
            } else if is(&self.input) {
                let hashes = hash_keys(&evaluate_all(&self.keys, &batch)?, batch.num_rows())?;
                let own = take_record_batch(&batch, &owned(&hashes, owns))?;
                waiting.push(RecordBatch::try_new(Arc::clone(&self.input), own.columns().to_vec())?);
            } else {
                return Err(misfit(&batch));
            }
        }
        self.unsaved = Some(Vec::new());
        self.watermark = watermark.map_or(self.watermark, |watermark| watermark.max(self.watermark));
        self.drop_passed(waiting)
    }

    fn read_sessions(&mut self, batch: &RecordBatch, owns: &KeyFilter, replaced: &mut BTreeSet<Key>) -> Result<()> {
        let width = self.keys.len();
        let hashes = hash_keys(&batch.columns()[..width], batch.num_rows())?;
        let batch = take_record_batch(batch, &owned(&hashes, owns))?;
        let keys = self.key_bytes(&batch.columns()[..width], batch.num_rows())?;
        let [numbers, starts, ends] = [int64(&batch, width)?, int64(&batch, width + 1)?, int64(&batch, width + 2)?];
        let mut parts = Vec::with_capacity(batch.num_rows());
        let mut places: BTreeMap<(Key, i64), usize> = BTreeMap::new();
        for (row, key) in keys.into_iter().enumerate() {
            if replaced.insert(key.clone()) {
                self.sessions.remove(&key);
            }
            let sessions = self.sessions.entry(key.clone()).or_default();
            let place = *places.entry((key, numbers.value(row))).or_insert_with(|| {
                sessions.push(Session { start: starts.value(row), end: ends.value(row), parts: Vec::new() });
                sessions.len() - 1
            });
            let part = self.parts.begin()?;
            sessions[place].parts.push(part);
            parts.push(part);
        }
        self.parts.insert(&parts, &batch.columns()[width + 3..])
    }

    /// Forgets what had been taken and what had left before the snapshot.
    fn drop_passed(&mut self, waiting: Vec<RecordBatch>) -> Result<()> {
        let (watermark, shown) = (self.watermark, self.clock.watermark(self.watermark));
        for batch in waiting {
            self.waiting.push(batch)?;
        }
        // of this snapshot and of earlier ones
        self.waiting.take(watermark)?;
        self.sessions.retain(|_, sessions| {
            sessions.retain(|session| session.end.saturating_sub(1) > shown);
            !sessions.is_empty()
        });
        let ends =
            |(key, sessions): (&Key, &Vec<Session>)| Some((sessions.iter().map(|s| s.end).min()?, Arc::clone(key)));
        self.due = self.sessions.iter().filter_map(ends).collect();
        self.parts.retain(&self.sessions.values().flatten().flat_map(|s| s.parts.iter().copied()).collect())
    }
}

/// Places of the rows that belong to this instance.
fn owned(hashes: &[u64], owns: &KeyFilter) -> UInt32Array {
    (0u32..).zip(hashes).filter(|(_, hash)| owns.owns(**hash)).map(|(row, _)| row).collect()
}
