//! Reading a table of files: one split, because the order of rows is the order of the files' paths and
//! of the rows in them, and a row's offset is its number in that order. So an offset means the same at
//! every start, as long as files are neither changed nor put before others, which `fingerprint` watches over.
//!
//! Files are read by blocking calls on threads made for that; at most one batch is under way.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt32Array};
use arrow::compute::{CastOptions, cast_with_options, take, take_arrays};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use futures::future::BoxFuture;
use tokio::task::JoinHandle;

use super::files::{self, TableFile};
use super::fingerprint::{FileMark, FilesRead};
use super::options::{FileOptions, Format};
use super::parquet_file;
use super::text::{Quoting, Record, RecordReader};
use crate::connectors::{
    BadRecord, BadRecords, Fetched, JobContext, Source, SourceBatch, Split, SplitReader, StartAt, Usage,
};
use crate::durable;
use crate::error::{Error, Result};
use crate::formats::{self, BadValue, Decoder, NO_ROW};
use crate::limits::{BAD_RECORD_BYTES_MAX, BATCH_ROWS_MAX, RECORD_BYTES_MAX};
use crate::stream::SourcePosition;
use crate::table::{ColumnKind, TableSpec};

/// Bytes of text decoded into one batch, so that wide rows keep a batch small.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// A table of files, for reading.
pub struct FileSource {
    table: TableSpec,
    options: FileOptions,
    batch_rows: usize,
    /// What an earlier start has read.
    read: FilesRead,
}

impl FileSource {
    /// Reads the table's options.
    ///
    /// # Errors
    /// `Config` for wrong options.
    pub fn open(table: &TableSpec, job: &JobContext) -> Result<Self> {
        let options = FileOptions::parse(table, Usage::Source)?;
        Ok(Self { table: table.clone(), options, batch_rows: job.batch_rows(), read: FilesRead::default() })
    }

    fn reader(&self, start: StartAt) -> Result<FileReader> {
        let start = match start {
            StartAt::Offset(offset) => offset,
            StartAt::Configured | StartAt::Earliest => 0,
        };
        let reader = TableReader::open(&self.table, &self.options, start)?;
        let reader = TableReader { batch_rows: self.batch_rows, ..reader.after(self.read.clone()) };
        Ok(FileReader { state: State::Idle(Box::new(reader)), next_offset: start, read: self.read.clone() })
    }
}

impl Source for FileSource {
    fn splits(&mut self) -> BoxFuture<'_, Result<Vec<Split>>> {
        let path = &self.options.path;
        let place = self.table.options.span("path");
        Box::pin(async move {
            files::exists(path).map_err(|error| error.or_at(place))?;
            Ok(vec![Split { topic: path.display().to_string(), partition: 0, topic_index: 0 }])
        })
    }

    fn recognize<'a>(&'a mut self, _split: &'a Split, position: &'a SourcePosition) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Some(stored) = &position.fingerprint else { return Ok(()) };
            self.read = FilesRead::restore(stored)?;
            let root = &self.options.path;
            let files = files::list(root, &self.table.partitioned_by, &self.options.default_partition)?;
            self.read.recognize(root, &files, position.finished)
        })
    }

    fn open<'a>(&'a mut self, _split: &'a Split, start: StartAt) -> BoxFuture<'a, Result<Box<dyn SplitReader>>> {
        Box::pin(async move { Ok(Box::new(self.reader(start)?) as Box<dyn SplitReader>) })
    }
}

/// The async side of a [`TableReader`], which moves to a blocking thread and back.
struct FileReader {
    state: State,
    next_offset: i64,
    /// The files the rows before `next_offset` are from.
    read: FilesRead,
}

enum State {
    Idle(Box<TableReader>),
    /// Kept here, so that a cancelled wait finds it again.
    Reading(JoinHandle<(Box<TableReader>, Result<Fetched>)>),
    /// An error has been told, or a thread was lost.
    Failed,
}

