//! Rows become records: value, key, topic, partition, time stamp and headers.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, MapArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, SchemaRef, TimeUnit};

use super::admin::{Producer, Record};
use super::columns::{RawEncoder, key_columns, key_schema};
use super::options::{Format, KafkaOptions, Partitioner, RAW, Topics};
use crate::connectors::JobContext;
use crate::error::{Error, ErrorKind, Result};
use crate::formats::{self, EncodedRows, Encoder};
use crate::table::map::keys;
use crate::table::{ColumnKind, ColumnSpec, TableSpec};

/// Makes a table's rows into records.
pub(super) struct RowRecords {
    // fixed at start
    pub(super) topics: Topics,
    partitioner: Partitioner,
    value: Part,
    key: Option<Part>,
    topic_column: Option<usize>,
    timestamp_column: Option<usize>,
    headers_column: Option<usize>,
    zone: chrono_tz::Tz,
    // changes while running: per topic the number of partitions and the next in turn
    turns: BTreeMap<String, (i32, i32)>,
}

/// Columns of the batch that one format encodes together.
struct Part {
    columns: Vec<usize>,
    /// The fields as the format shall name them.
    schema: SchemaRef,
    encoder: Box<dyn Encoder>,
    raw: bool,
}

impl Part {
    /// Whether a row has the part at all: a NULL taken as it is has no bytes.
    fn present(&self, rows: &RecordBatch, row: usize) -> bool {
        !self.raw || self.columns.iter().all(|index| rows.column(*index).is_valid(row))
    }

    fn project(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = self.columns.iter().map(|index| rows.column(*index).clone()).collect();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }

    fn messages(&mut self, rows: &RecordBatch) -> Result<EncodedRows> {
        let batch = self.project(rows)?;
        let encoded = self.encoder.encode(&batch)?;
        if encoded.ends.len() == rows.num_rows() {
            return Ok(encoded);
        }
        Err(Error::internal(format!("{} messages were made of {} rows", encoded.ends.len(), rows.num_rows())))
    }
}

impl RowRecords {
    /// Reads the table's options. No I/O.
    ///
    /// # Errors
    /// `Config` for wrong options.
    pub(super) fn new(table: &TableSpec, options: &KafkaOptions, job: &JobContext) -> Result<Self> {
        for name in &options.properties.ignored {
            tracing::warn!(table = table.name, "option \"properties.{name}\" is for Java's client and left out");
        }
        let schema = table.sink_schema();
        let index = |column: &&ColumnSpec| schema.index_of(&column.name).map_err(Error::from);
        let value_columns = options.value_columns(table);
        let value_schema = key_schema(&value_columns, "");
        let value = Part {
            columns: value_columns.iter().map(index).collect::<Result<_>>()?,
            encoder: encoder(&options.value_format, &value_schema, table)?,
            schema: value_schema,
            raw: options.value_format.name == RAW,
        };
        let key = match &options.key {
            None => None,
            Some(key) => {
                let columns = key_columns(table, options);
                let schema = key_schema(&columns, &key.prefix);
                let encoder = encoder(&key.format, &schema, table)?;
                Some(Part {
                    columns: columns.iter().map(index).collect::<Result<_>>()?,
                    schema,
                    encoder,
                    raw: key.format.name == RAW,
                })
            }
        };
        let metadata = |wanted: &str| {
            let is_wanted =
                |c: &&ColumnSpec| matches!(&c.kind, ColumnKind::Metadata { key, virtual_: false } if key == wanted);
            table.columns.iter().find(is_wanted).map(|c| index(&c)).transpose()
        };
        Ok(Self {
            topics: options.topics.clone(),
            partitioner: options.partitioner,
            value,
            key,
            topic_column: metadata("topic")?,
            timestamp_column: metadata("timestamp")?,
            headers_column: metadata("headers")?,
            zone: job.time_zone.parse().unwrap_or(chrono_tz::UTC),
            turns: BTreeMap::new(),
        })
    }

    /// Hands rows over; `numbers` name them in the reports of those the brokers refuse, and `refused`, if it is there,
    /// takes those that the client refuses for the brokers: too large ones.
    ///
    /// # Errors
    /// `Data` if a row has no form as a record, `Unavailable`.
    pub(super) async fn send(
        &mut self,
        producer: &Producer,
        rows: &RecordBatch,
        numbers: &[u64],
        mut refused: Option<&mut Vec<(u64, Error)>>,
    ) -> Result<()> {
        let values = self.value.messages(rows)?;
        let keys = match &mut self.key {
            None => None,
            Some(key) => Some(key.messages(rows)?),
        };
        let mut keys = keys.as_ref().map(|keys| keys.iter());
        let columns = RowColumns::new(self, rows)?;
        for (row, value) in values.iter().enumerate() {
            let key = keys.as_mut().and_then(Iterator::next);
            let key = key.filter(|_| self.key.as_ref().is_some_and(|part| part.present(rows, row)));
            let value = Some(value).filter(|_| self.value.present(rows, row));
            let topic = columns.topic(row, &self.topics)?;
            let partition = match self.partitioner {
                Partitioner::Default => None,
                Partitioner::Fixed => Some(0),
                Partitioner::RoundRobin => Some(next_partition(producer, &mut self.turns, topic).await?),
            };
            let headers = columns.headers(row);
            let timestamp = columns.timestamp(row)?;
            let number = numbers.get(row).copied().unwrap_or_default();
            let record = Record { topic, partition, key, value, timestamp, headers: &headers, number };
            match (producer.send(record).await, &mut refused) {
                (Err(error), Some(refused)) if error.kind() == ErrorKind::Data => refused.push((number, error)),
                (done, _) => done?,
            }
        }
        Ok(())
    }

