//! Options as golden errors; source, sink and administration against librdkafka's mock cluster in the process.

mod formats;
mod options;
mod sink;
mod source;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit, TimestampMillisecondType};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::RDKafkaApiKey;

use super::*;
use crate::connectors::{Fetched, JobContext, Sink, Source, SourceBatch, Split, SplitReader, StartAt};
use crate::error::{ErrorKind, Span};
use crate::limits::RECORD_BYTES_MAX;
use crate::stream::{PartitionId, RowCounts, SourcePosition};
use crate::table::map::{map_array, map_type};
use crate::table::{ColumnKind, ColumnSpec, OptionValue, Options};

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster(topics: &[(&str, i32)]) -> Cluster {
    let cluster = MockCluster::new(4).unwrap();
    for (topic, partitions) in topics {
        cluster.create_topic(topic, *partitions, 3).unwrap();
    }
    cluster
}

/// Nothing here may take longer, whatever breaks.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("took more than 60 s")
}

fn column(name: &str, sql_type: &str, kind: ColumnKind) -> ColumnSpec {
    let data_type = match sql_type {
        "STRING" => DataType::Utf8,
        "BYTES" => DataType::Binary,
        "INT" => DataType::Int32,
        "BIGINT" => DataType::Int64,
        "TIMESTAMP_LTZ(3)" => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        "TIMESTAMP(3)" => DataType::Timestamp(TimeUnit::Millisecond, None),
        "MAP<STRING, BYTES>" => map_type(DataType::Utf8, DataType::Binary, true),
        other => panic!("no type {other}"),
    };
    ColumnSpec { name: name.into(), data_type, sql_type: sql_type.into(), nullable: true, kind }
}

fn physical(name: &str, sql_type: &str) -> ColumnSpec {
    column(name, sql_type, ColumnKind::Physical)
}

fn metadata(name: &str, sql_type: &str, key: &str, virtual_: bool) -> ColumnSpec {
    column(name, sql_type, ColumnKind::Metadata { key: key.into(), virtual_ })
}

/// A table; option *n* (sorted) stands in line *n* of the script.
fn table_of(columns: Vec<ColumnSpec>, options: &[(&str, &str)]) -> TableSpec {
    let sorted: BTreeMap<&str, &str> = options.iter().copied().collect();
    let options = sorted.iter().enumerate().map(|(index, (key, value))| {
        let span = Some(Span::new(index as u32 + 1, 1, 9));
        ((*key).to_owned(), OptionValue { value: (*value).to_owned(), span })
    });
    TableSpec {
        name: "readings".into(),
        columns,
        primary_key: Vec::new(),
        partitioned_by: Vec::new(),
        options: Options(options.collect()),
        span: Some(Span::new(99, 1, 9)),
    }
}

/// A table over one STRING column with the options every test wants.
fn text_table(cluster: &Cluster, topic: &str, more: &[(&str, &str)]) -> TableSpec {
    let bootstrap = cluster.bootstrap_servers();
    let mut options = vec![
        ("connector", "kafka"),
        ("topic", topic),
        ("properties.bootstrap.servers", bootstrap.as_str()),
        ("properties.fetch.wait.max.ms", "2"),
        ("format", "raw"),
        ("scan.startup.mode", "earliest-offset"),
    ];
    options.retain(|(key, _)| !more.iter().any(|(other, _)| other == key));
    options.extend_from_slice(more);
    table_of(vec![physical("value", "STRING")], &options)
}

fn job() -> JobContext {
    JobContext { pipeline: "test".into(), time_zone: "UTC".into(), ..JobContext::default() }
}

fn producer(cluster: &Cluster) -> Producer {
    Producer::connect(&cluster.bootstrap_servers(), []).unwrap()
}

/// Writes values to one partition, and waits for the acknowledgements.
async fn fill(cluster: &Cluster, topic: &str, partition: i32, values: &[&str]) {
    let producer = producer(cluster);
    for value in values {
        let record = Record { topic, partition: Some(partition), value: Some(value.as_bytes()), ..Record::default() };
        producer.send(record).await.unwrap();
    }
    producer.flush().await.unwrap();
    assert!(producer.failure().is_none());
}

async fn open(source: &mut KafkaSource, split: &Split, start: StartAt) -> Box<dyn SplitReader> {
    source.open(split, start).await.unwrap()
}

fn split(topic: &str, partition: i32) -> Split {
    Split { topic: topic.into(), partition, topic_index: 0 }
}

/// All batches up to the end of a bounded reader.
async fn drain(reader: &mut dyn SplitReader) -> Vec<SourceBatch> {
    let mut batches = Vec::new();
    while let Fetched::Rows(batch) = reader.next().await.unwrap() {
        assert_eq!(batch.rows.num_rows(), batch.offsets.len());
        assert_eq!(batch.read, batch.rows.num_rows() as u64 + batch.bad.len() as u64 + batch.tombstones);
        assert_eq!(batch.next_offset, reader.next_offset());
        batches.push(*batch);
    }
    batches
}

fn texts(batches: &[SourceBatch]) -> Vec<String> {
    let column = |batch: &SourceBatch| {
        let texts = batch.rows.column_by_name("value").unwrap().as_string::<i32>().clone();
        texts.iter().map(|text| text.unwrap().to_owned()).collect::<Vec<_>>()
    };
    batches.iter().flat_map(column).collect()
}

fn offsets(batches: &[SourceBatch]) -> Vec<i64> {
    batches.iter().flat_map(|batch| batch.offsets.values().to_vec()).collect()
}

/// Rows of an endless reader until there are `count`.
async fn read(reader: &mut dyn SplitReader, count: usize) -> Vec<SourceBatch> {
    let mut batches: Vec<SourceBatch> = Vec::new();
    while batches.iter().map(|b| b.rows.num_rows()).sum::<usize>() < count {
        match reader.next().await.unwrap() {
            Fetched::Rows(batch) => batches.push(*batch),
            Fetched::Gap(_) | Fetched::End => panic!("an endless reader ended"),
        }
    }
    batches
}

fn at_least_once(table: &TableSpec) -> KafkaSink {
    KafkaSink::open(table, &parse(table, Usage::Sink).unwrap(), &job()).unwrap()
}

fn problems(table: &TableSpec, usage: Usage) -> Vec<String> {
    let mut errors = validate(table, usage);
    errors.sort_by_key(Error::span);
    errors
        .iter()
        .map(|e| {
            assert_eq!(e.kind(), ErrorKind::Config);
            let line = e.span().map_or(0, |span| span.line);
            match e.hint_text() {
                Some(hint) => format!("{line}: {} [{hint}]", e.message()),
                None => format!("{line}: {}", e.message()),
            }
        })
        .collect()
}

fn rows(table: &TableSpec, columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(table.sink_schema(), columns).unwrap()
}