impl FileReader {
    async fn read(&mut self) -> Result<Fetched> {
        if let State::Idle(_) = self.state
            && let State::Idle(mut reader) = std::mem::replace(&mut self.state, State::Failed)
        {
            self.state = State::Reading(tokio::task::spawn_blocking(move || {
                let fetched = reader.next();
                (reader, fetched)
            }));
        }
        let State::Reading(handle) = &mut self.state else {
            return Err(Error::internal("a file was read on after an error"));
        };
        let joined = handle.await;
        self.state = State::Failed;
        let (reader, fetched) = joined.map_err(|e| Error::internal(format!("reading a file was broken off: {e}")))?;
        let fetched = fetched?;
        self.read.follow(&reader.read);
        self.state = State::Idle(reader);
        Ok(fetched)
    }
}

impl SplitReader for FileReader {
    fn next(&mut self) -> BoxFuture<'_, Result<Fetched>> {
        Box::pin(async move {
            let fetched = self.read().await?;
            if let Fetched::Rows(batch) = &fetched {
                self.next_offset = batch.next_offset;
            }
            Ok(fetched)
        })
    }

    fn next_offset(&self) -> i64 {
        self.next_offset
    }

    fn fingerprint(&self) -> Option<serde_json::Value> {
        self.read.store()
    }

    fn lag(&self) -> Option<u64> {
        None
    }
}

/// Whether the table's columns and format options go together. No I/O.
///
/// # Errors
/// `Config` for an unknown metadata column, a wrong format option or a type the format cannot read.
pub(super) fn check(table: &TableSpec, options: &FileOptions) -> Result<()> {
    TableReader::open(table, options, 0).map(drop)
}

/// Where a column of the table comes from.
#[derive(Debug, Clone, Copy)]
enum Column {
    /// The file's rows: place in the body.
    Body(usize),
    /// The folder: place among the partition columns.
    Partition(usize),
    Metadata(Metadata),
}

#[derive(Debug, Clone, Copy)]
enum Metadata {
    Path,
    Name,
    Size,
    Modified,
}

/// Reads the rows of a table in order. Blocking.
struct TableReader {
    // fixed at start
    schema: SchemaRef,
    columns: Vec<Column>,
    /// Columns that stand in the files.
    body: SchemaRef,
    format: Format,
    bad_records: BadRecords,
    quoting: Option<Quoting>,
    empty_records: bool,
    root: PathBuf,
    partition_keys: Vec<String>,
    default_partition: String,
    /// Rows before this number were read by an earlier start.
    start: i64,
    batch_rows: usize,

    // changes while running
    files: Option<std::vec::IntoIter<TableFile>>,
    current: Option<OpenFile>,
    decoder: Option<Box<dyn Decoder>>,
    /// Number of the next row, counted from the first file on.
    position: i64,
    read: FilesRead,
    record: Vec<u8>,
}

struct OpenFile {
    file: TableFile,
    /// `[1]` for each column that is the same for all rows of the file.
    constants: Vec<Option<ArrayRef>>,
    input: Input,
}

enum Input {
    Text(RecordReader),
    Parquet(parquet_file::Rows),
}

/// Rows and casualties of one stretch of one file.
struct Stretch {
    body: RecordBatch,
    offsets: Vec<i64>,
    bad: Vec<BadRecord>,
    /// Records the file gave that no earlier start has read; a record of n rows counts n.
    read: u64,
}

impl TableReader {
    fn open(table: &TableSpec, options: &FileOptions, start: i64) -> Result<Self> {
        let mut body = Vec::new();
        let mut columns = Vec::new();
        for column in table.columns.iter().filter(|c| c.kind != ColumnKind::Computed) {
            let partition = table.partitioned_by.iter().position(|name| *name == column.name);
            columns.push(match (&column.kind, partition) {
                (ColumnKind::Metadata { key, .. }, _) => Column::Metadata(metadata(key).ok_or_else(|| {
                    Error::config(format!("connector \"filesystem\" has no metadata \"{key}\""))
                        .nearest(key, super::METADATA.iter().map(|(name, ..)| *name))
                })?),
                (_, Some(place)) => Column::Partition(place),
                _ => {
                    body.push(column.field());
                    Column::Body(body.len() - 1)
                }
            });
        }
        let body: SchemaRef = Arc::new(Schema::new(body));
        let decoder = match options.format {
            Format::Parquet => None,
            text => {
                let prefix = format!("{}.", text.name());
                Some(formats::decoder(text.name(), Arc::clone(&body), &table.options, &prefix)?)
            }
        };
        Ok(Self {
            schema: table.source_schema(),
            columns,
            body,
            format: options.format,
            bad_records: options.bad_records,
            quoting: if options.format == Format::Csv { Quoting::of(&table.options) } else { None },
            // as in Flink: only a reader that knows comments passes over empty lines, too
            empty_records: match options.format {
                Format::Csv => !table.options.boolean("csv.allow-comments", false)?,
                // each line is a value
                Format::Raw => true,
                Format::Json | Format::Parquet => false,
            },
            root: options.path.clone(),
            partition_keys: table.partitioned_by.clone(),
            default_partition: options.default_partition.clone(),
            start,
            batch_rows: BATCH_ROWS_MAX,
            files: None,
            current: None,
            decoder,
            position: 0,
            read: FilesRead::default(),
            record: Vec::new(),
        })
    }

