//! Parquet files: read in batches with columns matched by name, written without dictionaries for floats.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowSchemaConverter, ProjectionMask};
use parquet::basic::{Compression, Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

use super::parquet_map::{of_table, stored_type};
use crate::error::{Error, Result};

/// Bytes (estimated) of one row group before it is written out.
const ROW_GROUP_BYTES_MAX: usize = 16 << 20;

/// The rows of one file, as columns of the table.
pub(super) struct Rows {
    schema: SchemaRef,
    /// Place of each column in the file's batches; `None`: the file does not have it.
    places: Vec<Option<usize>>,
    skipped: u64,
    /// Rows neither passed over nor read.
    left: u64,
    /// `None` if all rows are skipped.
    reader: Option<ParquetRecordBatchReader>,
}

impl Rows {
    /// Opens a file to read the columns of `schema`, without its first `skip` rows.
    ///
    /// # Errors
    /// `Data` if it is no Parquet file, or a column has a type that cannot be converted.
    pub(super) fn open(file: File, path: &Path, schema: &SchemaRef, skip: u64, batch_rows: usize) -> Result<Self> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| unreadable(path, e))?;
        let stored = Arc::clone(builder.schema());
        let mut roots = Vec::new();
        for field in schema.fields() {
            let Ok(root) = stored.index_of(field.name()) else { continue };
            let from = stored.field(root).data_type();
            if from != field.data_type() && !can_cast_types(from, &stored_type(field.data_type())) {
                return Err(Error::data(format!(
                    "column \"{}\" has type {from} in file \"{}\", which cannot be read as {}",
                    field.name(),
                    path.display(),
                    field.data_type()
                )));
            }
            roots.push(root);
        }
        // the reader returns columns in the order of the file
        roots.sort_unstable();
        let places = schema
            .fields()
            .iter()
            .map(|field| stored.index_of(field.name()).ok().and_then(|root| roots.binary_search(&root).ok()));
        let places = places.collect();
        let total = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
        let skipped = skip.min(total);
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let reader = if skipped == total {
            None
        } else {
            let offset = usize::try_from(skipped).unwrap_or(usize::MAX);
            let builder = builder.with_projection(mask).with_batch_size(batch_rows).with_offset(offset);
            Some(builder.build().map_err(|e| unreadable(path, e))?)
        };
        Ok(Self { schema: Arc::clone(schema), places, skipped, left: total - skipped, reader })
    }

    /// Rows passed over.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Whether every row was read.
    pub(super) fn ended(&self) -> bool {
        self.left == 0
    }

    /// How many rows the file gives next, and those as columns of the table; `None` after the last.
    ///
    /// # Errors
    /// `Data` if the file is damaged or a value does not fit the column's type.
    pub(super) fn next(&mut self, path: &Path) -> Result<Option<(u64, RecordBatch)>> {
        let Some(batch) = self.reader.as_mut().and_then(Iterator::next) else {
            return if self.left == 0 { Ok(None) } else { Err(other_count(path, self.left, "fewer")) };
        };
        let batch = batch.map_err(|e| unreadable(path, e))?;
        let rows = batch.num_rows();
        let left = self.left.checked_sub(rows as u64);
        self.left = left.ok_or_else(|| other_count(path, rows as u64 - self.left, "more"))?;
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let columns = self.schema.fields().iter().zip(&self.places).map(|(field, place)| {
            let Some(column) = place.and_then(|place| batch.columns().get(place)) else {
                return Ok(new_null_array(field.data_type(), rows));
            };
            if column.data_type() == field.data_type() {
                return Ok(Arc::clone(column));
            }
            let cast = cast_with_options(column, &stored_type(field.data_type()), &strict);
            let cast = cast.map_err(|e| {
                Error::data(format!(
                    "column \"{}\" of file \"{}\" has a value that does not fit {}",
                    field.name(),
                    path.display(),
                    field.data_type()
                ))
                .detail(e.to_string())
            });
            of_table(&cast?, field.data_type())
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        // NOT NULL is checked, with a message of its own, where the table's columns come together
        let fields: Vec<Field> = self.schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
        Ok(Some((rows as u64, batch)))
    }
}

fn unreadable(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::data(format!("cannot read Parquet file \"{}\"", path.display())).detail(error.to_string()).because(error)
}

/// Rows lost without a word by the reader, or made by it: the file contradicts its own footer.
fn other_count(path: &Path, rows: u64, than: &str) -> Error {
    Error::data(format!("Parquet file \"{}\" holds {rows} {than} rows than its footer says", path.display()))
        .hint("the file is damaged: write it again, or move it away")
}

/// The schema rows are stored with. Parquet has no seconds, they become milliseconds, and no NULL among the keys of maps.
pub(super) fn stored_schema(schema: &Schema) -> SchemaRef {
    let stored = |field: &FieldRef| match field.data_type() {
        DataType::Timestamp(TimeUnit::Second, zone) => {
            Arc::new(field.as_ref().clone().with_data_type(DataType::Timestamp(TimeUnit::Millisecond, zone.clone())))
        }
        other => Arc::new(field.as_ref().clone().with_data_type(stored_type(other))),
    };
    Arc::new(Schema::new(schema.fields().iter().map(stored).collect::<Vec<_>>()))
}

/// How rows of `schema` are written: zstd by default, time stamps as INT64, dictionaries for all but floats,
/// whose values hardly repeat.
///
/// # Errors
/// `Config` if a type has no form in Parquet.
pub(super) fn writer_properties(
    schema: &Schema,
    compression: Compression,
    notes: &[(&str, String)],
) -> Result<WriterProperties> {
    let parquet = ArrowSchemaConverter::new()
        .convert(schema)
        .map_err(|e| Error::config("a column of the table has no form in Parquet").detail(e.to_string()))?;
    let notes = notes.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone())).collect();
    let start: WriterPropertiesBuilder = WriterProperties::builder()
        .set_created_by(concat!("streamer ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(compression)
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES_MAX))
        .set_key_value_metadata(Some(notes));
    let floats = parquet.columns().iter().filter(|c| matches!(c.physical_type(), Type::FLOAT | Type::DOUBLE));
    Ok(floats
        .fold(start, |builder, column| builder.set_column_dictionary_enabled(column.path().clone(), false))
        .build())
}
