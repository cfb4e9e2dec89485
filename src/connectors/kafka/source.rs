//! A Kafka table as a source: one consumer, and per partition a queue of its own that is emptied in batches.
//!
//! Invariants: partitions are assigned, never subscribed to, so no other consumer of the group takes one away;
//! start and end are numbers before the first row; an offset that is gone is an error with the number of
//! records lost, never a silent new start.

mod fetch;
mod gap;
mod identity;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

pub use self::fetch::{Fetcher, Lookup, StoredRecord};
use self::gap::Recovered;
use super::client::{self, Consumer};
use super::columns::{Place, RowDecoder};
use super::ffi::PartitionQueue;
use super::options::{EMBEDDED, KafkaOptions, Position, Topics};
use crate::connectors::{DataLoss, Fetched, Gap, JobContext, Source, SourceBatch, Split, SplitReader, StartAt, Usage};
use crate::error::{Error, Result};
use crate::limits::KAFKA_QUEUE_BYTES_MAX;
use crate::stream::SourcePosition;
use crate::table::TableSpec;

const FRESH: &str = "start over with --fresh: it forgets the job's state and reads from the table's configured start";

/// A table opened for reading.
pub struct KafkaSource {
    // fixed at start
    table: TableSpec,
    options: Arc<KafkaOptions>,
    job: JobContext,
    embedded: bool,
    group: String,
    consumer: Arc<Consumer>,
    // changes while running: topics in the order they were found, which is part of the order of ties
    topics: Vec<String>,
    /// Ids of the topics asked for so far; `None` where the brokers know none.
    ids: BTreeMap<String, Option<String>>,
    /// Splits whose topic was made anew since they were read, with the fingerprint they had.
    recreated: BTreeMap<(String, i32), serde_json::Value>,
}

impl KafkaSource {
    /// Opens `table` without asking a broker yet.
    ///
    /// # Errors
    /// `Config` for wrong options.
    pub fn open(table: &TableSpec, job: &JobContext) -> Result<Self> {
        let options = super::parse(table, Usage::Source)?;
        for name in &options.properties.ignored {
            tracing::warn!(table = table.name, "option \"properties.{name}\" is for Java's client and left out");
        }
        let embedded = options.bootstrap == EMBEDDED;
        let group = match options.properties.get("group.id") {
            Some(group) => group.to_owned(),
            None => format!("streamer-{}", job.pipeline),
        };
        let consumer = client::consumer(&consumer_config(&options, &group, job)?, &table.name)?;
        let topics = match &options.topics {
            Topics::List(list) => list.clone(),
            Topics::Pattern(_) => Vec::new(),
        };
        Ok(Self {
            table: table.clone(),
            options: Arc::new(options),
            job: job.clone(),
            embedded,
            group,
            consumer,
            topics,
            ids: BTreeMap::new(),
            recreated: BTreeMap::new(),
        })
    }

    /// Logical minus physical offset.
    fn base(&self, topic: &str, partition: i32) -> i64 {
        if !self.embedded {
            return 0;
        }
        self.job.embedded_offsets.get(&(topic.to_owned(), partition)).copied().unwrap_or(0)
    }

    async fn find_splits(&mut self) -> Result<Vec<Split>> {
        let (consumer, options, mut topics) =
            (Arc::clone(&self.consumer), Arc::clone(&self.options), self.topics.clone());
        let (topics, splits) = client::blocking(move || {
            if let Topics::Pattern(pattern) = &options.topics {
                let matching = client::topics(&consumer)?.into_iter().filter(|name| pattern.is_match(name));
                let new: Vec<String> = matching.filter(|name| !topics.contains(name)).collect();
                topics.extend(new);
            }
            let mut splits = Vec::new();
            for (topic_index, topic) in topics.iter().enumerate() {
                let partitions = client::partitions(&consumer, topic)?.ok_or_else(|| no_topic(&consumer, topic))?;
                splits.extend(partitions.into_iter().map(|partition| Split {
                    topic: topic.clone(),
                    partition,
                    topic_index,
                }));
            }
            Ok((topics, splits))
        })
        .await
        .map_err(|e| e.or_at(self.table.options.span("topic").or(self.table.span)))?;
        self.topics = topics;
        Ok(splits)
    }

