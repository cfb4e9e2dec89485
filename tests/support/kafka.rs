//! The real four-broker Kafka that `scripts/test` starts: `STREAMER_TEST_KAFKA` names its brokers.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rdkafka::Message;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::root;

/// The brokers, or `None` with a word that the test did not run.
pub(crate) fn bootstrap(test: &str) -> Option<String> {
    match std::env::var("STREAMER_TEST_KAFKA") {
        Ok(servers) if servers != "none" && !servers.is_empty() => Some(servers),
        _ => {
            println!("not run: {test} needs a real Kafka; use scripts/test, or set STREAMER_TEST_KAFKA=host:port");
            None
        }
    }
}

/// A topic name no other test uses.
pub(crate) fn topic(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Runs `scripts/kafka` and returns what it printed.
pub(crate) fn script(arguments: &[&str]) -> String {
    let output = Command::new(root().join("scripts/kafka")).args(arguments).output().unwrap();
    assert!(output.status.success(), "scripts/kafka {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The same with text on its standard input.
pub(crate) fn script_with_input(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(root().join("scripts/kafka"));
    let mut child =
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "scripts/kafka {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// One record of a topic.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) value: Vec<u8>,
}

/// Everything committed in a topic now, in order per partition. Transactions leave records of their own behind, so the
/// last offset need not be a row's: a partition ends where the client says so.
pub(crate) fn records(bootstrap: &str, topic: &str) -> Vec<Record> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "test-reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let timeout = Duration::from_secs(30);
    let metadata = consumer.fetch_metadata(Some(topic), timeout).unwrap();
    let (mut list, mut open) = (TopicPartitionList::new(), std::collections::BTreeMap::new());
    for partition in metadata.topics()[0].partitions() {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), timeout).unwrap();
        list.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
        if high > low {
            open.insert(partition.id(), high);
        }
    }
    consumer.assign(&list).unwrap();
    let mut records = Vec::new();
    while !open.is_empty() {
        let message = match consumer.poll(timeout).expect("the topic has more records") {
            Ok(message) => message,
            Err(rdkafka::error::KafkaError::PartitionEOF(partition)) => {
                open.remove(&partition);
                continue;
            }
            // Another test may have killed a broker: the client finds its way.
            Err(rdkafka::error::KafkaError::MessageConsumption(code)) if !code.to_string().contains("Unknown") => {
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        records.push(Record {
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap_or(-1),
            value: message.payload().unwrap_or_default().to_vec(),
        });
        if open.get(&message.partition()).is_some_and(|high| message.offset() + 1 >= *high) {
            open.remove(&message.partition());
        }
    }
    records.sort_by_key(|r| (r.partition, r.offset));
    records
}

/// A record to send.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) partition: i32,
    /// ms since 1970
    pub(crate) timestamp: i64,
    pub(crate) key: Option<String>,
    pub(crate) value: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Default for Sent {
    fn default() -> Self {
        Self { partition: 0, timestamp: 1_700_000_000_000, key: None, value: String::new(), headers: Vec::new() }
    }
}

/// Sends records and returns when all are acknowledged by all replicas.
pub(crate) fn send(bootstrap: &str, topic: &str, records: &[Sent]) {
    use rdkafka::message::{Header, OwnedHeaders};
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", bootstrap).set("acks", "all").create().unwrap();
    for sent in records {
        let headers = sent
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
        let mut record = BaseRecord::<str, str>::to(topic).partition(sent.partition).timestamp(sent.timestamp);
        record = record.payload(&sent.value).headers(headers);
        record.key = sent.key.as_deref();
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

fn group_member(bootstrap: &str, group: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", group).set("enable.auto.commit", "false");
    config.create().unwrap()
}

/// Sets a group's offsets: (partition, next offset).
pub(crate) fn commit(bootstrap: &str, group: &str, topic: &str, offsets: &[(i32, i64)]) {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).unwrap();
    }
    group_member(bootstrap, group).commit(&list, rdkafka::consumer::CommitMode::Sync).unwrap();
}

/// A group's offsets of the first partitions; -1 where it has none.
pub(crate) fn committed(bootstrap: &str, group: &str, topic: &str, partitions: i32) -> Vec<i64> {
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition(topic, partition);
    }
    let found = group_member(bootstrap, group).committed_offsets(list, Duration::from_secs(30)).unwrap();
    found
        .elements()
        .iter()
        .map(|element| element.offset().to_raw().filter(|offset| *offset >= 0).unwrap_or(-1))
        .collect()
}

fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap()
}

/// Runs a call of the admin client; its answers must be good.
fn done<T: std::fmt::Debug, E: std::fmt::Debug>(
    call: impl Future<Output = Result<Vec<Result<T, E>>, rdkafka::error::KafkaError>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for result in runtime.block_on(call).unwrap() {
        result.unwrap();
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)))
}

/// Creates a topic with so many partitions, three replicas each.
pub(crate) fn create_topic(bootstrap: &str, name: &str, partitions: i32) {
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(3));
    done(admin(bootstrap).create_topics([&topic], &options()));
}

/// Creates a topic of one partition without a replica, on a broker that is alone.
pub(crate) fn create_single_topic(bootstrap: &str, name: &str) {
    done(admin(bootstrap).create_topics([&NewTopic::new(name, 1, TopicReplication::Fixed(1))], &options()));
}

/// Gives a topic more partitions, so that it has `total`.
pub(crate) fn add_partitions(bootstrap: &str, name: &str, total: usize) {
    done(admin(bootstrap).create_partitions([&NewPartitions::new(name, total)], &options()));
}

/// Creates topics of four partitions, partition i led by broker i.
pub(crate) fn create_topics(bootstrap: &str, names: &[&str]) {
    let assignment: [&[i32]; 4] = [&[1, 2, 3], &[2, 3, 4], &[3, 4, 1], &[4, 1, 2]];
    let topics: Vec<NewTopic<'_>> = names
        .iter()
        .map(|name| NewTopic::new(name, 4, TopicReplication::Variable(&assignment)).set("min.insync.replicas", "2"))
        .collect();
    done(admin(bootstrap).create_topics(&topics, &options()));
}
