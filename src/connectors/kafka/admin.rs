//! Producing and administration, for the sink, the simulator and tests.
//!
//! A [`Producer`] is bounded by librdkafka's queue: when it is full, sending waits for acknowledgements instead
//! of dropping. What became of each record is counted per partition.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::Notify;

use super::client::{self, Consumer};
use super::contact::Contact;
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint::failpoint;
use crate::limits::{KAFKA_PRODUCE_BYTES_MAX, RETRY_TIME_MAX};

/// How long a sender waits for the ring that says that the queue has room, before it tries again.
const ROOM_WAIT: Duration = Duration::from_millis(2);

/// Refused records that are remembered one by one; there are more with the next try.
const REFUSED_MAX: usize = 10_000;

/// How long a new producer waits for the end of the transaction its predecessor has left open.
const INIT_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a commit may take before it is in doubt.
const COMMIT_TIME_MAX: Duration = Duration::from_secs(30);

/// A record to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Record<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition; `None`: by murmur2 of the key, without a key sticky and random.
    pub partition: Option<i32>,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Time stamp, ms since 1970; `None`: now.
    pub timestamp: Option<i64>,
    /// Headers, in order.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
    /// Names the record in [`Producer::refused`].
    pub number: u64,
}

/// What became of the records of one partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Acknowledged.
    pub delivered: u64,
    /// Given up after all retries.
    pub failed: u64,
}

/// State shared with librdkafka's delivery reports.
#[derive(Default)]
struct Reports {
    /// Rings when a record has left the queue.
    room: Notify,
    contact: Contact,
    state: Mutex<ReportState>,
}

#[derive(Default)]
struct ReportState {
    /// Per topic and partition; −1 where a record never got one.
    counts: BTreeMap<String, BTreeMap<i32, Deliveries>>,
    /// Errors told of a whole broker or of all, newest last.
    broker_errors: u64,
    first_failure: Option<Error>,
    /// Records that brokers will never take, by their numbers.
    refused: Vec<(u64, Error)>,
}

struct Context(Arc<Reports>);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.0.contact.note_log(facility, text);
        client::log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::warn(&error, reason);
        self.0.contact.note(&error, reason);
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.broker_errors = state.broker_errors.saturating_add(1);
        if error.rdkafka_error_code() == Some(Code::Fatal) {
            state
                .first_failure
                .get_or_insert_with(|| Error::unavailable(format!("the kafka client gave up: {reason}")));
        }
    }
}

impl ProducerContext<NoCustomPartitioner> for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let (message, failure) = match result {
            Ok(message) => (message, None),
            Err((error, message)) => (message, Some(error)),
        };
        {
            let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            let topic = message.topic();
            if !state.counts.contains_key(topic) {
                state.counts.insert(topic.to_owned(), BTreeMap::new());
            }
            if let Some(counts) = state.counts.get_mut(topic) {
                let count = counts.entry(message.partition()).or_default();
                match failure {
                    None => count.delivered += 1,
                    Some(_) => count.failed += 1,
                }
            }
            if let Some(error) = failure {
                let failure = undelivered(topic, message.payload_len(), error);
                if failure.kind() == ErrorKind::Data && state.refused.len() < REFUSED_MAX {
                    state.refused.push((number as u64, failure.clone()));
                }
                state.first_failure.get_or_insert(failure);
            }
        }
        self.0.room.notify_one();
    }
}

/// A record that was given up.
fn undelivered(topic: &str, size: usize, error: &KafkaError) -> Error {
    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => Error::data(format!(
            "a row of {size} bytes is too large for topic \"{topic}\""
        ))
        .hint("raise \"properties.message.max.bytes\" and the topic's \"max.message.bytes\", or write less per row"),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
            Error::config(format!("there is no topic \"{topic}\"")).hint("create it first")
        }
        Some(Code::UnknownPartition) => Error::config(format!("topic \"{topic}\" has no such partition")),
        Some(Code::MessageTimedOut) => Error::unavailable(format!(
            "topic \"{topic}\" did not acknowledge a row within {} s",
            RETRY_TIME_MAX.as_secs()
        ))
        .hint("are enough replicas of the topic in sync? start again when they are"),
        _ => client::from_kafka(&format!("a row for topic \"{topic}\" was not written"), error),
    }
}

/// Writes records and counts what became of them. Idempotent: retries write nothing twice.
pub struct Producer {
    inner: Arc<ThreadedProducer<Context>>,
    reports: Arc<Reports>,
}

