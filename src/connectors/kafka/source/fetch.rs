//! Single records by their offsets, whole: for rows of the ledger whose bytes were not kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::{Consumer, EMBEDDED, JobContext, KafkaOptions, Place, TableSpec, Usage, assign, client, consumer_config};
use crate::connectors::kafka::{self, Producer};
use crate::error::{Error, Result};

/// Offsets further away are jumped to rather than read up to.
const READ_THROUGH_MAX: i64 = 1_000;
const BATCH_RECORDS: usize = 1_000;
/// How long nothing may come before it counts as unreachable.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// A record as it stands in its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its time stamp, ms since 1970.
    pub timestamp: Option<i64>,
    /// Headers, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A record, or why it cannot be had.
pub type Lookup = Result<StoredRecord, &'static str>;

/// Deleted since.
const EXPIRED: &str = "deleted by the topic's retention";
/// The log ends before it.
const BEYOND: &str = "beyond the end of the topic, which was cut or made anew";
/// Between others, and not there.
const ABSENT: &str = "not in the topic any more: compacted away, or of an aborted transaction";
/// The topic is not.
const NO_TOPIC: &str = "in a topic or partition that is gone";

/// Looks records of a table's topics up.
pub struct Fetcher {
    options: KafkaOptions,
    consumer: Arc<Consumer>,
}

impl Fetcher {
    /// For the topics of `table`; no broker is asked yet.
    ///
    /// # Errors
    /// `Config` for wrong options, and for a table of the embedded cluster, which is gone with its run.
    pub fn open(table: &TableSpec) -> Result<Self> {
        let options = kafka::parse(table, Usage::Source)?;
        if options.bootstrap == EMBEDDED {
            return Err(Error::config(format!(
                "table \"{}\" was read from an embedded cluster, which is gone",
                table.name
            ))
            .hint("only what brokers keep can be read again: set KAFKA_BOOTSTRAP_SERVERS"));
        }
        let config = consumer_config(&options, "streamer-ledger", &JobContext::default())?;
        let consumer = client::consumer(&config, &table.name)?;
        Ok(Self { options, consumer })
    }

    /// A producer for the same brokers.
    ///
    /// # Errors
    /// `Config` for wrong properties.
    pub fn producer(&self) -> Result<Producer> {
        Producer::connect(&self.options.bootstrap, self.options.properties.pairs())
    }

    /// The records of a partition at `offsets`; every one of them is answered.
    ///
    /// # Errors
    /// `Unavailable` if no broker answers.
    pub async fn records(&self, topic: &str, partition: i32, offsets: &BTreeSet<i64>) -> Result<BTreeMap<i64, Lookup>> {
        let place = Place { topic: topic.to_owned(), partition, base: 0 };
        let mut found = BTreeMap::new();
        let (consumer, own) = (Arc::clone(&self.consumer), place.clone());
        let range = client::blocking(move || {
            let there = client::partitions(&consumer, &own.topic)?.is_some_and(|all| all.contains(&own.partition));
            if there { client::watermarks(&consumer, &own.topic, own.partition).map(Some) } else { Ok(None) }
        })
        .await?;
        let mut wanted = Vec::new();
        for offset in offsets {
            match range {
                None => drop(found.insert(*offset, Err(NO_TOPIC))),
                Some((low, _)) if *offset < low => drop(found.insert(*offset, Err(EXPIRED))),
                Some((_, high)) if *offset >= high => drop(found.insert(*offset, Err(BEYOND))),
                Some(_) => wanted.push(*offset),
            }
        }
        for run in wanted.chunk_by(|before, after| after - before <= READ_THROUGH_MAX) {
            self.read(&place, run, &mut found).await?;
        }
        Ok(found)
    }

    /// Reads from the first of `run` to its last.
    async fn read(&self, place: &Place, run: &[i64], found: &mut BTreeMap<i64, Lookup>) -> Result<()> {
        let (Some(first), Some(last)) = (run.first().copied(), run.last().copied()) else { return Ok(()) };
        let (consumer, own) = (Arc::clone(&self.consumer), place.clone());
        let mut queue = client::blocking(move || assign(&consumer, &own, first)).await?;
        let mut position = first;
        while position <= last {
            let mut any = false;
            for message in queue.take(BATCH_RECORDS).iter() {
                any = true;
                match message.error() {
                    Some((Code::PartitionEOF, _)) => position = last.saturating_add(1),
                    Some((_, text)) => return Err(unreadable(place, &text)),
                    None => {
                        position = message.offset().saturating_add(1);
                        if run.binary_search(&message.offset()).is_ok() {
                            let headers =
                                message.headers().map(|(name, value)| (name.into_owned(), value.map(<[u8]>::to_vec)));
                            let record = StoredRecord {
                                key: message.key().map(<[u8]>::to_vec),
                                value: message.payload().map(<[u8]>::to_vec),
                                timestamp: message.timestamp().0,
                                headers: headers.collect(),
                            };
                            found.insert(message.offset(), Ok(record));
                        }
                    }
                }
            }
            if !any && position <= last {
                let rung = tokio::time::timeout(SILENCE_MAX, queue.bell().notified()).await;
                rung.map_err(|_| unreadable(place, "no record comes"))?;
            }
        }
        for offset in run {
            found.entry(*offset).or_insert(Err(ABSENT));
        }
        let (consumer, own) = (Arc::clone(&self.consumer), place.clone());
        client::blocking(move || {
            let mut list = TopicPartitionList::new();
            list.add_partition(&own.topic, own.partition);
            consumer.incremental_unassign(&list).map_err(|e| client::from_kafka("a partition was not given back", &e))
        })
        .await
    }
}

fn unreadable(place: &Place, reason: &str) -> Error {
    Error::unavailable(format!("partition {} of topic \"{}\" cannot be read: {reason}", place.partition, place.topic))
}