    /// Goes on behind what an earlier start has read.
    fn after(self, read: FilesRead) -> Self {
        Self { position: read.row, read, ..self }
    }

    /// The next rows, from one file.
    fn next(&mut self) -> Result<Fetched> {
        loop {
            let Some(mut open) = self.current.take().map(Ok).or_else(|| self.next_file().transpose()).transpose()?
            else {
                if self.position < self.start {
                    return Err(Error::data(format!(
                        "\"{}\" has {} rows, but {} were read before: files were changed or removed",
                        self.root.display(),
                        self.position,
                        self.start
                    ))
                    .hint("put the files back, or start over with --fresh"));
                }
                return Ok(Fetched::End);
            };
            let stretch = match &mut open.input {
                Input::Text(reader) => self.text(&open.file, reader)?,
                Input::Parquet(rows) => self.parquet(&open.file, rows)?,
            };
            let Some(stretch) = stretch else {
                self.read.end(self.position);
                continue;
            };
            let batch = self.assemble(&open, stretch)?;
            self.current = Some(open);
            if let Some(batch) = batch {
                return Ok(Fetched::Rows(Box::new(batch)));
            }
        }
    }

    /// Opens the next file; `None` after the last.
    fn next_file(&mut self) -> Result<Option<OpenFile>> {
        if self.files.is_none() {
            let files = files::list(&self.root, &self.partition_keys, &self.default_partition)?;
            self.files = Some(self.read.to_read(&self.root, files).into_iter());
        }
        let Some(file) = self.files.as_mut().and_then(Iterator::next) else { return Ok(None) };
        let opened = File::open(&file.path).map_err(|e| durable::failure("read", &file.path, e))?;
        let metadata = opened.metadata().map_err(|e| durable::failure("read", &file.path, e))?;
        self.read.begin(FileMark::new(&self.root, &file.path, &metadata), self.position);
        let input = match self.format {
            Format::Parquet => {
                let skip = u64::try_from(self.start.saturating_sub(self.position)).unwrap_or(0);
                let rows = parquet_file::Rows::open(opened, &file.path, &self.body, skip, self.batch_rows)?;
                self.position = self.position.saturating_add(i64::try_from(rows.skipped()).unwrap_or(i64::MAX));
                Input::Parquet(rows)
            }
            Format::Json | Format::Csv | Format::Raw => {
                refuse_compressed(&file)?;
                Input::Text(RecordReader::new(opened, self.quoting, self.empty_records))
            }
        };
        let constants = self.columns.iter().zip(self.schema.fields());
        let constants =
            constants.map(|(column, field)| constant(*column, field.data_type(), &file)).collect::<Result<_>>()?;
        Ok(Some(OpenFile { file, constants, input }))
    }