    async fn open_split(&mut self, split: &Split, start: StartAt) -> Result<Box<dyn SplitReader>> {
        let place = Place {
            topic: split.topic.clone(),
            partition: split.partition,
            base: self.base(&split.topic, split.partition),
        };
        let id = self.topic_id(&split.topic).await?;
        let decoder = RowDecoder::new(&self.table, &self.options, place.clone(), &self.job.time_zone)?;
        let resolver = Resolver {
            consumer: Arc::clone(&self.consumer),
            options: Arc::clone(&self.options),
            group: self.group.clone(),
            place: place.clone(),
        };
        let before = self.recreated.remove(&(split.topic.clone(), split.partition));
        let recreated = before.is_some();
        let (position, bound, high, gap, queue) = client::blocking(move || {
            let (position, bound, high, gap) = resolver.resolve(start, recreated)?;
            let queue = assign(&resolver.consumer, &resolver.place, position)?;
            Ok((position, bound, high, gap, queue))
        })
        .await
        .map_err(|e| e.or_at(self.table.span))?;
        let consumer = Arc::clone(&self.consumer);
        Ok(Box::new(PartitionReader {
            consumer,
            place,
            fingerprint: identity::fingerprint(id.as_deref()),
            fingerprint_before: before,
            data_loss: self.options.data_loss,
            gap,
            recovering: None,
            decoder,
            bound,
            queue,
            position,
            high,
            batch_rows: self.job.batch_rows(),
            read: 0,
            failure: None,
        }))
    }
}

impl Source for KafkaSource {
    fn splits(&mut self) -> BoxFuture<'_, Result<Vec<Split>>> {
        Box::pin(self.find_splits())
    }

    fn recognize<'a>(&'a mut self, split: &'a Split, position: &'a SourcePosition) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.recognize_topic(split, position))
    }

    fn open<'a>(&'a mut self, split: &'a Split, start: StartAt) -> BoxFuture<'a, Result<Box<dyn SplitReader>>> {
        Box::pin(self.open_split(split, start))
    }

    fn discovers(&self) -> Option<Duration> {
        self.options.discovery
    }

    fn committed(&mut self, positions: &[(Split, i64)]) {
        let physical: Vec<(&str, i32, i64)> = positions
            .iter()
            .map(|(split, next)| {
                (split.topic.as_str(), split.partition, next.saturating_sub(self.base(&split.topic, split.partition)))
            })
            .filter(|(_, _, next)| *next >= 0)
            .collect();
        if !physical.is_empty() {
            client::commit(&self.consumer, &physical);
        }
    }
}

fn no_topic(consumer: &Consumer, topic: &str) -> Error {
    let error = Error::config(format!("there is no topic \"{topic}\""));
    match client::topics(consumer) {
        Ok(names) => match crate::error::nearest(topic, names.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean \"{near}\"?")),
            None => error.hint("create it first, or check that the user may see it"),
        },
        Err(_) => error,
    }
}

/// The consumer's configuration: what suits the engine, then what the table says, then what must be.
fn consumer_config(options: &KafkaOptions, group: &str, job: &JobContext) -> Result<ClientConfig> {
    let embedded = options.bootstrap == EMBEDDED;
    let queue_kbytes = (KAFKA_QUEUE_BYTES_MAX / 1024).to_string();
    let mut config = client::config([
        ("client.id", "streamer"),
        ("queued.max.messages.kbytes", queue_kbytes.as_str()),
        ("fetch.message.max.bytes", "1048576"),
        ("fetch.max.bytes", "8388608"),
        // The mock cluster sleeps out an empty fetch: new records do not wake it.
        ("fetch.wait.max.ms", if embedded { "2" } else { "20" }),
        // A full queue is looked at again soon: by default after a second, which starves a fast reader.
        ("fetch.queue.backoff.ms", "5"),
        ("fetch.error.backoff.ms", "100"),
        ("reconnect.backoff.max.ms", "1000"),
        ("isolation.level", "read_committed"),
        ("check.crcs", "true"),
    ]);
    for (name, value) in &options.properties.values {
        config.set(name, value);
    }
    config
        .set("bootstrap.servers", bootstrap(&options.bootstrap, job)?)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true");
    Ok(config)
}

/// Addresses of the brokers.
pub(super) fn bootstrap<'a>(option: &'a str, job: &'a JobContext) -> Result<&'a str> {
    if option != EMBEDDED {
        return Ok(option);
    }
    job.embedded_bootstrap.as_deref().ok_or_else(|| {
        Error::config("this command starts no embedded cluster")
            .hint("set \"properties.bootstrap.servers\" to the address of a Kafka broker")
    })
}

