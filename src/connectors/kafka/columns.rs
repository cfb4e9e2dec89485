//! Records to rows: value, key and metadata side by side, and the casualties with their reasons.
//!
//! Invariant: every record taken is counted once, as rows, as bad or as tombstone; a bad one leaves nothing in
//! the columns, so it never harms its neighbours.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryArray, BinaryBuilder, Int32Array, Int64Array, RecordBatch, RecordBatchOptions,
    StringArray, StringBuilder, TimestampMillisecondArray, UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{can_cast_types, cast, take};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};

use super::ffi::{Message, TimestampType};
use super::options::{Format, KafkaOptions, RAW};
use crate::connectors::{BadRecord, BadRecords, SourceBatch};
use crate::error::{Error, Result};
use crate::formats::{self, BadValue, Decoder, EncodedRows, Encoder, NO_ROW};
use crate::limits::{BAD_RECORD_BYTES_MAX, RECORD_BYTES_MAX};
use crate::table::map::{entry_fields, map_array};
use crate::table::{ColumnKind, ColumnSpec, TableSpec};

/// What a metadata column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metadata {
    Topic,
    Partition,
    Headers,
    LeaderEpoch,
    Offset,
    Timestamp,
    TimestampType,
}

impl Metadata {
    /// The metadata named `key`, for a column of type `to`.
    ///
    /// # Errors
    /// `Config` if there is no such metadata or it has no such form.
    pub(super) fn new(key: &str, to: &DataType) -> Result<Self> {
        let (metadata, from) = match key {
            "topic" => (Self::Topic, DataType::Utf8),
            "partition" => (Self::Partition, DataType::Int32),
            "headers" => (Self::Headers, DataType::Null),
            "leader-epoch" => (Self::LeaderEpoch, DataType::Int32),
            "offset" => (Self::Offset, DataType::Int64),
            "timestamp" => (Self::Timestamp, DataType::Null),
            "timestamp-type" => (Self::TimestampType, DataType::Utf8),
            _ => {
                let keys = super::METADATA.iter().map(|(name, ..)| *name);
                return Err(Error::config(format!("connector \"kafka\" has no metadata \"{key}\"")).nearest(key, keys));
            }
        };
        let fits = match metadata {
            Self::Headers => header_values(to).is_some(),
            Self::Timestamp => matches!(to, DataType::Timestamp(..)),
            _ => can_cast_types(&from, to),
        };
        if fits {
            return Ok(metadata);
        }
        let sql_type = super::METADATA.iter().find(|(name, ..)| *name == key).map_or("", |(_, sql_type, _)| *sql_type);
        Err(Error::config(format!("metadata \"{key}\" has no form in the type of its column"))
            .hint(format!("declare the column as {sql_type}")))
    }
}

/// The field of the values of a `MAP<STRING, BYTES>`.
fn header_values(to: &DataType) -> Option<&FieldRef> {
    let (key, value) = entry_fields(to)?;
    (*key.data_type() == DataType::Utf8 && *value.data_type() == DataType::Binary).then_some(value)
}

/// Where a column of the batch comes from.
#[derive(Debug, Clone)]
enum Origin {
    Value(usize),
    Key(usize),
    Metadata(Metadata),
}

/// Which records the decoder is fed with: part of its messages.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// Logical minus physical offset.
    pub(super) base: i64,
}

/// Decodes the records of one partition.
pub(super) struct RowDecoder {
    // fixed at start
    place: Place,
    schema: SchemaRef,
    columns: Vec<Origin>,
    bad_records: BadRecords,
    with_headers: bool,
    zone: chrono_tz::Tz,
    // changes while running
    value: PartDecoder,
    key: Option<PartDecoder>,
    rows: Rows,
}

/// Decodes the value or the key.
enum PartDecoder {
    Raw(RawDecoder),
    Format(Box<dyn Decoder>),
}