    /// A topic that is not there is told at the start, not with the first row.
    ///
    /// # Errors
    /// `Config` if there is none, `Unavailable` if no broker answers.
    pub(super) async fn check_topics(&mut self, producer: &Producer) -> Result<()> {
        if let Topics::List(names) = &self.topics {
            for name in names {
                producer.partition_count(name).await?;
            }
        }
        Ok(())
    }
}

fn encoder(format: &Format, schema: &SchemaRef, table: &TableSpec) -> Result<Box<dyn Encoder>> {
    match format.name.as_str() {
        RAW => Ok(Box::new(RawEncoder)),
        name => formats::encoder(name, schema.clone(), &table.options, &format.prefix),
    }
}

/// The partition whose turn it is.
async fn next_partition(producer: &Producer, turns: &mut BTreeMap<String, (i32, i32)>, topic: &str) -> Result<i32> {
    if !turns.contains_key(topic) {
        turns.insert(topic.to_owned(), (producer.partition_count(topic).await?, 0));
    }
    let Some((count, turn)) = turns.get_mut(topic) else { return Ok(0) };
    let partition = *turn;
    *turn = (partition + 1) % (*count).max(1);
    Ok(partition)
}

/// The columns of a batch that go beside the value.
struct RowColumns {
    topics: Option<StringArray>,
    /// ms since 1970
    timestamps: Option<Int64Array>,
    headers: Option<MapArray>,
}

impl RowColumns {
    fn new(sink: &RowRecords, rows: &RecordBatch) -> Result<Self> {
        let topics = sink.topic_column.map(|index| {
            let column = cast(rows.column(index), &DataType::Utf8)?;
            column.as_string_opt().cloned().ok_or_else(|| Error::internal("a topic that is no text"))
        });
        let timestamps = sink.timestamp_column.map(|index| epoch_ms(rows.column(index), sink.zone));
        let headers = sink.headers_column.map(|index| {
            rows.column(index).as_map_opt().cloned().ok_or_else(|| Error::internal("headers that are no map"))
        });
        Ok(Self { topics: topics.transpose()?, timestamps: timestamps.transpose()?, headers: headers.transpose()? })
    }

    /// The row's topic: its own, if the table's options allow it, else the table's.
    fn topic<'a>(&'a self, row: usize, topics: &'a Topics) -> Result<&'a str> {
        let chosen = self.topics.as_ref().filter(|column| column.is_valid(row)).map(|column| column.value(row));
        match (chosen, topics) {
            (None, Topics::List(list)) if list.len() == 1 => Ok(list.first().map_or("", String::as_str)),
            (Some(topic), Topics::List(list)) if list.iter().any(|name| name == topic) => Ok(topic),
            (Some(topic), Topics::Pattern(pattern)) if pattern.is_match(topic) => Ok(topic),
            (Some(topic), _) => {
                Err(Error::data(format!("a row names topic \"{topic}\", which is not one of the table's"))
                    .hint("add it to the option \"topic\""))
            }
            (None, _) => Err(Error::data("a row names no topic, and the table has more than one")),
        }
    }

    fn timestamp(&self, row: usize) -> Result<Option<i64>> {
        let Some(ms) = self.timestamps.as_ref().filter(|c| c.is_valid(row)).map(|c| c.value(row)) else {
            return Ok(None);
        };
        if ms < 0 {
            return Err(Error::data(format!(
                "a row has the record time stamp {ms} ms, and Kafka takes none before 1970"
            )));
        }
        Ok(Some(ms))
    }

    fn headers(&self, row: usize) -> Vec<(&str, Option<&[u8]>)> {
        let Some(map) = self.headers.as_ref().filter(|map| map.is_valid(row)) else { return Vec::new() };
        let (Some(names), Some(values)) = (keys(map).as_string_opt::<i32>(), map.values().as_binary_opt::<i32>())
        else {
            return Vec::new();
        };
        let offsets = map.value_offsets();
        let range = (offsets[row] as usize)..(offsets[row + 1] as usize);
        let named = range.filter(|index| names.is_valid(*index));
        named.map(|index| (names.value(index), values.is_valid(index).then(|| values.value(index)))).collect()
    }
}

/// Instants in ms of a time stamp column; one without zone is the session zone's wall clock.
fn epoch_ms(column: &ArrayRef, zone: chrono_tz::Tz) -> Result<Int64Array> {
    let DataType::Timestamp(_, declared_zone) = column.data_type() else {
        return Err(Error::internal("a record time stamp that is no TIMESTAMP"));
    };
    let ms = cast(column, &DataType::Timestamp(TimeUnit::Millisecond, declared_zone.clone()))?;
    let ms = cast(&ms, &DataType::Int64)?;
    let ms = ms.as_primitive_opt::<Int64Type>().ok_or_else(|| Error::internal("a time stamp that is no number"))?;
    Ok(match declared_zone {
        Some(_) => ms.clone(),
        None => ms.iter().map(|ms| ms.map(|ms| instant(ms, zone))).collect(),
    })
}

fn instant(wall_clock_ms: i64, zone: chrono_tz::Tz) -> i64 {
    use chrono::TimeZone;
    let Some(wall_clock) = chrono::DateTime::from_timestamp_millis(wall_clock_ms) else { return wall_clock_ms };
    let local = zone.from_local_datetime(&wall_clock.naive_utc()).earliest();
    local.map_or(wall_clock_ms, |local| local.timestamp_millis())
}
