//! The kinds of sinks the script writes, and how each is read without the engine. Another kind is another entry.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::support::postgres::Cluster;

/// Where a round keeps its outputs.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) bootstrap: String,
    /// Begins the names of topics and tables.
    pub(crate) name: String,
    pub(crate) directory: PathBuf,
    /// Of the Kafka tables.
    pub(crate) guarantee: String,
    /// The database, where there is one.
    pub(crate) postgres: Option<Arc<Cluster>>,
}

/// A kind of sink.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// The options of a table.
    pub(crate) options: fn(&Place, table: &str) -> String,
    /// Every row a reader of the sink sees, as JSON.
    pub(crate) read: fn(&Place, table: &str) -> Vec<serde_json::Value>,
    /// Topics to be made before.
    pub(crate) needs_topic: bool,
    needs_postgres: bool,
}

const KINDS: &[Kind] = &[
    Kind { name: "kafka", options: kafka_options, read: kafka_rows, needs_topic: true, needs_postgres: false },
    Kind { name: "parquet", options: parquet_options, read: parquet_rows, needs_topic: false, needs_postgres: false },
    Kind { name: "postgres", options: postgres_options, read: postgres_rows, needs_topic: false, needs_postgres: true },
];

/// The kinds there is a system for.
pub(crate) fn kinds(place: &Place) -> impl Iterator<Item = &'static Kind> {
    let postgres = place.postgres.is_some();
    KINDS.iter().filter(move |kind| postgres || !kind.needs_postgres)
}

pub(crate) fn topic(place: &Place, table: &str) -> String {
    format!("{}-{table}", place.name)
}

fn kafka_options(place: &Place, table: &str) -> String {
    format!(
        "'connector' = 'kafka', 'topic' = '{}', 'properties.bootstrap.servers' = '{}', 'format' = 'json', \
         'sink.delivery-guarantee' = '{}'",
        topic(place, table),
        place.bootstrap,
        place.guarantee
    )
}

fn kafka_rows(place: &Place, table: &str) -> Vec<serde_json::Value> {
    records(&place.bootstrap, &topic(place, table))
        .iter()
        .map(|record| serde_json::from_slice(&record.value).unwrap())
        .collect()
}

fn parquet_options(_: &Place, table: &str) -> String {
    format!(
        "'connector' = 'filesystem', 'path' = 'out/{table}', 'format' = 'parquet', \
         'sink.rolling-policy.rollover-interval' = '1 s'"
    )
}

fn parquet_rows(place: &Place, table: &str) -> Vec<serde_json::Value> {
    let mut rows = Vec::new();
    for path in visible(&place.directory.join("out").join(table)) {
        let file = std::fs::File::open(path).unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        for batch in reader.build().unwrap() {
            let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
            writer.write(&batch.unwrap()).unwrap();
            writer.finish().unwrap();
            let text = String::from_utf8(writer.into_inner()).unwrap();
            rows.extend(text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()));
        }
    }
    rows
}

/// A table of the database, which the rounds share.
pub(crate) fn relation(place: &Place, table: &str) -> String {
    format!("{}_{table}", place.name.replace('-', "_"))
}

/// Without a primary key: a merge by it would hide a row that comes twice.
fn postgres_options(place: &Place, table: &str) -> String {
    let port = place.postgres.as_ref().map_or(0, |cluster| cluster.port);
    format!(
        "'connector' = 'jdbc', 'url' = 'jdbc:postgresql://127.0.0.1:{port}/postgres', 'username' = 'streamer', \
         'table-name' = '{}', 'sink.create-table' = 'true'",
        relation(place, table)
    )
}

fn postgres_rows(place: &Place, table: &str) -> Vec<serde_json::Value> {
    let Some(cluster) = &place.postgres else { return Vec::new() };
    let rows = cluster.sql(&format!("SELECT row_to_json(t) FROM {} t", relation(place, table)));
    rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect()
}

/// Files a reader sees.
fn visible(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|p| p.is_file() && !p.file_name().unwrap().to_string_lossy().starts_with(['.', '_'])).collect()
}

/// A record.
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) value: Vec<u8>,
}

/// Every committed record of a topic, in order per partition.
pub(crate) fn records(bootstrap: &str, topic: &str) -> Vec<Record> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "crash-reader")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(60)).unwrap();
    let mut list = TopicPartitionList::new();
    let mut open = BTreeSet::new();
    for partition in metadata.topics()[0].partitions() {
        open.insert(partition.id());
        list.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut found = Vec::new();
    let mut waited = std::time::Instant::now();
    while !open.is_empty() {
        assert!(waited.elapsed() < Duration::from_secs(120), "{topic} cannot be read to its end");
        match consumer.poll(Duration::from_secs(1)) {
            None => {}
            Some(Ok(message)) => {
                waited = std::time::Instant::now();
                let value = message.payload().unwrap_or_default().to_vec();
                found.push(Record { partition: message.partition(), offset: message.offset(), value });
            }
            // the end as a reader of committed records sees it; rows of an open transaction are not there for it
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
            Some(Err(_)) => {}
        }
    }
    found.sort_by_key(|record| (record.partition, record.offset));
    found
}