/// What is known of the rows of one batch, besides what the decoders hold.
#[derive(Default)]
struct Rows {
    /// `[n]`
    offsets: Vec<i64>,
    /// `[n]` ms
    timestamps: Vec<Option<i64>>,
    /// `[n]`
    timestamp_types: Vec<TimestampType>,
    /// `[n]`
    leader_epochs: Vec<Option<i32>>,
    /// `[n]` row of the key decoder
    keys: Vec<u32>,
    /// `[n]` headers by name
    headers: Vec<BTreeMap<String, Option<Vec<u8>>>>,
    bad: Vec<BadRecord>,
    tombstones: u64,
    /// First offset after the last record, physical.
    next_offset: Option<i64>,
}

impl RowDecoder {
    /// A decoder for one partition of `table`.
    ///
    /// # Errors
    /// `Config` if a format does not take the columns.
    pub(super) fn new(table: &TableSpec, options: &KafkaOptions, place: Place, zone: &str) -> Result<Self> {
        let value_columns = options.value_columns(table);
        let value_schema = schema(value_columns.iter().map(|c| c.field().as_ref().clone()));
        let value = PartDecoder::new(&options.value_format, value_schema, table)?;
        let key_columns = key_columns(table, options);
        let key = match &options.key {
            None => None,
            Some(key) => Some(PartDecoder::new(&key.format, key_schema(&key_columns, &key.prefix), table)?),
        };
        let mut columns = Vec::new();
        for column in &table.columns {
            match &column.kind {
                ColumnKind::Computed => {}
                ColumnKind::Metadata { key, .. } => {
                    columns.push(Origin::Metadata(Metadata::new(key, &column.data_type)?))
                }
                ColumnKind::Physical => {
                    let in_value = value_columns.iter().position(|c| c.name == column.name).map(Origin::Value);
                    let in_key = || key_columns.iter().position(|c| c.name == column.name).map(Origin::Key);
                    columns.extend(in_value.or_else(in_key));
                }
            }
        }
        let with_headers = columns.iter().any(|c| matches!(c, Origin::Metadata(Metadata::Headers)));
        Ok(Self {
            place,
            schema: table.source_schema(),
            columns,
            bad_records: options.bad_records,
            with_headers,
            zone: zone.parse().unwrap_or(chrono_tz::UTC),
            value,
            key,
            rows: Rows::default(),
        })
    }

    /// Takes one record and returns the number of its rows: 0 for one that is bad or has no value.
    ///
    /// # Errors
    /// `Data` for a bad record under the policy `fail`.
    pub(super) fn push(&mut self, message: &Message<'_>) -> Result<usize> {
        self.rows.next_offset = Some(message.offset().saturating_add(1));
        let Some(payload) = message.payload() else {
            self.rows.tombstones += 1;
            return Ok(0);
        };
        match self.push_row(message, payload) {
            Ok(rows) => Ok(rows),
            Err(bad) => self.push_bad(message, payload, bad).map(|()| 0),
        }
    }

    fn push_row(&mut self, message: &Message<'_>, payload: &[u8]) -> Result<usize, BadValue> {
        let size = payload.len().saturating_add(message.key().map_or(0, <[u8]>::len));
        if size > RECORD_BYTES_MAX {
            let text = format!("the record has {size} bytes, more than the limit of {RECORD_BYTES_MAX}");
            return Err(bad("TOO_LARGE", text));
        }
        let key_row = match &mut self.key {
            None => 0,
            Some(decoder) => decoder.push_key(message.key())?,
        };
        let count = self.value.push(payload)?;
        if count == 0 {
            return Err(BadValue::no_row());
        }
        let (timestamp, kind) = message.timestamp();
        let headers = if self.with_headers { headers(message) } else { BTreeMap::new() };
        for _ in 0..count {
            self.rows.offsets.push(message.offset().saturating_add(self.place.base));
            self.rows.timestamps.push(timestamp);
            self.rows.timestamp_types.push(kind);
            self.rows.leader_epochs.push(message.leader_epoch());
            self.rows.keys.push(key_row);
            if self.with_headers {
                self.rows.headers.push(headers.clone());
            }
        }
        Ok(count)
    }

