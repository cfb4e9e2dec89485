//! Turns a staged segment into visible files: one per partition folder, or more where a folder's rows pass
//! the file size. What comes out depends on the segment and its recorded numbers alone, so doing it again
//! after a crash makes the same files under the same names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;

use super::files;
use super::options::{FileOptions, Format};
use super::{parquet_file, parquet_map};
use crate::connectors::staging::StagingReader;
use crate::durable::{self, failure};
use crate::error::{Error, Result};
use crate::formats::{self, Encoder};
use crate::limits::OPEN_FOLDERS_MAX;
use crate::table::TableSpec;

/// Bytes all open Parquet writers together may hold before the largest are written out.
const OPEN_BYTES_MAX: usize = 32 << 20;

/// How a table's rows become files.
pub(super) struct Layout {
    root: PathBuf,
    format: Format,
    default_partition: String,
    partition_keys: Vec<String>,
    /// Place of each partition column in the sink's schema.
    partition_columns: Vec<usize>,
    /// Places of the others.
    body_columns: Vec<usize>,
    /// Columns that stand in the files.
    body: SchemaRef,
    compression: parquet::basic::Compression,
    table: TableSpec,
}

/// What is published together: the numbers that name the files.
pub(super) struct Segment<'a> {
    /// Part of every file's name.
    pub(super) writer: &'a str,
    /// Of the process that publishes: what it has not finished yet has a name of its own.
    pub(super) fence: u64,
    /// An earlier process may have begun to publish it.
    pub(super) begun: bool,
    pub(super) first_epoch: u64,
    pub(super) last_epoch: u64,
    /// Size at which a file is finished.
    pub(super) file_size_bytes: u64,
    pub(super) staged: PathBuf,
    pub(super) staged_bytes: u64,
}

impl Layout {
    /// The layout of a sink's files.
    ///
    /// # Errors
    /// `Config` if a type cannot be written in the format.
    pub(super) fn new(table: &TableSpec, options: &FileOptions) -> Result<Self> {
        let schema = table.sink_schema();
        let partition_columns: Vec<usize> =
            table.partitioned_by.iter().map(|name| schema.index_of(name)).collect::<Result<_, _>>()?;
        let body_columns: Vec<usize> = (0..schema.fields().len()).filter(|i| !partition_columns.contains(i)).collect();
        let body = match options.format {
            Format::Parquet => parquet_file::stored_schema(&schema.project(&body_columns)?),
            Format::Json | Format::Csv | Format::Raw => Arc::new(schema.project(&body_columns)?),
        };
        let layout = Self {
            root: options.path.clone(),
            format: options.format,
            default_partition: options.default_partition.clone(),
            partition_keys: table.partitioned_by.clone(),
            partition_columns,
            body_columns,
            body,
            compression: options.compression,
            table: table.clone(),
        };
        match layout.format {
            Format::Parquet => parquet_file::writer_properties(&layout.body, layout.compression, &[]).map(drop)?,
            Format::Json | Format::Csv | Format::Raw => drop(layout.encoder()?),
        }
        Ok(layout)
    }

    fn encoder(&self) -> Result<Box<dyn Encoder>> {
        let name = self.format.name();
        let mut options = self.table.options.clone();
        // Flink's writer of csv files does not look at it
        options.0.remove("csv.write-bigdecimal-in-scientific-notation");
        formats::encoder(name, Arc::clone(&self.body), &options, &format!("{name}."))
    }

    /// Publishes a segment. Files that are there already stay as they are.
    ///
    /// # Errors
    /// `Unavailable` if the disk does not take them; `State` if the segment is gone.
    pub(super) fn publish(&self, segment: &Segment<'_>) -> Result<()> {
        let mut staged = StagingReader::open(&segment.staged, segment.staged_bytes)?;
        let mut open = OpenFiles {
            layout: self,
            segment,
            files: BTreeMap::new(),
            parts: BTreeMap::new(),
            touched: BTreeSet::new(),
        };
        while let Some(batch) = staged.next()? {
            for (folder, rows) in self.split(&batch)? {
                open.write(&folder, &rows)?;
            }
            open.shrink()?;
        }
        open.finish()
    }

