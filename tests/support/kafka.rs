//! The real four-broker Kafka that `scripts/test` starts: `STREAMER_TEST_KAFKA` names its brokers.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rdkafka::Message;
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

/// One record of a topic.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) value: Vec<u8>,
}

/// Everything in a topic now, in order per partition.
pub(crate) fn records(bootstrap: &str, topic: &str) -> Vec<Record> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "test-reader")
        .set("enable.auto.commit", "false")
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

/// Creates topics of four partitions, partition i led by broker i.
pub(crate) fn create_topics(bootstrap: &str, names: &[&str]) {
    use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
    let admin: AdminClient<rdkafka::client::DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let assignment: [&[i32]; 4] = [&[1, 2, 3], &[2, 3, 4], &[3, 4, 1], &[4, 1, 2]];
    let topics: Vec<NewTopic<'_>> = names
        .iter()
        .map(|name| NewTopic::new(name, 4, TopicReplication::Variable(&assignment)).set("min.insync.replicas", "2"))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
    for result in runtime.block_on(admin.create_topics(&topics, &options)).unwrap() {
        result.unwrap();
    }
}