    /// Decodes the next records of a text file; `None` at its end.
    fn text(&mut self, file: &TableFile, reader: &mut RecordReader) -> Result<Option<Stretch>> {
        let Some(decoder) = &mut self.decoder else { return Err(Error::internal("a text file has no decoder")) };
        let (mut offsets, mut bad, mut bytes, mut ended, mut read) = (Vec::new(), Vec::new(), 0, false, 0);
        while offsets.len() + bad.len() < self.batch_rows && bytes < BATCH_BYTES_MAX {
            let (found, line) = reader.next(&mut self.record).map_err(|e| durable::failure("read", &file.path, e))?;
            let pushed = match found {
                Record::End => {
                    ended = true;
                    break;
                }
                Record::Whole => decoder.push(&self.record),
                Record::TooLong => Err(BadValue {
                    code: "TOO_LARGE",
                    field: None,
                    message: format!("the line has more than {RECORD_BYTES_MAX} bytes"),
                }),
            };
            bytes += self.record.len();
            let offset = self.position;
            // The ledger's own count, made of records taken; how many rows an array has only its decoder knows.
            let end = offset + pushed.as_ref().map_or(1, |rows| (*rows).max(1) as i64);
            read += u64::try_from(end - offset.max(self.start)).unwrap_or(0);
            match pushed.and_then(|rows| if rows == 0 { Err(BadValue::no_row()) } else { Ok(rows) }) {
                Ok(rows) => {
                    self.position += rows as i64;
                    offsets.extend(offset..self.position);
                }
                // what an earlier start has passed was judged then
                Err(value) if self.bad_records == BadRecords::Fail && value.code != NO_ROW && offset >= self.start => {
                    return Err(bad_line(file, line, &value));
                }
                Err(value) => {
                    self.position += 1;
                    bad.push(casualty(value, offset, &self.record, self.bad_records));
                }
            }
        }
        if ended && offsets.is_empty() && bad.is_empty() {
            return Ok(None);
        }
        // The file's last row may have filled the batch.
        if ended || reader.ended().map_err(|e| durable::failure("read", &file.path, e))? {
            // Nothing more is wanted of the file: it may go.
            self.read.end(self.position);
        }
        Ok(Some(Stretch { body: decoder.finish()?, offsets, bad, read }))
    }

    /// The next rows of a Parquet file; `None` at its end.
    fn parquet(&mut self, file: &TableFile, rows: &mut parquet_file::Rows) -> Result<Option<Stretch>> {
        let Some((read, body)) = rows.next(&file.path)? else { return Ok(None) };
        let start = self.position;
        self.position += body.num_rows() as i64;
        if rows.ended() {
            self.read.end(self.position);
        }
        Ok(Some(Stretch { body, offsets: (start..self.position).collect(), bad: Vec::new(), read }))
    }

    /// Puts the table's columns together and leaves out what an earlier start has read; `None` if that is all.
    fn assemble(&self, open: &OpenFile, stretch: Stretch) -> Result<Option<SourceBatch>> {
        let Stretch { body, mut offsets, mut bad, read } = stretch;
        if self.position <= self.start {
            return Ok(None);
        }
        let known = offsets.partition_point(|offset| *offset < self.start);
        offsets.drain(..known);
        bad.retain(|record| record.offset >= self.start);
        let rows = offsets.len();
        if body.num_rows() != known + rows {
            return Err(Error::internal("a decoder returned another number of rows than it counted"));
        }
        let body = body.slice(known, rows);
        let zeros = UInt32Array::from_value(0, rows);
        let arrays = self.columns.iter().zip(&open.constants).map(|(column, constant)| match (column, constant) {
            (Column::Body(place), _) => Ok(Arc::clone(body.column(*place))),
            (_, Some(value)) => Ok(take(value, &zeros, None)?),
            (_, None) => Err(Error::internal("a column of a file has no value")),
        });
        let mut arrays = arrays.collect::<Result<Vec<_>>>()?;
        if let Some(kept) = self.with_values(&arrays, &offsets, &open.file, &mut bad)? {
            offsets = kept.values().iter().filter_map(|&row| offsets.get(row as usize).copied()).collect();
            arrays = take_arrays(&arrays, &kept, None)?;
        }
        let rows = offsets.len();
        Ok(Some(SourceBatch {
            rows: RecordBatch::try_new_with_options(
                Arc::clone(&self.schema),
                arrays,
                &arrow::array::RecordBatchOptions::new().with_row_count(Some(rows)),
            )?,
            offsets: Int64Array::from(offsets),
            timestamps: None,
            bad,
            tombstones: 0,
            read,
            next_offset: self.position,
        }))
    }