    /// The rows of each folder, in order, as the columns that are stored.
    fn split(&self, batch: &RecordBatch) -> Result<Vec<(String, RecordBatch)>> {
        if batch.schema_ref().fields() != self.table.sink_schema().fields() {
            return Err(Error::state(format!(
                "staged rows of table \"{}\" have other columns than the table now",
                self.table.name
            ))
            .hint("run the script they were written with once more, or start over with --fresh"));
        }
        let texts: Vec<ArrayRef> = self
            .partition_columns
            .iter()
            .map(|place| cast(batch.column(*place), &DataType::Utf8))
            .collect::<Result<_, _>>()?;
        let body = self.stored(&batch.project(&self.body_columns)?)?;
        if texts.is_empty() {
            return Ok(vec![(String::new(), body)]);
        }
        let mut folders: BTreeMap<Vec<Option<&str>>, Vec<u32>> = BTreeMap::new();
        for row in 0..batch.num_rows() {
            let values = texts.iter().map(|text| {
                let text = text.as_string::<i32>();
                text.is_valid(row).then(|| text.value(row))
            });
            folders.entry(values.collect()).or_default().push(u32::try_from(row).unwrap_or(u32::MAX));
        }
        let split = folders.into_iter().map(|(values, rows)| {
            let folder = files::folder(&self.partition_keys, &values, &self.default_partition)?;
            Ok((folder, take_record_batch(&body, &UInt32Array::from(rows))?))
        });
        split.collect()
    }

    fn stored(&self, body: &RecordBatch) -> Result<RecordBatch> {
        let columns = body.columns().iter().zip(self.body.fields());
        let columns = columns.map(|(column, field)| match self.format {
            Format::Parquet => Ok(cast(&parquet_map::stored(column, field.name())?, field.data_type())?),
            Format::Json | Format::Csv | Format::Raw => Ok(cast(column, field.data_type())?),
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.body), columns)?)
    }
}

/// The last epoch in a file of the job `instance`, as its name says; `None` for other files.
pub fn last_epoch(name: &str, instance: &str) -> Option<u64> {
    // part-<instance>-<writer>-<first>-<last>[-<k>].<format>
    let mut numbers = name.strip_prefix("part-")?.strip_prefix(instance)?.strip_prefix('-')?.split(['-', '.']);
    let (_writer, _first) = (numbers.next()?, numbers.next()?);
    numbers.next()?.parse().ok()
}

/// The files one segment is being written to, by folder.
struct OpenFiles<'a> {
    layout: &'a Layout,
    segment: &'a Segment<'a>,
    files: BTreeMap<String, OpenFile>,
    /// Files finished in each folder: the `k` of the next one's name.
    parts: BTreeMap<String, usize>,
    /// Folders with new names.
    touched: BTreeSet<PathBuf>,
}

struct OpenFile {
    temporary: PathBuf,
    path: PathBuf,
    writer: FileWriter,
}

enum FileWriter {
    Text { file: BufWriter<File>, encoder: Box<dyn Encoder>, bytes: u64 },
    Parquet(Box<ArrowWriter<File>>),
}