    fn push_bad(&mut self, message: &Message<'_>, payload: &[u8], bad: BadValue) -> Result<()> {
        let offset = message.offset().saturating_add(self.place.base);
        if self.bad_records == BadRecords::Fail && bad.code != NO_ROW {
            let Place { topic, partition, .. } = &self.place;
            let field = bad.field.map(|f| format!(", field \"{f}\"")).unwrap_or_default();
            return Err(Error::data(format!(
                "record at offset {offset} of partition {partition} of topic \"{topic}\" cannot be read{field}: {}",
                bad.message
            ))
            .hint("mend or skip the record, or set 'bad-records' = 'ledger' to keep such records aside"));
        }
        let kept = (self.bad_records != BadRecords::Drop).then(|| payload.iter().take(BAD_RECORD_BYTES_MAX).copied());
        self.rows.bad.push(BadRecord {
            offset,
            timestamp: message.timestamp().0,
            code: bad.code,
            field: bad.field,
            message: bad.message,
            raw: kept.map(Iterator::collect),
        });
        Ok(())
    }

    /// Everything pushed since the last call; `None` if that was nothing. `next_offset` of the batch is that
    /// of the last record, `read` what the caller has counted.
    ///
    /// # Errors
    /// `Internal` if the columns do not fit together.
    pub(super) fn finish(&mut self, read: u64) -> Result<Option<SourceBatch>> {
        let rows = std::mem::take(&mut self.rows);
        let Some(next_offset) = rows.next_offset else { return Ok(None) };
        let value = self.value.finish()?;
        let count = rows.offsets.len();
        let key = match &mut self.key {
            None => None,
            Some(decoder) => Some(aligned(decoder.finish()?, &rows.keys)?),
        };
        if value.num_rows() != count {
            return Err(Error::internal(format!("the decoder announced {count} rows and made {}", value.num_rows())));
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (origin, field) in self.columns.iter().zip(self.schema.fields()) {
            columns.push(match origin {
                Origin::Value(index) => Arc::clone(value.column(*index)),
                Origin::Key(index) => match &key {
                    Some(key) => Arc::clone(key.column(*index)),
                    None => return Err(Error::internal("a key column without a key")),
                },
                Origin::Metadata(metadata) => self.metadata(*metadata, &rows, field)?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        Ok(Some(SourceBatch {
            rows: batch,
            offsets: Int64Array::from(rows.offsets),
            timestamps: Some(Int64Array::from(rows.timestamps)),
            bad: rows.bad,
            tombstones: rows.tombstones,
            read,
            next_offset: next_offset.saturating_add(self.place.base),
        }))
    }

    /// A batch without rows that only moves the position.
    pub(super) fn moved(&self, next_offset: i64, read: u64) -> SourceBatch {
        SourceBatch {
            rows: RecordBatch::new_empty(Arc::clone(&self.schema)),
            offsets: Int64Array::from(Vec::<i64>::new()),
            timestamps: Some(Int64Array::from(Vec::<i64>::new())),
            bad: Vec::new(),
            tombstones: 0,
            read,
            next_offset,
        }
    }

    fn metadata(&self, metadata: Metadata, rows: &Rows, field: &Field) -> Result<ArrayRef> {
        let count = rows.offsets.len();
        let to = field.data_type();
        let array: ArrayRef = match metadata {
            Metadata::Topic => Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&self.place.topic, count))),
            Metadata::Partition => Arc::new(Int32Array::from_value(self.place.partition, count)),
            Metadata::LeaderEpoch => Arc::new(Int32Array::from(rows.leader_epochs.clone())),
            Metadata::Offset => Arc::new(Int64Array::from(rows.offsets.clone())),
            Metadata::TimestampType => {
                Arc::new(StringArray::from_iter_values(rows.timestamp_types.iter().map(|kind| kind.name())))
            }
            Metadata::Timestamp => return timestamps(&rows.timestamps, to, self.zone),
            Metadata::Headers => return header_column(&rows.headers, to),
        };
        Ok(if array.data_type() == to { array } else { cast(&array, to)? })
    }
}

fn bad(code: &'static str, message: String) -> BadValue {
    BadValue { code, field: None, message }
}

impl PartDecoder {
    fn new(format: &Format, schema: SchemaRef, table: &TableSpec) -> Result<Self> {
        Ok(match format.name.as_str() {
            RAW => Self::Raw(RawDecoder::new(schema)),
            name => Self::Format(formats::decoder(name, schema, &table.options, &format.prefix)?),
        })
    }