/// Turns what options say into offsets. All calls block.
struct Resolver {
    consumer: Arc<Consumer>,
    options: Arc<KafkaOptions>,
    group: String,
    place: Place,
}

impl Resolver {
    /// First offset to read, first offset not to read, and the end now, physical; and what is missing before them.
    fn resolve(&self, start: StartAt, recreated: bool) -> Result<(i64, Option<i64>, i64, Option<Gap>)> {
        let Place { topic, partition, base } = &self.place;
        let (low, high) = client::watermarks(&self.consumer, topic, *partition)?;
        let mut position = match start {
            StartAt::Offset(offset) => offset.saturating_sub(*base),
            StartAt::Earliest => low,
            StartAt::Configured => self.start(low, high)?,
        };
        if position > high && !matches!(start, StartAt::Offset(_)) {
            return Err(beyond_the_end(&self.place, position, high));
        }
        let mut missing = None;
        if let Some((next, gap)) = gap::between(&self.place, position, (low, high), recreated) {
            if self.options.data_loss == DataLoss::Fail {
                return Err(out_of_range(&self.place, position, (low, high)));
            }
            (position, missing) = (next, Some(gap));
        }
        let bound = match &self.options.bound {
            None => None,
            Some(bound) => Some(self.bound(bound, high)?),
        };
        Ok((position, bound, high, missing))
    }

    fn start(&self, low: i64, high: i64) -> Result<i64> {
        let Place { topic, partition, base } = &self.place;
        Ok(match &self.options.startup {
            Position::Earliest => low,
            Position::Latest => high,
            Position::Timestamp(ms) => client::offset_at(&self.consumer, topic, *partition, *ms)?.unwrap_or(high),
            Position::Group => match client::committed(&self.consumer, topic, *partition)? {
                Some(offset) => offset,
                None => self.without_committed(low, high)?,
            },
            Position::Specific(offsets) => match offsets.get(partition) {
                Some(offset) => offset.saturating_sub(*base),
                // As in Flink: a partition not named goes on where the group was, else from its beginning.
                None => client::committed(&self.consumer, topic, *partition)?.unwrap_or(low),
            },
        })
    }

    fn without_committed(&self, low: i64, high: i64) -> Result<i64> {
        match self.options.properties.get("auto.offset.reset") {
            Some("earliest") => Ok(low),
            Some("latest") => Ok(high),
            _ => {
                let Place { topic, partition, .. } = &self.place;
                Err(Error::config(format!("group \"{}\" has no offset for partition {partition} of topic \"{topic}\"", self.group))
                    .hint("set 'scan.startup.mode' = 'earliest-offset', or 'properties.auto.offset.reset' = 'earliest' for partitions without one"))
            }
        }
    }

    fn bound(&self, bound: &Position, high: i64) -> Result<i64> {
        let Place { topic, partition, base } = &self.place;
        let missing = |what: &str| {
            Error::config(format!("{what} for partition {partition} of topic \"{topic}\", where reading should end"))
        };
        match bound {
            Position::Latest | Position::Earliest => Ok(high),
            Position::Timestamp(ms) => Ok(client::offset_at(&self.consumer, topic, *partition, *ms)?.unwrap_or(high)),
            Position::Group => client::committed(&self.consumer, topic, *partition)?
                .ok_or_else(|| missing(&format!("group \"{}\" has no offset", self.group))),
            Position::Specific(offsets) => offsets
                .get(partition)
                .map(|offset| offset.saturating_sub(*base))
                .ok_or_else(|| missing("\"scan.bounded.specific-offsets\" has no offset")),
        }
    }
}

/// Starts fetching from a physical offset into a queue of the partition's own. Blocks.
fn assign(consumer: &Arc<Consumer>, place: &Place, position: i64) -> Result<PartitionQueue> {
    let queue = PartitionQueue::split(consumer, &place.topic, place.partition)?;
    fetch_from(consumer, place, position)?;
    Ok(queue)
}

/// Starts fetching from a physical offset. Blocks.
fn fetch_from(consumer: &Consumer, place: &Place, position: i64) -> Result<()> {
    let Place { topic, partition, .. } = place;
    let what = format!("partition {partition} of topic \"{topic}\" cannot be read");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, *partition, Offset::Offset(position))
        .map_err(|e| client::from_kafka(&what, &e))?;
    consumer.incremental_assign(&list).map_err(|e| client::from_kafka(&what, &e))
}