    /// The rows with a value in every NOT NULL column, if that is not all of them; the others follow the policy.
    fn with_values(
        &self,
        arrays: &[ArrayRef],
        offsets: &[i64],
        file: &TableFile,
        bad: &mut Vec<BadRecord>,
    ) -> Result<Option<UInt32Array>> {
        let fields = self.schema.fields().iter().zip(arrays);
        let wrong: Vec<_> = fields.filter(|(field, array)| !field.is_nullable() && array.null_count() > 0).collect();
        if wrong.is_empty() {
            return Ok(None);
        }
        let mut kept = Vec::with_capacity(offsets.len());
        for (row, &offset) in offsets.iter().enumerate() {
            let Some((field, _)) = wrong.iter().find(|(_, array)| array.is_null(row)) else {
                kept.push(row as u32);
                continue;
            };
            if self.bad_records == BadRecords::Fail {
                return Err(without_value(field.name(), file));
            }
            let message = "NULL is not allowed".to_owned();
            let value = BadValue { code: "NOT_NULL", field: Some(field.name().clone()), message };
            bad.push(casualty(value, offset, &[], self.bad_records));
        }
        bad.sort_by_key(|record| record.offset);
        Ok(Some(UInt32Array::from(kept)))
    }
}

fn metadata(key: &str) -> Option<Metadata> {
    match key {
        "file.path" => Some(Metadata::Path),
        "file.name" => Some(Metadata::Name),
        "file.size" => Some(Metadata::Size),
        "file.modification-time" => Some(Metadata::Modified),
        _ => None,
    }
}

/// `[1]` the value of a column that is the same for all rows of a file.
fn constant(column: Column, data_type: &DataType, file: &TableFile) -> Result<Option<ArrayRef>> {
    let text = |text: Option<&str>| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let value = match column {
        Column::Body(_) => return Ok(None),
        Column::Partition(place) => text(file.partition.get(place).and_then(Option::as_deref)),
        Column::Metadata(Metadata::Path) => {
            let full = std::path::absolute(&file.path).unwrap_or_else(|_| file.path.clone());
            text(Some(&full.to_string_lossy()))
        }
        Column::Metadata(Metadata::Name) => text(Some(&file.path.file_name().unwrap_or_default().to_string_lossy())),
        Column::Metadata(Metadata::Size) => {
            Arc::new(Int64Array::from(vec![i64::try_from(file.bytes).unwrap_or(i64::MAX)]))
        }
        Column::Metadata(Metadata::Modified) => {
            Arc::new(TimestampMillisecondArray::from(vec![file.modified_ms]).with_timezone("UTC"))
        }
    };
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&value, data_type, &strict).map(Some).map_err(|e| {
        Error::data(format!("a folder of file \"{}\" is no value of its partition column", file.path.display()))
            .detail(e.to_string())
    })
}

fn refuse_compressed(file: &TableFile) -> Result<()> {
    let end = file.path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if ["gz", "bz2", "xz", "zst", "zip", "deflate", "lz4"].contains(&end) {
        return Err(Error::config(format!("file \"{}\" is compressed, which is not supported", file.path.display()))
            .hint("unpack it first, or store Parquet, which is compressed inside"));
    }
    Ok(())
}

fn without_value(column: &str, file: &TableFile) -> Error {
    Error::data(format!(
        "column \"{column}\" is NOT NULL, but file \"{}\" has a row without a value",
        file.path.display()
    ))
    .hint("mend the file, declare the column without NOT NULL, or set 'bad-records' = 'ledger' to keep such rows apart")
}

fn bad_line(file: &TableFile, line: u64, value: &BadValue) -> Error {
    let field = value.field.as_ref().map(|f| format!("field \"{f}\": ")).unwrap_or_default();
    Error::data(format!("cannot read line {line} of \"{}\": {field}{}", file.path.display(), value.message))
        .hint("mend the line, or set 'bad-records' = 'ledger' to keep such lines apart and go on")
}

fn casualty(value: BadValue, offset: i64, record: &[u8], policy: BadRecords) -> BadRecord {
    // a row of columns has no bytes of its own, a line of text is never empty
    let kept = policy != BadRecords::Drop && !record.is_empty();
    let raw = kept.then(|| record.iter().take(BAD_RECORD_BYTES_MAX).copied().collect());
    BadRecord { offset, timestamp: None, code: value.code, field: value.field, message: value.message, raw }
}

#[cfg(test)]
mod tests;
