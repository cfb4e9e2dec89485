//! The rows of one epoch of one sink, in a file of the outbox, and beside it the list of those the system behind
//! refuses: decided once, so that a second delivery leaves the same rows out.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Schema};
use serde::{Deserialize, Serialize};

use super::{Refused, Waiting};
use crate::connectors::RejectedRow;
use crate::connectors::staging::StagingReader;
use crate::durable::{self, failure};
use crate::error::{Error, ErrorKind, Result};
use crate::formats;
use crate::table::map::{entry_fields, keys, map_array, map_type};
use crate::table::{OptionValue, Options};

/// An epoch with rows, as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment {
    pub(super) epoch: u64,
    /// Name of its file in the outbox.
    pub(super) file: String,
    pub(super) bytes: u64,
    pub(super) rows: u64,
}

impl Segment {
    fn path(&self, directory: &Path) -> PathBuf {
        directory.join(&self.file)
    }

    pub(super) fn refusals(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.refused", self.file))
    }

    /// Its rows but those refused before.
    pub(super) fn open(&self, directory: &Path) -> Result<EpochRows> {
        let refused = self.rejected(directory)?.into_iter().map(|rejected| rejected.row).collect();
        let reader = StagingReader::open(&self.path(directory), self.bytes)?;
        Ok(EpochRows { epoch: self.epoch, reader: Some(reader), next: 0, refused })
    }

    /// Rows refused so far.
    pub(super) fn rejected(&self, directory: &Path) -> Result<Vec<RejectedRow>> {
        let path = self.refusals(directory);
        match std::fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(failure("read", &path, e)),
            Ok(text) => serde_json::from_slice(&text).map_err(|e| {
                Error::state(format!("the list of refused rows \"{}\" is damaged", path.display()))
                    .detail(e.to_string())
                    .hint("restore it from a copy, or start over with --fresh")
            }),
        }
    }

    /// Leaves rows out of every delivery from now on.
    pub(super) fn refuse(&self, directory: &Path, refused: &[Refused]) -> Result<()> {
        let mut all = self.rejected(directory)?;
        let known = all.len();
        let mut rows = self.open(directory)?;
        let refused: BTreeMap<u64, &Refused> = refused.iter().map(|refused| (refused.row, refused)).collect();
        while let Some(batch) = rows.next_blocking()? {
            let chosen: BooleanArray = batch.numbers.iter().map(|number| Some(refused.contains_key(number))).collect();
            let texts = json(&filter_record_batch(&batch.rows, &chosen)?)?;
            let chosen = batch.numbers.iter().filter_map(|number| refused.get(number));
            all.extend(chosen.zip(texts).map(|(refused, json)| RejectedRow {
                epoch: self.epoch,
                row: refused.row,
                code: refused.code.clone(),
                column: refused.column.clone(),
                message: refused.message.clone(),
                json,
            }));
        }
        if all.len() == known {
            // the same rows would come again, and be refused again
            return Err(Error::internal(format!("rows are refused that are not in epoch {}", self.epoch)));
        }
        let text = serde_json::to_vec(&all).map_err(|e| Error::internal(format!("refused rows have no form: {e}")))?;
        let path = self.refusals(directory);
        let temporary = path.with_extension("tmp");
        let written = std::fs::File::create(&temporary).and_then(|mut file| file.write_all(&text).map(|()| file));
        let file = written.map_err(|e| failure("write", &path, e))?;
        file.sync_all().map_err(|e| durable::unsynced(&path, e))?;
        std::fs::rename(&temporary, &path).map_err(|e| failure("write", &path, e))?;
        durable::sync_dir(directory)
    }

    /// Reads all of it and changes nothing.
    pub(super) fn inspect(&self, directory: &Path, undelivered: bool) -> Result<Waiting> {
        let (rows, refusals) = (self.path(directory), self.refusals(directory));
        let there = |path: &Path| path.try_exists().map_err(|e| failure("read", path, e));
        let gone = !there(&rows)?;
        let mut files = vec![rows.clone()];
        files.extend(there(&refusals)?.then_some(refusals));
        let mut waiting = Waiting { epoch: self.epoch, rows: self.rows, files, undelivered, gone, damage: None };
        if gone {
            return Ok(waiting);
        }
        let read = || -> Result<u64> {
            self.rejected(directory)?;
            let (mut reader, mut count) = (StagingReader::open(&rows, self.bytes)?, 0);
            while let Some(batch) = reader.next()? {
                count += batch.num_rows() as u64;
            }
            Ok(count)
        };
        waiting.damage = match read() {
            Ok(count) if count == self.rows => None,
            Ok(count) => Some((rows, format!("it has {count} rows instead of {}", self.rows))),
            // it may have been delivered and removed while it was read
            Err(_) if !there(&rows)? => return Ok(Waiting { gone: true, ..waiting }),
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            Err(error) => Some((rows, error.message().to_owned())),
        };
        Ok(waiting)
    }

    /// Removes its rows.
    pub(super) fn remove_rows(&self, directory: &Path) -> Result<()> {
        durable::remove(&self.path(directory))
    }

    /// Removes the list of rows refused.
    pub(super) fn remove_refusals(&self, directory: &Path) -> Result<()> {
        durable::remove(&self.refusals(directory))
    }
}