impl Producer {
    /// A producer for the brokers at `bootstrap`, with librdkafka's `properties` over the engine's.
    ///
    /// # Errors
    /// `Config` for wrong properties.
    pub fn connect<'a>(bootstrap: &str, properties: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        Self::create(&Self::config(bootstrap, properties, &[]))
    }

    /// A producer of transactions of this name.
    ///
    /// # Errors
    /// `Config` for wrong properties.
    pub(super) fn transactional<'a>(
        bootstrap: &str,
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
        id: &str,
    ) -> Result<Self> {
        // an answer that is not there after the time-out of a request is a doubt, which is settled by asking
        let own =
            [("transaction.timeout.ms", "60000"), ("socket.timeout.ms", "10000"), ("message.timeout.ms", "30000")];
        let mut config = Self::config(bootstrap, properties, &own);
        config.set("transactional.id", id);
        Self::create(&config)
    }

    fn config<'a>(
        bootstrap: &str,
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
        own: &[(&'a str, &'a str)],
    ) -> ClientConfig {
        let kbytes = (KAFKA_PRODUCE_BYTES_MAX / 1024).to_string();
        let timeout = RETRY_TIME_MAX.as_millis().to_string();
        let mut config = client::config([
            ("client.id", "streamer"),
            ("message.timeout.ms", timeout.as_str()),
            ("queue.buffering.max.kbytes", kbytes.as_str()),
            ("linger.ms", "5"),
            ("reconnect.backoff.max.ms", "1000"),
        ]);
        for (name, value) in own.iter().copied().chain(properties) {
            config.set(name, value);
        }
        config
            .set("bootstrap.servers", bootstrap)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random");
        // The table's option of the source side; a producer has none.
        config.remove("auto.offset.reset");
        config
    }

    fn create(config: &ClientConfig) -> Result<Self> {
        let contact = Contact::new(config);
        let reports = Arc::new(Reports { contact, ..Reports::default() });
        let inner = Arc::new(client::create(config, Context(Arc::clone(&reports)))?);
        Ok(Self { inner, reports })
    }

    /// Fences off every other producer of the same transactions, and ends what they have left open.
    ///
    /// # Errors
    /// `Config` if the brokers will never allow it, `Unavailable`.
    pub(super) async fn init_transactions(&self) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        client::blocking(move || {
            inner.init_transactions(INIT_TIME_MAX).map_err(|e| match e.rdkafka_error_code() {
                Some(Code::InvalidTransactionTimeout) => {
                    Error::config("\"properties.transaction.timeout.ms\" is above the limit of the brokers")
                        .hint("lower it to at most the brokers' transaction.max.timeout.ms (15 min unless set)")
                }
                _ => client::from_kafka("transactions cannot begin", &e),
            })
        })
        .await
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// `Unavailable` if the producer is of no use any more.
    pub(super) fn begin(&self) -> Result<()> {
        self.inner.begin_transaction().map_err(|e| client::from_kafka("a transaction cannot begin", &e))
    }

    /// Ends the transaction with `offset` as the offset of the consumer's group on partition 0 of `topic`.
    ///
    /// # Errors
    /// Any error leaves open whether it is committed.
    pub(super) async fn commit_with_offset(&self, group: &Arc<Consumer>, topic: &str, offset: u64) -> Result<()> {
        let (inner, group, topic) = (Arc::clone(&self.inner), Arc::clone(group), topic.to_owned());
        client::blocking(move || {
            let failed = |e: KafkaError| client::from_kafka("a transaction was not committed", &e);
            let mut offsets = TopicPartitionList::new();
            let offset = i64::try_from(offset).map_err(|_| Error::internal("an epoch beyond 2^63"))?;
            offsets.add_partition_offset(&topic, 0, Offset::Offset(offset)).map_err(failed)?;
            let members = group.group_metadata().ok_or_else(|| Error::internal("a group without metadata"))?;
            inner.send_offsets_to_transaction(&offsets, &members, COMMIT_TIME_MAX).map_err(failed)?;
            failpoint("transaction.offset-sent")?;
            inner.commit_transaction(COMMIT_TIME_MAX).map_err(failed)
        })
        .await
    }

    /// Records that brokers will never take, by their numbers.
    pub(super) fn refused(&self) -> Vec<(u64, Error)> {
        self.reports.state.lock().unwrap_or_else(PoisonError::into_inner).refused.clone()
    }

    /// Hands a record over; waits while the queue is full.
    ///
    /// # Errors
    /// `Data` if the record is too large or a header has no form; `Config` or `Unavailable` if the client
    /// gave up. Whether the record arrives is told by [`Producer::deliveries`] and [`Producer::failure`].
    pub async fn send(&self, record: Record<'_>) -> Result<()> {
        loop {
            match self.inner.send(base_record(&record)?) {
                Ok(()) => return Ok(()),
                Err((error, _)) if error.rdkafka_error_code() == Some(Code::QueueFull) => {
                    // librdkafka frees a record's room a moment after its report, so the last ring may come too
                    // early: the wait has an end of its own.
                    let rung = tokio::time::timeout(ROOM_WAIT, self.reports.room.notified()).await;
                    tracing::trace!(rung = rung.is_ok(), "kafka queue full");
                }
                Err((error, _)) => {
                    return Err(undelivered(record.topic, record.value.map_or(0, <[u8]>::len), &error));
                }
            }
        }
    }

    /// Waits until every record is acknowledged or given up.
    ///
    /// # Errors
    /// `Unavailable` if that takes longer than the retries may.
    pub async fn flush(&self) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        client::blocking(move || {
            inner
                .flush(RETRY_TIME_MAX + client::REQUEST_TIME_MAX)
                .map_err(|e| client::from_kafka("records are not acknowledged", &e))
        })
        .await
    }

    /// The first record that was given up, if any was.
    pub fn failure(&self) -> Option<Error> {
        self.reports.state.lock().unwrap_or_else(PoisonError::into_inner).first_failure.clone()
    }

    /// Counts per partition of a topic; −1 stands for records that never got one.
    pub fn deliveries(&self, topic: &str) -> BTreeMap<i32, Deliveries> {
        let state = self.reports.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.counts.get(topic).cloned().unwrap_or_default()
    }

    /// How often the client lost brokers or was refused by them.
    pub fn broker_errors(&self) -> u64 {
        self.reports.state.lock().unwrap_or_else(PoisonError::into_inner).broker_errors
    }

    /// Records handed over and not reported yet.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.inner.in_flight_count()).unwrap_or(0)
    }

    /// Number of partitions of a topic.
    ///
    /// # Errors
    /// `Config` if there is no such topic, `Unavailable` if no broker answers.
    pub async fn partition_count(&self, topic: &str) -> Result<i32> {
        let (inner, reports, topic) = (Arc::clone(&self.inner), Arc::clone(&self.reports), topic.to_owned());
        client::blocking(move || {
            let what = format!("the partitions of topic \"{topic}\" are not known");
            let ask = |time| inner.client().fetch_metadata(Some(&topic), time);
            let metadata = client::described(&reports.contact, &what, ask)?;
            let count = metadata.topics().iter().find(|t| t.name() == topic).map_or(0, |t| t.partitions().len());
            match i32::try_from(count) {
                Ok(count) if count > 0 => Ok(count),
                _ => Err(Error::config(format!("there is no topic \"{topic}\"")).hint(format!(
                    "create it: kafka-topics.sh --create --topic {topic} --partitions 4 --bootstrap-server …, or scripts/kafka topic {topic} 4"
                ))),
            }
        })
        .await
    }

    /// The client, for what only tests do.
    #[cfg(test)]
    pub(super) fn native_ptr(&self) -> *mut rdkafka::bindings::rd_kafka_t {
        self.inner.client().native_ptr()
    }
}