    /// Decodes a value and returns its number of rows.
    fn push(&mut self, value: &[u8]) -> Result<usize, BadValue> {
        match self {
            Self::Raw(raw) => raw.push(Some(value)).map(|_| 1),
            Self::Format(decoder) => decoder.push(value),
        }
    }

    /// Decodes a key and returns its row in the decoder.
    fn push_key(&mut self, key: Option<&[u8]>) -> Result<u32, BadValue> {
        let decoder = match self {
            Self::Raw(raw) => return raw.push(key),
            Self::Format(decoder) => decoder,
        };
        // Flink makes no row of a record without a key either.
        let key = key.ok_or_else(|| bad("KEY_MISSING", "the record has no key".into()))?;
        let row = decoder.rows();
        match decoder.push(key).map_err(|e| BadValue { message: format!("in the key: {}", e.message), ..e })? {
            0 => Err(bad("KEY_MISSING", "the key holds no row".into())),
            // Rows nobody refers to are left out when the batch is finished.
            1 => u32::try_from(row).map_err(|_| bad("KEY_ROWS", "too many keys in one batch".into())),
            count => Err(bad("KEY_ROWS", format!("the key holds {count} rows instead of one"))),
        }
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        match self {
            Self::Raw(raw) => raw.finish(),
            Self::Format(decoder) => decoder.finish(),
        }
    }
}

/// The rows of a key batch that the batch's rows refer to.
fn aligned(keys: RecordBatch, rows: &[u32]) -> Result<RecordBatch> {
    if keys.num_rows() == rows.len() && rows.iter().enumerate().all(|(index, row)| index as u32 == *row) {
        return Ok(keys);
    }
    let indices = UInt32Array::from(rows.to_vec());
    let columns: Result<Vec<ArrayRef>, _> = keys.columns().iter().map(|column| take(column, &indices, None)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(keys.schema(), columns?, &options)?)
}

/// As in Flink's map, the last of several headers of one name counts.
fn headers(message: &Message<'_>) -> BTreeMap<String, Option<Vec<u8>>> {
    message.headers().map(|(name, value)| (name.into_owned(), value.map(<[u8]>::to_vec))).collect()
}

fn header_column(rows: &[BTreeMap<String, Option<Vec<u8>>>], to: &DataType) -> Result<ArrayRef> {
    let value = header_values(to).ok_or_else(|| Error::internal("headers in a column that is no map"))?;
    let values_nullable = value.is_nullable();
    let (mut names, mut values) = (StringBuilder::new(), BinaryBuilder::new());
    for (name, value) in rows.iter().flatten() {
        names.append_value(name);
        match value {
            Some(value) => values.append_value(value),
            None if values_nullable => values.append_null(),
            None => values.append_value(b""),
        }
    }
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(BTreeMap::len));
    Ok(Arc::new(map_array(to, offsets, Arc::new(names.finish()), Arc::new(values.finish()), None)?))
}