/// Rows for people, each as JSON; a column that JSON has no form for is left out.
fn json(rows: &RecordBatch) -> Result<Vec<String>> {
    let literal = OptionValue { value: "LITERAL".into(), span: None };
    let options = Options(BTreeMap::from([("map-null-key.mode".to_owned(), literal)]));
    let encoder = |schema: Schema| formats::encoder("json", Arc::new(schema), &options, "");
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        let column = with_text_keys(column)?;
        let field = field.as_ref().clone().with_data_type(column.data_type().clone());
        if encoder(Schema::new(vec![field.clone()])).is_ok() {
            fields.push(field);
            columns.push(column);
        }
    }
    let schema = Schema::new(fields);
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let rows = RecordBatch::try_new_with_options(Arc::new(schema.clone()), columns, &options)?;
    let texts = encoder(schema)?.encode(&rows)?;
    Ok(texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect())
}

/// A MAP with keys as JSON has them; any other column as it is.
fn with_text_keys(column: &ArrayRef) -> Result<ArrayRef> {
    let (Some(map), Some((key, value))) = (column.as_map_opt(), entry_fields(column.data_type())) else {
        return Ok(Arc::clone(column));
    };
    if *key.data_type() == DataType::Utf8 {
        return Ok(Arc::clone(column));
    }
    let data_type = map_type(DataType::Utf8, value.data_type().clone(), value.is_nullable());
    let keys = cast(keys(map), &DataType::Utf8)?;
    let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
    Ok(Arc::new(map_array(&data_type, offsets, keys, Arc::clone(map.values()), nulls)?))
}

/// Rows, each with its place in the epoch.
#[derive(Debug, Clone)]
pub struct NumberedRows {
    /// `[n]` rows of the table's `sink_schema()`.
    pub rows: RecordBatch,
    /// `[n]` the place of each among the epoch's rows, from 0, refused ones counted.
    pub numbers: Vec<u64>,
}

/// The rows of an epoch, batch by batch, in the order they were written.
#[derive(Debug)]
pub struct EpochRows {
    epoch: u64,
    reader: Option<StagingReader>,
    next: u64,
    refused: BTreeSet<u64>,
}

impl EpochRows {
    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The next rows, or `None` after the last.
    ///
    /// # Errors
    /// `State` if the file is damaged.
    pub async fn next(&mut self) -> Result<Option<NumberedRows>> {
        let mut own = Self { reader: self.reader.take(), refused: std::mem::take(&mut self.refused), ..*self };
        let (own, read) = tokio::task::spawn_blocking(move || {
            let read = own.next_blocking();
            (own, read)
        })
        .await
        .map_err(|e| Error::internal(format!("reading an epoch's rows was broken off: {e}")))?;
        *self = own;
        read
    }

    fn next_blocking(&mut self) -> Result<Option<NumberedRows>> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        while let Some(rows) = reader.next()? {
            let first = self.next;
            self.next = first.saturating_add(rows.num_rows() as u64);
            let numbers: Vec<u64> = (first..self.next).filter(|number| !self.refused.contains(number)).collect();
            if numbers.len() == rows.num_rows() {
                return Ok(Some(NumberedRows { rows, numbers }));
            }
            if !numbers.is_empty() {
                let keep: BooleanArray =
                    (first..self.next).map(|number| Some(!self.refused.contains(&number))).collect();
                return Ok(Some(NumberedRows { rows: filter_record_batch(&rows, &keep)?, numbers }));
            }
        }
        self.reader = None;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, StringArray};
    use arrow::buffer::{NullBuffer, OffsetBuffer};

    use super::*;

    /// A map with one entry in the first row, and NULL in the second.
    fn map(key: ArrayRef) -> ArrayRef {
        let data_type = map_type(key.data_type().clone(), DataType::Int64, true);
        let offsets = OffsetBuffer::from_lengths([1, 0]);
        let nulls = Some(NullBuffer::from(vec![true, false]));
        Arc::new(map_array(&data_type, offsets, key, Arc::new(Int64Array::from(vec![7])), nulls).unwrap())
    }

    #[test]
    fn refused_rows_have_a_form_whatever_their_types() {
        let rows = RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
            ("tags", map(Arc::new(StringArray::from(vec!["k"])))),
            ("counts", map(Arc::new(Int64Array::from(vec![5])))),
            ("keyless", map(Arc::new(StringArray::from(vec![None::<&str>])))),
            ("v", Arc::new(Float64Array::from(vec![f64::NAN, 0.5]))),
        ]);
        let expected = [
            "{\"id\":1,\"tags\":{\"k\":7},\"counts\":{\"5\":7},\"keyless\":{\"null\":7},\"v\":\"NaN\"}",
            "{\"id\":2,\"tags\":null,\"counts\":null,\"keyless\":null,\"v\":0.5}",
        ];
        assert_eq!(json(&rows.unwrap()).unwrap(), expected);
    }
}