impl OpenFiles<'_> {
    fn write(&mut self, folder: &str, rows: &RecordBatch) -> Result<()> {
        if !self.files.contains_key(folder) {
            if self.files.len() >= OPEN_FOLDERS_MAX {
                self.close_all()?;
            }
            let file = self.create(folder)?;
            self.files.insert(folder.to_owned(), file);
        }
        let Some(file) = self.files.get_mut(folder) else { return Err(Error::internal("an open file is gone")) };
        file.write(rows)?;
        if file.bytes() >= self.segment.file_size_bytes {
            self.close(folder)?;
        }
        Ok(())
    }

    fn create(&mut self, folder: &str) -> Result<OpenFile> {
        let Segment { writer, fence, first_epoch, last_epoch, .. } = self.segment;
        let dir = self.layout.root.join(folder);
        durable::create_dir(&dir)?;
        let part = match self.parts.get(folder) {
            Some(part) => format!("-{part}"),
            None => String::new(),
        };
        let name = format!("part-{writer}-{first_epoch}-{last_epoch}{part}.{}", self.layout.format.name());
        let temporary = dir.join(format!(".{name}.{fence}.tmp"));
        // a file that is there may have the final name, too: it must not be written again
        durable::remove(&temporary)?;
        let file = File::create_new(&temporary).map_err(|e| failure("create", &temporary, e))?;
        let writer = match self.layout.format {
            Format::Json | Format::Csv | Format::Raw => {
                FileWriter::Text { file: BufWriter::new(file), encoder: self.layout.encoder()?, bytes: 0 }
            }
            Format::Parquet => {
                let notes = [
                    ("streamer.writer", (*writer).to_owned()),
                    ("streamer.epochs", format!("{first_epoch}-{last_epoch}")),
                ];
                let Layout { body, compression, .. } = self.layout;
                let properties = parquet_file::writer_properties(body, *compression, &notes)?;
                let created = ArrowWriter::try_new(file, Arc::clone(body), Some(properties));
                FileWriter::Parquet(Box::new(created.map_err(|e| unwritable(&temporary, e))?))
            }
        };
        Ok(OpenFile { temporary, path: dir.join(name), writer })
    }

    /// Writes out what the largest writers hold in memory.
    fn shrink(&mut self) -> Result<()> {
        let mut held: usize = self.files.values().map(OpenFile::memory).sum();
        while held > OPEN_BYTES_MAX {
            let Some(largest) = self.files.values_mut().max_by_key(|file| file.memory()) else { break };
            let before = largest.memory();
            largest.flush()?;
            if largest.memory() >= before {
                break;
            }
            held = held.saturating_sub(before - largest.memory());
        }
        Ok(())
    }

    fn close(&mut self, folder: &str) -> Result<()> {
        let Some(file) = self.files.remove(folder) else { return Ok(()) };
        *self.parts.entry(folder.to_owned()).or_default() += 1;
        self.touched.insert(self.layout.root.join(folder));
        file.finish()
    }

    fn close_all(&mut self) -> Result<()> {
        while let Some(folder) = self.files.keys().next().cloned() {
            self.close(&folder)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.close_all()?;
        if self.segment.begun {
            self.touched.iter().try_for_each(|dir| self.remove_unfinished(dir))?;
        }
        self.touched.iter().try_for_each(|dir| durable::sync_dir(dir))
    }

    /// Removes what earlier processes have left of this segment.
    fn remove_unfinished(&self, dir: &Path) -> Result<()> {
        let Segment { writer, fence, first_epoch, last_epoch, .. } = self.segment;
        let prefix = format!(".part-{writer}-{first_epoch}-{last_epoch}");
        for entry in std::fs::read_dir(dir).map_err(|e| failure("read", dir, e))? {
            let path = entry.map_err(|e| failure("read", dir, e))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(&prefix));
            let rest = name.filter(|rest| rest.starts_with(['-', '.'])).and_then(|rest| rest.strip_suffix(".tmp"));
            let owner = rest.and_then(|rest| rest.rsplit('.').next()?.parse::<u64>().ok());
            if owner.is_some_and(|owner| owner < *fence) {
                durable::remove(&path)?;
            }
        }
        Ok(())
    }
}

impl OpenFile {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        match &mut self.writer {
            FileWriter::Parquet(writer) => writer.write(rows).map_err(|e| unwritable(&self.temporary, e)),
            FileWriter::Text { file, encoder, bytes } => {
                let encoded = encoder.encode(rows)?;
                for line in encoded.iter() {
                    file.write_all(line)
                        .and_then(|()| file.write_all(b"\n"))
                        .map_err(|e| failure("write", &self.temporary, e))?;
                    *bytes += line.len() as u64 + 1;
                }
                Ok(())
            }
        }
    }

    /// Bytes the file will have, about.
    fn bytes(&self) -> u64 {
        match &self.writer {
            FileWriter::Parquet(writer) => (writer.bytes_written() + writer.in_progress_size()) as u64,
            FileWriter::Text { bytes, .. } => *bytes,
        }
    }

    fn memory(&self) -> usize {
        match &self.writer {
            FileWriter::Parquet(writer) => writer.memory_size(),
            FileWriter::Text { .. } => 0,
        }
    }

    fn flush(&mut self) -> Result<()> {
        match &mut self.writer {
            FileWriter::Parquet(writer) => writer.flush().map_err(|e| unwritable(&self.temporary, e)),
            FileWriter::Text { .. } => Ok(()),
        }
    }

    /// All bytes on disk first, then the name.
    fn finish(self) -> Result<()> {
        let file = match self.writer {
            FileWriter::Parquet(writer) => writer.into_inner().map_err(|e| unwritable(&self.temporary, e))?,
            FileWriter::Text { file, .. } => {
                file.into_inner().map_err(|e| failure("write", &self.temporary, e.into_error()))?
            }
        };
        file.sync_all().map_err(|e| durable::unsynced(&self.temporary, e))?;
        drop(file);
        durable::publish(&self.temporary, &self.path)
    }
}

fn unwritable(path: &Path, error: parquet::errors::ParquetError) -> Error {
    match error {
        parquet::errors::ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(io) => failure("write", path, *io),
            Err(other) => Error::unavailable(format!("cannot write \"{}\": {other}", path.display())),
        },
        other => Error::internal(format!("cannot write Parquet file \"{}\"", path.display())).detail(other.to_string()),
    }
}