/// An instant in ms as `TIMESTAMP_LTZ`, or as the session zone's wall clock in `TIMESTAMP`.
fn timestamps(ms: &[Option<i64>], to: &DataType, zone: chrono_tz::Tz) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, declared_zone) = to else {
        return Err(Error::internal("a time stamp in a column that is no TIMESTAMP"));
    };
    let array = match declared_zone {
        Some(_) => TimestampMillisecondArray::from(ms.to_vec()),
        None => ms.iter().map(|ms| ms.map(|ms| wall_clock(ms, zone))).collect(),
    };
    let array = array.with_timezone_opt(declared_zone.clone());
    if *unit == TimeUnit::Millisecond { Ok(Arc::new(array)) } else { Ok(cast(&array, to)?) }
}

fn wall_clock(ms: i64, zone: chrono_tz::Tz) -> i64 {
    use chrono::Offset;
    let Some(instant) = chrono::DateTime::from_timestamp_millis(ms) else { return ms };
    let offset = instant.with_timezone(&zone).offset().fix().local_minus_utc();
    ms.saturating_add(i64::from(offset).saturating_mul(1000))
}

/// Columns of the key, in the order of `key.fields`.
pub(super) fn key_columns<'a>(table: &'a TableSpec, options: &KafkaOptions) -> Vec<&'a ColumnSpec> {
    let fields = options.key.as_ref().map(|key| key.fields.as_slice()).unwrap_or_default();
    fields.iter().filter_map(|field| table.physical().find(|c| c.name == *field)).collect()
}

/// Fields of the key: the columns' names without the prefix.
pub(super) fn key_schema(columns: &[&ColumnSpec], prefix: &str) -> SchemaRef {
    schema(columns.iter().map(|c| {
        let field = c.field().as_ref().clone();
        match c.name.strip_prefix(prefix) {
            Some(name) => field.with_name(name),
            None => field,
        }
    }))
}

fn schema(fields: impl Iterator<Item = Field>) -> SchemaRef {
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A key or value that is one text or one string of bytes, as it is.
struct RawDecoder {
    schema: SchemaRef,
    text: bool,
    values: BinaryBuilder,
}

impl RawDecoder {
    fn new(schema: SchemaRef) -> Self {
        let text = schema.fields().first().is_some_and(|f| *f.data_type() == DataType::Utf8);
        Self { schema, text, values: BinaryBuilder::new() }
    }
}

impl RawDecoder {
    fn push(&mut self, bytes: Option<&[u8]>) -> Result<u32, BadValue> {
        if self.text && bytes.is_some_and(|bytes| std::str::from_utf8(bytes).is_err()) {
            return Err(bad("RAW_UTF8", "it is not UTF-8, and its column is a STRING".into()));
        }
        let row =
            u32::try_from(self.values.len()).map_err(|_| bad("KEY_ROWS", "too many records in one batch".into()))?;
        self.values.append_option(bytes);
        Ok(row)
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        let bytes: ArrayRef = Arc::new(self.values.finish());
        let to = self.schema.field(0).data_type();
        let column = if bytes.data_type() == to { bytes } else { cast(&bytes, to)? };
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), vec![column])?)
    }
}

/// The reverse of [`RawDecoder`].
pub(super) struct RawEncoder;

impl Encoder for RawEncoder {
    fn encode(&mut self, batch: &RecordBatch) -> Result<EncodedRows> {
        let Some(column) = batch.columns().first() else { return Ok(EncodedRows::default()) };
        let column = cast(column, &DataType::Binary)?;
        let values = column.as_any().downcast_ref::<BinaryArray>();
        let values = values.ok_or_else(|| Error::internal("a raw column is no bytes"))?;
        let mut rows = EncodedRows::default();
        for value in values {
            rows.bytes.extend_from_slice(value.unwrap_or_default());
            rows.ends.push(rows.bytes.len());
        }
        Ok(rows)
    }
}