/// Options name an offset that is not there yet. Offsets given are physical.
fn beyond_the_end(place: &Place, position: i64, high: i64) -> Error {
    let Place { topic, partition, base } = place;
    let (next, end) = (position.saturating_add(*base), high.saturating_add(*base));
    Error::config(format!("offset {next} of partition {partition} of topic \"{topic}\" is behind its end at {end}"))
        .hint("correct \"scan.startup.specific-offsets\", or the offsets of the group")
}

/// The records read before `position`, or those from it on, are not there. Offsets given are physical.
fn out_of_range(place: &Place, position: i64, (low, high): (i64, i64)) -> Error {
    let Place { topic, partition, base } = place;
    let logical = |offset: i64| offset.saturating_add(*base);
    let (next, first, end) = (logical(position), logical(low), logical(high));
    if position < low {
        let lost = low.saturating_sub(position);
        return Error::data(format!(
            "{lost} records of partition {partition} of topic \"{topic}\" are gone: reading goes on at offset {next}, the first there is has {first}"
        ))
        .detail("The topic's retention deleted them before they were read.")
        .hint(
            "set 'scan.on-data-loss' = 'ledger' to go on behind them and have the gap in ledger.gap; or start over \
             with --fresh, from the table's configured start",
        );
    }
    let missing = position.saturating_sub(high);
    Error::data(format!(
        "{missing} records of partition {partition} of topic \"{topic}\" that were read are no longer there: it was read up to offset {next} and ends at {end}"
    ))
    .detail("The topic was made anew, or its log was cut.")
    .hint(FRESH)
}

/// Reads one partition.
struct PartitionReader {
    // fixed at start
    consumer: Arc<Consumer>,
    place: Place,
    fingerprint: serde_json::Value,
    data_loss: DataLoss,
    /// First offset not to read, physical.
    bound: Option<i64>,
    /// End of the partition when it was opened, physical.
    high: i64,
    /// Most records of a batch.
    batch_rows: usize,
    // changes while running
    decoder: RowDecoder,
    queue: PartitionQueue,
    /// Next offset, physical.
    position: i64,
    /// Records librdkafka has handed over since the last batch: the ledger's own count, which no decoder touches.
    read: u64,
    /// To be reported once the rows before it are.
    failure: Option<(Code, String)>,
    /// Missing before `position`, and not told yet; until then the fingerprint is that of before.
    gap: Option<Gap>,
    fingerprint_before: Option<serde_json::Value>,
    /// Looking for what is missing; kept, since a caller may give up waiting and ask again.
    recovering: Option<tokio::task::JoinHandle<Result<Option<Recovered>>>>,
}

impl PartitionReader {
    async fn fetch(&mut self) -> Result<Fetched> {
        loop {
            if let Some(gap) = self.gap.take() {
                self.fingerprint_before = None;
                return Ok(Fetched::Gap(gap));
            }
            if self.data_loss == DataLoss::Ledger
                && self.failure.as_ref().is_some_and(|(code, _)| gap::means_lost(*code))
                && self.recover().await?
            {
                continue;
            }
            if let Some(failure) = self.failure.clone() {
                // Kept until it is explained: a caller may give up waiting and ask again.
                let (consumer, place) = (Arc::clone(&self.consumer), self.place.clone());
                return Err(explain(consumer, place, self.position, failure).await);
            }
            if self.bound.is_some_and(|bound| self.position >= bound) {
                return Ok(Fetched::End);
            }
            if let Some(batch) = self.take_batch()? {
                return Ok(Fetched::Rows(Box::new(batch)));
            }
            if let Some(fatal) = self.consumer.context().fatal() {
                return Err(fatal);
            }
            let stopped = self.failure.is_some() || self.bound.is_some_and(|bound| self.position >= bound);
            if !stopped {
                self.queue.bell().notified().await;
            }
        }
    }

    /// Goes on behind what is missing; `false`: nothing is.
    async fn recover(&mut self) -> Result<bool> {
        let recovering = self.recovering.get_or_insert_with(|| {
            let (consumer, place, position) = (Arc::clone(&self.consumer), self.place.clone(), self.position);
            tokio::task::spawn_blocking(move || gap::recover(&consumer, &place, position))
        });
        let found = recovering.await;
        self.recovering = None;
        let found = found.map_err(|e| Error::internal(format!("a look at a partition was broken off: {e}")))??;
        let Some(Recovered { position, high, gap }) = found else { return Ok(false) };
        (self.position, self.high, self.gap, self.failure) = (position, high, Some(gap), None);
        Ok(true)
    }