fn base_record<'a>(record: &Record<'a>) -> Result<BaseRecord<'a, [u8], [u8], usize>> {
    let mut base = BaseRecord::<[u8], [u8], usize>::with_opaque_to(record.topic, record.number as usize);
    base.partition = record.partition;
    base.key = record.key;
    base.payload = record.value;
    base.timestamp = record.timestamp;
    if !record.headers.is_empty() {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in record.headers {
            if key.contains('\0') {
                return Err(Error::data(format!("a header name for topic \"{}\" holds a zero byte", record.topic)));
            }
            headers = headers.insert(Header { key, value: *value });
        }
        base.headers = Some(headers);
    }
    Ok(base)
}

/// Creates topics and looks at them.
pub struct TopicAdmin {
    admin: AdminClient<client::Context>,
    consumer: Arc<Consumer>,
}

impl TopicAdmin {
    /// Administration of the brokers at `bootstrap`, with librdkafka's `properties` (security).
    ///
    /// # Errors
    /// `Config` for wrong properties.
    pub fn connect<'a>(bootstrap: &str, properties: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut config: ClientConfig = client::config([("client.id", "streamer")]);
        for (name, value) in properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", bootstrap).remove("auto.offset.reset");
        let admin = client::create(&config, client::Context::default())?;
        let consumer = client::consumer(&config, "admin")?;
        Ok(Self { admin, consumer })
    }

    /// Creates a topic whose partition *i* lives on the brokers `replicas[i]`, led by the first of them.
    /// `false`: there is one of that name already, as it is. Not for the embedded cluster, which does not
    /// answer such requests.
    ///
    /// # Errors
    /// `Config` if the brokers refuse, `Unavailable` if none answers.
    pub async fn create_topic(&self, name: &str, replicas: &[Vec<i32>], config: &[(&str, &str)]) -> Result<bool> {
        let what = format!("topic \"{name}\" cannot be created");
        let partitions =
            i32::try_from(replicas.len()).map_err(|_| Error::config(format!("{what}: too many partitions")))?;
        let assignment: Vec<&[i32]> = replicas.iter().map(Vec::as_slice).collect();
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Variable(&assignment));
        for (key, value) in config {
            topic = topic.set(key, value);
        }
        let options = AdminOptions::new().request_timeout(Some(client::REQUEST_TIME_MAX));
        let results = self.admin.create_topics([&topic], &options).await.map_err(|e| client::from_kafka(&what, &e))?;
        match results.into_iter().next() {
            Some(Ok(_)) => Ok(true),
            Some(Err((_, Code::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, code))) => Err(client::from_kafka(&what, &KafkaError::AdminOp(code))),
            None => Err(Error::internal(format!("{what}: no answer"))),
        }
    }

    /// Waits until every partition of a topic has a leader, and returns the leaders by partition.
    ///
    /// # Errors
    /// `Unavailable` after `patience`.
    pub async fn wait_for_leaders(&self, topic: &str, patience: Duration) -> Result<Vec<i32>> {
        let waiting = async {
            loop {
                if let Some(leaders) = self.leaders(topic).await? {
                    return Ok(leaders);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(patience, waiting).await.unwrap_or_else(|_| {
            Err(Error::unavailable(format!(
                "topic \"{topic}\" has partitions without a leader after {} s",
                patience.as_secs()
            )))
        })
    }

    /// Leader of each partition; `None` while one has none or the topic is not known.
    async fn leaders(&self, topic: &str) -> Result<Option<Vec<i32>>> {
        let (consumer, topic) = (Arc::clone(&self.consumer), topic.to_owned());
        client::blocking(move || {
            let what = format!("the leaders of topic \"{topic}\" are not known");
            let metadata = client::metadata(&consumer, Some(&topic), &what)?;
            let Some(found) = metadata.topics().iter().find(|t| t.name() == topic && t.error().is_none()) else {
                return Ok(None);
            };
            let mut leaders: Vec<(i32, i32)> = found.partitions().iter().map(|p| (p.id(), p.leader())).collect();
            leaders.sort_unstable();
            let complete = !leaders.is_empty() && leaders.iter().all(|(_, leader)| *leader >= 0);
            Ok(complete.then(|| leaders.into_iter().map(|(_, leader)| leader).collect()))
        })
        .await
    }

    /// Numbers of the brokers, ascending.
    ///
    /// # Errors
    /// `Unavailable` if none answers.
    pub async fn brokers(&self) -> Result<Vec<i32>> {
        let consumer = Arc::clone(&self.consumer);
        client::blocking(move || {
            let metadata = client::metadata(&consumer, None, "the brokers are not known")?;
            let mut brokers: Vec<i32> = metadata.brokers().iter().map(rdkafka::metadata::MetadataBroker::id).collect();
            brokers.sort_unstable();
            Ok(brokers)
        })
        .await
    }

    /// Names of the topics there are.
    ///
    /// # Errors
    /// `Unavailable` if no broker answers.
    pub async fn topics(&self) -> Result<Vec<String>> {
        let consumer = Arc::clone(&self.consumer);
        client::blocking(move || {
            let metadata = client::metadata(&consumer, None, "the topics are not known")?;
            Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
        })
        .await
    }

    /// First offset and end offset of each partition of a topic.
    ///
    /// # Errors
    /// `Config` if there is no such topic, `Unavailable` if a partition does not answer.
    pub async fn offsets(&self, topic: &str) -> Result<BTreeMap<i32, (i64, i64)>> {
        let (consumer, topic) = (Arc::clone(&self.consumer), topic.to_owned());
        client::blocking(move || {
            let partitions = client::partitions(&consumer, &topic)?
                .ok_or_else(|| Error::config(format!("there is no topic \"{topic}\"")).hint("create it first"))?;
            partitions.into_iter().map(|p| Ok((p, client::watermarks(&consumer, &topic, p)?))).collect()
        })
        .await
    }
}