    /// What the queue holds now, decoded; `None` if that moves nothing.
    fn take_batch(&mut self) -> Result<Option<SourceBatch>> {
        let before = self.position;
        let messages = self.queue.take(self.batch_rows);
        for message in messages.iter() {
            if let Some((code, text)) = message.error() {
                match code {
                    // Tells the next offset, also behind control records and compacted ones.
                    Code::PartitionEOF => self.position = self.position.max(message.offset()),
                    code if mends_itself(code) => {
                        tracing::warn!(topic = self.place.topic, partition = self.place.partition, "kafka: {text}");
                    }
                    code => {
                        self.failure = Some((code, text));
                        break;
                    }
                }
                continue;
            }
            match self.bound {
                // The bound fell on a control record or a gap: the next record is already behind it.
                Some(bound) if message.offset() >= bound => {
                    self.position = bound;
                    break;
                }
                _ => {
                    self.read += 1;
                    // Every row of an array is a row read.
                    self.read += (self.decoder.push(&message)? as u64).saturating_sub(1);
                    self.position = message.offset().saturating_add(1);
                }
            }
        }
        drop(messages);
        let next_offset = self.position.saturating_add(self.place.base);
        let read = std::mem::take(&mut self.read);
        Ok(match self.decoder.finish(read)? {
            Some(batch) => Some(SourceBatch { next_offset, ..batch }),
            None if self.position > before => Some(self.decoder.moved(next_offset, read)),
            None => None,
        })
    }
}

/// An error of the partition, met at the physical offset `position`, in the user's words.
async fn explain(consumer: Arc<Consumer>, place: Place, position: i64, (code, text): (Code, String)) -> Error {
    let offset = position.saturating_add(place.base);
    let what = format!("partition {} of topic \"{}\"", place.partition, place.topic);
    match code {
        Code::AutoOffsetReset | Code::LogTruncation | Code::OffsetOutOfRange => {
            let (topic, partition) = (place.topic.clone(), place.partition);
            match client::blocking(move || client::watermarks(&consumer, &topic, partition)).await {
                Ok((low, high)) if position < low || position > high => out_of_range(&place, position, (low, high)),
                _ => Error::data(format!("offset {offset} of {what} cannot be read: {text}")),
            }
        }
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            Error::unavailable(format!("{what} is no longer there"))
                .hint("was the topic deleted? create it again, and start with \"--fresh\"")
        }
        Code::TopicAuthorizationFailed => {
            Error::config(format!("the right to read topic \"{}\" is missing", place.topic))
                .hint("grant the user of \"properties.sasl.username\" the access, or choose another user")
        }
        Code::BadMessage | Code::BadCompression | Code::InvalidMessage => {
            Error::data(format!("records of {what} from offset {offset} on are damaged: {text}"))
        }
        _ => Error::unavailable(format!("{what} cannot be read: {text}")),
    }
}

/// Errors after which librdkafka goes on by itself, without a record lost.
fn mends_itself(code: Code) -> bool {
    !matches!(
        code,
        Code::AutoOffsetReset
            | Code::LogTruncation
            | Code::OffsetOutOfRange
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::TopicAuthorizationFailed
            | Code::BadMessage
            | Code::BadCompression
            | Code::InvalidMessage
            | Code::NotImplemented
            | Code::UnsupportedFeature
            | Code::UnsupportedCompressionType
            | Code::Fatal
    )
}

impl SplitReader for PartitionReader {
    // The queue is bounded and librdkafka stops fetching when it is full, so not taking from it is the pause:
    // librdkafka's own would throw the queue's records away and fetch them again at every resume.
    fn next(&mut self) -> BoxFuture<'_, Result<Fetched>> {
        Box::pin(self.fetch())
    }

    fn next_offset(&self) -> i64 {
        self.gap.as_ref().map_or_else(|| self.position.saturating_add(self.place.base), |gap| gap.first)
    }

    fn fingerprint(&self) -> Option<serde_json::Value> {
        Some(self.fingerprint_before.as_ref().unwrap_or(&self.fingerprint).clone())
    }

    fn lag(&self) -> Option<u64> {
        let high = self.queue.known_watermarks().map_or(self.high, |(_, high)| high.max(self.high));
        u64::try_from(high.saturating_sub(self.position)).ok().or(Some(0))
    }
}

impl Drop for PartitionReader {
    fn drop(&mut self) {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.place.topic, self.place.partition);
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            tracing::debug!(error = %client::code_text(&error), "partition not given back");
        }
    }
}
