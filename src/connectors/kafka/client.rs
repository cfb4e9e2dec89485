//! What source, sink and administration share: librdkafka's words in ours, and one consumer with the thread
//! that serves its events.
//!
//! librdkafka reconnects and retries by itself, so a lost connection is a warning, told once in a while and not
//! at every attempt; only what it calls fatal, or what no retry can mend, becomes an error.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::ffi;
use super::handshake::{self, Authorities, Handshake};
use crate::error::{Error, ErrorKind, Result};
use crate::time::{Clock, system_clock};

/// How long a question to the brokers may take before the job says that they do not answer.
pub(super) const REQUEST_TIME_MAX: Duration = Duration::from_secs(15);

/// How long the first question may take before it is looked at why nobody answers.
const FIRST_TIME_MAX: Duration = Duration::from_secs(2);

/// How long the question for a topic's id may take, which a broker that has just answered is asked.
const ID_TIME_MAX: Duration = Duration::from_secs(5);

/// How long the reason of a failed connection is believed. librdkafka keeps one that repeats itself to itself for
/// 30 s, and a question takes its own time.
const REFUSED_HOLDS: Duration = Duration::from_secs(60);

/// How long the event thread sleeps at most before it looks whether it is still needed.
const EVENT_WAIT: Duration = Duration::from_millis(250);

/// The consumer of one table.
pub(super) type Consumer = BaseConsumer<Context>;

/// A warning that holds on is told again after this time.
const WARN_AGAIN: Duration = Duration::from_secs(60);

/// What the clients of one table know of their brokers: who is asked, and why nobody answers.
#[derive(Debug, Default)]
pub(super) struct Contact {
    /// Addresses asked first.
    servers: String,
    /// Whom it believes, for reasons of its own ([`handshake`]).
    authorities: Authorities,
    /// Whether a broker has ever answered.
    answered: AtomicBool,
    /// Why the last connection failed, and when; nothing once a broker has answered.
    refused: Mutex<Option<(Duration, Failure)>>,
}

impl Contact {
    /// Nothing known yet of the brokers that a client is to find.
    pub(super) fn new(config: &ClientConfig) -> Self {
        let servers = config.get("bootstrap.servers").unwrap_or_default().to_owned();
        Self { servers, authorities: Authorities::of(config), ..Self::default() }
    }

    /// Takes note of a connection that failed.
    pub(super) fn note(&self, error: &KafkaError, reason: &str) {
        if let Some(failure) = Failure::of(error, reason) {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some((CLOCK.elapsed(), failure));
        }
    }

    /// Takes note of a line of librdkafka's log: a connection that was closed comes as nothing else. What says no more
    /// than that is left out.
    pub(super) fn note_log(&self, facility: &str, text: &str) {
        let closed = KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure);
        let reason = text.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")).map_or(text, |(_, rest)| rest);
        if facility == "FAIL" && Failure::of(&closed, reason).is_some_and(|failure| failure.unclear.is_some()) {
            self.note(&closed, reason);
        }
    }

    /// Why no broker answers, as far as the last attempt before `now` tells: a failure of long ago says nothing.
    fn refused(&self, now: Duration) -> Option<Failure> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref().filter(|(then, _)| now.saturating_sub(*then) < REFUSED_HOLDS).map(|(_, why)| why.clone())
    }

    /// Finds out what librdkafka does not say of the last failure. Blocks for a few seconds at most.
    fn clarify(&self) {
        let (then, failure) = {
            let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            match &*refused {
                Some((then, failure)) if failure.unclear.is_some() => (*then, failure.clone()),
                _ => return,
            }
        };
        let failure = failure.clarified(&self.authorities);
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.as_ref().is_some_and(|(_, newer)| newer.broker == failure.broker) {
            *refused = Some((then, failure));
        }
    }

    /// A broker has answered: what failed before is over.
    fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether waiting mends nothing: no broker has ever answered, and the last one was refused for who it is, or has
    /// refused us for who we are.
    fn hopeless(&self) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        !self.answered.load(Ordering::Relaxed) && refused.as_ref().is_some_and(|(_, why)| why.hint.is_some())
    }
}

/// Sends librdkafka's log and errors to ours and remembers a fatal error.
#[derive(Debug, Default)]
pub(super) struct Context {
    contact: Contact,
    fatal: Mutex<Option<String>>,
}

impl Context {
    /// The error after which the client is of no use.
    pub(super) fn fatal(&self) -> Option<Error> {
        let fatal = self.fatal.lock().unwrap_or_else(PoisonError::into_inner);
        fatal.as_ref().map(|reason| Error::unavailable(format!("the kafka client gave up: {reason}")))
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.contact.note_log(facility, text);
        log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            *self.fatal.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
        self.contact.note(&error, reason);
        warn(&error, reason);
    }
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::warn!(error = %code_text(&error), "group offsets not told; lag tools show old ones");
        }
    }
}

/// A connection that failed, in a few words.
#[derive(Debug, Clone)]
struct Failure {
    broker: String,
    reason: String,
    /// What to change, where no waiting helps.
    hint: Option<&'static str>,
    /// What librdkafka leaves open.
    unclear: Option<Unclear>,
}

/// What a handshake of our own can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unclear {
    /// Why a certificate is not believed.
    Certificate,
    /// Whether a listener that hangs up at the first question wants TLS, or is none yet.
    Listener,
}

impl Failure {
    /// `host:port/bootstrap: Connect to ipv4#… failed: Connection refused (after 0ms in state CONNECT)`, taken
    /// apart; `None` if the error is another one.
    fn of(error: &KafkaError, text: &str) -> Option<Self> {
        use RDKafkaErrorCode as Code;
        let code = error.rdkafka_error_code()?;
        if !matches!(
            code,
            Code::BrokerTransportFailure
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::SSL
                | Code::Authentication
                | Code::SaslAuthenticationFailed
        ) {
            return None;
        }
        let (broker, reason) = text.split_once(": ")?;
        let broker = broker.rsplit('/').find(|part| part.contains(':')).unwrap_or(broker).to_owned();
        let reason = reason.rsplit_once(" (after ").map_or(reason, |(reason, _)| reason);
        if let Some((reason, hint)) = secured(code, &broker, reason) {
            let unclear = (hint == CERTIFICATE_HINT).then_some(Unclear::Certificate);
            return Some(Self { broker, reason, hint: Some(hint), unclear });
        }
        if reason.contains("security.protocol") {
            let (reason, unclear) = (HANGS_UP.to_owned(), Some(Unclear::Listener));
            return Some(Self { broker, reason, hint: None, unclear });
        }
        let reason = reason.rsplit_once(" failed: ").map_or(reason, |(_, reason)| reason);
        Some(Self { broker, reason: lower(reason), hint: None, unclear: None })
    }

    /// The failure with what a handshake tells of it.
    fn clarified(self, authorities: &Authorities) -> Self {
        let Some(unclear) = self.unclear else { return self };
        match (handshake::with(&self.broker, authorities), unclear) {
            (Handshake::Doubt(reason, hint), Unclear::Certificate) => {
                Self { reason, hint: Some(hint), unclear: None, ..self }
            }
            (Handshake::Doubt(..) | Handshake::Tls, Unclear::Listener) => {
                Self { reason: WANTS_TLS.to_owned(), hint: Some(TLS_HINT), unclear: None, ..self }
            }
            _ => self,
        }
    }
}

/// What is wrong with the security of a connection, and what to change; `None` if it is something else.
fn secured(code: RDKafkaErrorCode, broker: &str, reason: &str) -> Option<(String, &'static str)> {
    let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
    if reason.contains("certificate verify failed") {
        return Some((
            format!(
                "its certificate cannot be trusted: it is of no known authority, out of date, or not made out to \"{host}\""
            ),
            CERTIFICATE_HINT,
        ));
    }
    // Without a certificate, with one of an authority that the broker does not know, or with an old one: brokers tell
    // them apart in their own log only.
    if reason.contains("alert handshake failure") || (reason.contains(" alert ") && reason.contains("certificate")) {
        return Some(("it wants a client certificate that it trusts".to_owned(), CLIENT_CERTIFICATE_HINT));
    }
    if let Some((_, offered)) = reason.split_once("broker's supported mechanisms:") {
        let offered = match offered.trim() {
            "" => String::new(),
            offered => format!("; it offers {offered}"),
        };
        return Some((format!("it does not take this SASL mechanism{offered}"), PROTOCOL_HINT));
    }
    match code {
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
            // The brokers' own words end the sentence; librdkafka's say where it was.
            let reason = reason.rsplit_once("SASL authentication error: ").map_or(reason, |(_, reason)| reason);
            Some((lower(reason), LOGIN_HINT))
        }
        RDKafkaErrorCode::SSL => {
            let reason = reason.rsplit_once("SSL routines::").map_or(reason, |(_, reason)| reason);
            Some((format!("TLS fails: {reason}"), PROTOCOL_HINT))
        }
        _ => None,
    }
}

/// A listener that may want TLS or SASL, or whose broker is not up yet.
const HANGS_UP: &str = "it hangs up at the first question, as a listener does that wants TLS or SASL";

/// A listener that is known to want TLS.
const WANTS_TLS: &str = "its listener wants TLS";

/// A connection without TLS where it is wanted.
const TLS_HINT: &str = "set \"properties.security.protocol\" to SSL or SASL_SSL, or take the port of a listener \
                        without TLS";

/// A broker's certificate that is not believed.
const CERTIFICATE_HINT: &str = "set \"properties.ssl.ca.location\" to the certificate of the brokers' authority, and \
                                name them in \"properties.bootstrap.servers\" as their certificates do";

/// A broker that wants to know who we are.
const CLIENT_CERTIFICATE_HINT: &str = "set \"properties.ssl.certificate.location\" and \"properties.ssl.key.location\" \
                                       to a certificate that the brokers trust, and its key";

/// A user or password that is wrong.
const LOGIN_HINT: &str = "check \"properties.sasl.mechanism\", \"properties.sasl.username\" and its password";

/// A listener that speaks something else.
const PROTOCOL_HINT: &str = "check \"properties.security.protocol\", \"properties.sasl.mechanism\" and the port: a listener \
                             speaks one protocol";

/// The clock of all clients' warnings and questions.
static CLOCK: LazyLock<Clock> = LazyLock::new(system_clock);

/// Time since a fixed moment.
pub(super) fn now() -> Duration {
    CLOCK.elapsed()
}

/// When each warning was told last.
static TOLD: LazyLock<Mutex<BTreeMap<String, Duration>>> = LazyLock::new(Mutex::default);

/// Warnings remembered; there are few brokers and few reasons.
const TOLD_MAX: usize = 1000;

/// Whether a warning is due: the first of its kind, or the first in a long while. Every client of the process
/// meets the same brokers, so they share what was told.
fn due(warning: &str) -> bool {
    let now = CLOCK.elapsed();
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.get(warning).is_some_and(|then| now.saturating_sub(*then) < WARN_AGAIN) {
        return false;
    }
    if told.len() >= TOLD_MAX {
        told.clear();
    }
    told.insert(warning.to_owned(), now);
    true
}

/// Tells an error of a client that goes on trying, once in a while.
pub(super) fn warn(error: &KafkaError, reason: &str) {
    // Follows the failures of its brokers, each told by itself.
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
        tracing::debug!(reason, "kafka: no broker is connected");
        return;
    }
    match Failure::of(error, reason) {
        Some(Failure { broker, reason, .. }) if due(&broker) => {
            tracing::warn!("kafka broker {broker} does not answer ({reason}); it is tried again");
        }
        None if due(reason) => tracing::warn!(error = %code_text(error), reason, "kafka"),
        _ => tracing::debug!(error = %code_text(error), reason, "kafka"),
    }
}

/// One line of librdkafka's log.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, text: &str) {
    // Tables may carry options of the other side, as Flink allows: nothing to warn of.
    if facility == "CONFWARN" {
        return;
    }
    match level {
        // Comes again with every connection.
        _ if facility == "SSL" && !due(text) => tracing::debug!(facility, "kafka: {text}"),
        // A failed connection comes as an error, too, and is told there.
        // Asking for a producer id is repeated while the transaction of a predecessor ends; giving up is an error.
        _ if facility == "FAIL" || facility == "GETPID" => tracing::debug!(facility, "kafka: {text}"),
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning => tracing::warn!(facility, "kafka: {text}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, "kafka: {text}"),
        RDKafkaLogLevel::Debug => tracing::debug!(facility, "kafka: {text}"),
    }
}

/// A configuration with `properties`, and the log level that our own filter then narrows.
pub(super) fn config<'a>(properties: impl IntoIterator<Item = (&'a str, &'a str)>) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in properties {
        config.set(name, value);
    }
    // "properties.debug" shows what it asks for where our own filter lets it through.
    // That a broker has closed a connection is told as Info (`Contact::note_log`).
    let level = if tracing::enabled!(tracing::Level::DEBUG) { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info };
    config.set_log_level(level);
    config
}

/// Makes a client; its errors name the property, never the value.
pub(super) fn create<C, T>(config: &ClientConfig, context: C) -> Result<T>
where
    C: ClientContext,
    T: rdkafka::config::FromClientConfigAndContext<C>,
{
    config.create_with_context(context).map_err(|error| match error {
        KafkaError::ClientConfig(_, _, name, _) => {
            Error::config(format!("option \"properties.{name}\" is not accepted by the kafka client"))
        }
        KafkaError::ClientCreation(reason) => not_made(&reason),
        other => from_kafka("the kafka client cannot be made", &other),
    })
}

/// A client that was not made. What librdkafka says of certificates (`ssl.ca.location failed: error:…`) names the
/// property and, in OpenSSL's words, a reason that is none; never a value.
fn not_made(reason: &str) -> Error {
    match reason.split_once(" failed: ") {
        Some((name, reason)) if name.starts_with("ssl.") && !name.contains(' ') => {
            let what = match name {
                "ssl.key.location" | "ssl.key.pem" | "ssl.keystore.location" => {
                    "it cannot be read, or the password of the key does not open it"
                }
                _ => "it cannot be read, or is not PEM",
            };
            Error::config(format!("option \"properties.{name}\": {what}")).detail(reason.trim_end_matches(": "))
        }
        _ => Error::config(format!("the kafka client cannot be made: {reason}")),
    }
}

/// Makes a consumer and starts the thread that serves its events until the last other holder lets it go.
pub(super) fn consumer(config: &ClientConfig, table: &str) -> Result<Arc<Consumer>> {
    let consumer: Arc<Consumer> =
        Arc::new(create(config, Context { contact: Contact::new(config), ..Context::default() })?);
    let weak = Arc::downgrade(&consumer);
    std::thread::Builder::new()
        .name(format!("kafka-{table}").chars().take(15).collect())
        .spawn(move || {
            // Partitions have queues of their own: only log lines, errors and commit results come here.
            while let Some(consumer) = weak.upgrade() {
                if let Some(Err(error)) = consumer.poll(EVENT_WAIT) {
                    tracing::debug!(error = %code_text(&error), "kafka event");
                }
            }
        })
        .map_err(|e| Error::unavailable("no thread for the events of kafka").because(e))?;
    Ok(consumer)
}

/// Runs a call that blocks where it may block.
pub(super) async fn blocking<T: Send + 'static>(call: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(call)
        .await
        .map_err(|e| Error::internal("a call of the kafka client did not come back").because(e))?
}

/// `what` failed: an error of the kind that fits, so that the reader knows whether to wait or to mend.
pub(super) fn from_kafka(what: &str, error: &KafkaError) -> Error {
    use RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code();
    let text = code_text(error);
    match code {
        Some(
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed,
        ) => Error::config(format!("{what}: {text}"))
            .hint("grant the user of \"properties.sasl.username\" the access, or choose another user"),
        Some(Code::SaslAuthenticationFailed | Code::Authentication) => {
            Error::config(format!("{what}: {text}")).hint("check \"properties.sasl.username\" and its password")
        }
        Some(
            Code::InvalidTopic | Code::InvalidConfig | Code::InvalidReplicationFactor | Code::InvalidReplicaAssignment,
        ) => Error::config(format!("{what}: {text}")),
        _ => Error::unavailable(format!("{what}: {text}")),
    }
}

/// The reason of an error, without librdkafka's frame around it.
pub(super) fn code_text(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(code) => lower(&code.to_string()),
        None => lower(&error.to_string()),
    }
}

/// Adds `hint` to an error unless it has one.
pub(super) fn with_hint(error: Error, hint: &str) -> Error {
    if error.hint_text().is_none() && error.kind() == ErrorKind::Unavailable { error.hint(hint) } else { error }
}

fn lower(text: &str) -> String {
    let text = text.strip_prefix("Local: ").or_else(|| text.strip_prefix("Broker: ")).unwrap_or(text);
    // An abbreviation stays one.
    if text.chars().nth(1).is_some_and(char::is_uppercase) {
        return text.to_owned();
    }
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Partition numbers of a topic, ascending; `None` if there is no such topic.
pub(super) fn partitions(consumer: &Consumer, topic: &str) -> Result<Option<Vec<i32>>> {
    let what = format!("the partitions of topic \"{topic}\" are not known");
    let metadata = metadata(consumer, Some(topic), &what)?;
    let Some(found) = metadata.topics().iter().find(|t| t.name() == topic) else { return Ok(None) };
    match found.error().map(RDKafkaErrorCode::from) {
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => return Ok(None),
        Some(code) => return Err(from_kafka(&what, &KafkaError::MetadataFetch(code))),
        None => {}
    }
    let mut numbers: Vec<i32> = found.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect();
    numbers.sort_unstable();
    Ok((!numbers.is_empty()).then_some(numbers))
}

/// The id of a topic, which tells it from one made anew under its name; `None` where brokers know none. Not answered
/// is an error and no `None`: what cannot be compared must not pass for the same. Every `attempt` asks another broker.
pub(super) fn topic_id(consumer: &Consumer, topic: &str, attempt: usize) -> Result<Option<String>> {
    let what = format!("the id of topic \"{topic}\" is not known");
    let metadata = metadata(consumer, Some(topic), &what)?;
    // First the broker that has just answered, unless it is known by its address only.
    let answering = Some(metadata.orig_broker_id()).filter(|id| *id >= 0);
    let others = metadata.brokers().iter().map(|broker| broker.id()).filter(|id| Some(*id) != answering);
    let brokers: Vec<i32> = answering.into_iter().chain(others).collect();
    let Some(broker) = attempt.checked_rem(brokers.len()).and_then(|place| brokers.get(place)) else {
        return Err(Error::unavailable(format!("{what}: the cluster names no broker")));
    };
    asked(consumer, &what, || ffi::topic_id(consumer, topic, *broker, ID_TIME_MAX))
}

/// Names of all topics the user may see, sorted, without Kafka's own.
pub(super) fn topics(consumer: &Consumer) -> Result<Vec<String>> {
    let metadata = metadata(consumer, None, "the topics are not known")?;
    let mut names: Vec<String> =
        metadata.topics().iter().map(|t| t.name().to_owned()).filter(|n| !n.starts_with("__")).collect();
    names.sort_unstable();
    Ok(names)
}

/// First offset and end offset of a partition, as its leader tells them now.
pub(super) fn watermarks(consumer: &Consumer, topic: &str, partition: i32) -> Result<(i64, i64)> {
    let what = format!("the offsets of partition {partition} of topic \"{topic}\" are not known");
    asked(consumer, &what, || consumer.fetch_watermarks(topic, partition, REQUEST_TIME_MAX))
}

/// Next offset of the group in a partition, if it has committed one.
pub(super) fn committed(consumer: &Consumer, topic: &str, partition: i32) -> Result<Option<i64>> {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let what = format!("the group's offset of partition {partition} of topic \"{topic}\" is not known");
    let found = asked(consumer, &what, || consumer.committed_offsets(list.clone(), REQUEST_TIME_MAX))?;
    single_offset(&found, topic, partition, &what)
}

/// First offset whose record is not older than `timestamp` (ms since 1970); `None` if there is none.
pub(super) fn offset_at(consumer: &Consumer, topic: &str, partition: i32, timestamp: i64) -> Result<Option<i64>> {
    let mut list = TopicPartitionList::new();
    let what = format!("the offset of a time stamp in partition {partition} of topic \"{topic}\" is not known");
    list.add_partition_offset(topic, partition, Offset::Offset(timestamp)).map_err(|e| from_kafka(&what, &e))?;
    let found = asked(consumer, &what, || consumer.offsets_for_times(list.clone(), REQUEST_TIME_MAX))?;
    single_offset(&found, topic, partition, &what)
}

fn single_offset(list: &TopicPartitionList, topic: &str, partition: i32, what: &str) -> Result<Option<i64>> {
    let Some(found) = list.find_partition(topic, partition) else { return Ok(None) };
    found.error().map_err(|e| from_kafka(what, &e))?;
    Ok(match found.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    })
}

/// Tells the group's next offsets, without waiting.
pub(super) fn commit(consumer: &Consumer, positions: &[(&str, i32, i64)]) {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for (topic, partition, offset) in positions {
        if let Err(error) = list.add_partition_offset(topic, *partition, Offset::Offset(*offset)) {
            tracing::warn!(error = %code_text(&error), topic, partition, "group offset not told");
        }
    }
    if let Err(error) = consumer.commit(&list, CommitMode::Async) {
        tracing::warn!(error = %code_text(&error), "group offsets not told; lag tools show old ones");
    }
}

/// Metadata of one topic or of all, from any broker.
pub(super) fn metadata(consumer: &Consumer, topic: Option<&str>, what: &str) -> Result<Metadata> {
    described(&consumer.context().contact, what, |time| consumer.fetch_metadata(topic, time))
}

/// The answer to a first question, asked again while there is hope: certificates and passwords get no better.
pub(super) fn described<T>(contact: &Contact, what: &str, question: impl Fn(Duration) -> KafkaResult<T>) -> Result<T> {
    use RDKafkaErrorCode as Code;
    contacted(contact, what, || {
        let mut time = FIRST_TIME_MAX;
        let mut left = REQUEST_TIME_MAX;
        loop {
            let answer = question(time.min(left));
            if answer.is_err() {
                contact.clarify();
            }
            left = left.saturating_sub(time);
            time = time.saturating_mul(2);
            match &answer {
                Err(error) if !left.is_zero() && !contact.hopeless() => match error.rdkafka_error_code() {
                    Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut) => {}
                    _ => return answer,
                },
                _ => return answer,
            }
        }
    })
}

/// How often a question is asked again that was lost with its broker.
const QUESTIONS_AGAIN: usize = 3;

/// What to try when no broker answers.
pub(super) const UNREACHED_HINT: &str = "start the brokers, or correct \"properties.bootstrap.servers\"; their \
                                         advertised addresses must be reachable from here, too";

/// Asks the brokers; without an answer `what` is the consequence.
fn asked<T>(consumer: &Consumer, what: &str, question: impl Fn() -> KafkaResult<T>) -> Result<T> {
    contacted(&consumer.context().contact, what, question)
}

fn contacted<T>(contact: &Contact, what: &str, question: impl Fn() -> KafkaResult<T>) -> Result<T> {
    let start = CLOCK.elapsed();
    let answer = answered(question);
    let now = CLOCK.elapsed();
    match answer {
        Ok(answer) => {
            contact.answered();
            Ok(answer)
        }
        Err(error) => Err(unanswered(contact, what, &error, (start, now))),
    }
}

/// The answer, of another broker if one that leaves the cluster has taken the question along.
fn answered<T>(question: impl Fn() -> KafkaResult<T>) -> KafkaResult<T> {
    let mut answer = question();
    for _ in 0..QUESTIONS_AGAIN {
        match &answer {
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::DestroyBroker) => answer = question(),
            _ => break,
        }
    }
    answer
}

/// A question that no broker answered from `start` to `now`: who was asked, why the last attempt failed, and what
/// to try.
fn unanswered(contact: &Contact, what: &str, error: &KafkaError, (start, now): (Duration, Duration)) -> Error {
    use RDKafkaErrorCode as Code;
    let silent = matches!(
        error.rdkafka_error_code(),
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut | Code::Resolve)
    );
    if silent {
        contact.clarify();
    }
    let Some(failure) = contact.refused(now).filter(|_| silent) else {
        return with_hint(from_kafka(what, error), UNREACHED_HINT);
    };
    // Brokers that have answered before may be of use again; those that never did want another script.
    if let Some(hint) = failure.hint.filter(|_| contact.hopeless()) {
        let Failure { broker, reason, .. } = failure;
        return Error::config(format!("no connection to kafka broker \"{broker}\": {reason}")).detail(what).hint(hint);
    }
    Error::unavailable(format!("no kafka broker answers at \"{}\": {}", contact.servers, failure.reason))
        .detail(match now.saturating_sub(start).as_secs() {
            0 => what.to_owned(),
            tried => format!("{what}; it was tried for {tried} s"),
        })
        .hint(match failure {
            Failure { hint: Some(hint), .. } => hint,
            Failure { unclear: Some(Unclear::Listener), .. } => PROTOCOL_HINT,
            _ => UNREACHED_HINT,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(servers: &str) -> Contact {
        Contact::new(ClientConfig::new().set("bootstrap.servers", servers))
    }

    fn failure(code: RDKafkaErrorCode, text: &str) -> Option<(String, String)> {
        Failure::of(&KafkaError::Global(code), text).map(|f| (f.broker, f.reason))
    }

    #[test]
    fn a_failed_connection_in_a_few_words() {
        use RDKafkaErrorCode as Code;
        let cases = [
            (
                "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
                "127.0.0.1:1",
                "connection refused",
            ),
            (
                "nowhere:9092/bootstrap: Failed to resolve 'nowhere:9092': Name or service not known (after 4ms in state CONNECT)",
                "nowhere:9092",
                "failed to resolve 'nowhere:9092': Name or service not known",
            ),
            ("kafka:9092/2: Disconnected (after 812ms in state UP)", "kafka:9092", "disconnected"),
            (
                "kafka:9093/bootstrap: Disconnected: requesting ApiVersion: might be caused by incorrect security.protocol configuration (connecting to a SSL listener?) or broker version is < 0.10 (see api.version.request) (after 4ms in state APIVERSION_QUERY)",
                "kafka:9093",
                HANGS_UP,
            ),
            (
                "kafka:9094/bootstrap: Disconnected: verify that security.protocol is correctly configured, broker might require SASL authentication (after 3ms in state UP)",
                "kafka:9094",
                HANGS_UP,
            ),
            ("sasl_plaintext://kafka:9092/2: Disconnected", "kafka:9092", "disconnected"),
        ];
        for (text, broker, reason) in cases {
            let found = failure(Code::BrokerTransportFailure, text);
            assert_eq!(found, Some((broker.to_owned(), reason.to_owned())), "{text}");
        }
        assert_eq!(failure(Code::AllBrokersDown, "1/1 brokers are down"), None);
        assert_eq!(failure(Code::BrokerTransportFailure, "no address"), None);
    }

    #[test]
    fn what_is_wrong_with_certificates_and_passwords_is_final_and_says_what_to_change() {
        use RDKafkaErrorCode as Code;
        let cases = [
            (
                Code::SSL,
                "ssl://127.0.0.1:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified, verify that ssl.ca.location is correctly configured (after 12ms in state SSL_HANDSHAKE)",
                "its certificate cannot be trusted: it is of no known authority, out of date, or not made out to \"127.0.0.1\"",
                CERTIFICATE_HINT,
            ),
            (
                Code::SSL,
                "ssl://h:9093/2: error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL alert number 42 (after 3ms in state APIVERSION_QUERY)",
                "it wants a client certificate that it trusts",
                CLIENT_CERTIFICATE_HINT,
            ),
            (
                Code::SSL,
                "ssl://h:9093/2: SSL handshake failed: error:0A00010B:SSL routines::wrong version number",
                "TLS fails: wrong version number",
                PROTOCOL_HINT,
            ),
            (
                Code::Authentication,
                "sasl_ssl://h:9094/bootstrap: SASL authentication error: Authentication failed: Invalid username or password (after 21ms in state AUTH_REQ)",
                "authentication failed: Invalid username or password",
                LOGIN_HINT,
            ),
            (
                Code::Authentication,
                "sasl_ssl://h:9094/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: SCRAM-SHA-512",
                "it does not take this SASL mechanism; it offers SCRAM-SHA-512",
                PROTOCOL_HINT,
            ),
        ];
        for (code, text, reason, hint) in cases {
            let contact = contact("127.0.0.1:1");
            contact.note(&KafkaError::Global(code), text);
            let now = CLOCK.elapsed();
            let told = || {
                let timed_out = KafkaError::MetadataFetch(Code::OperationTimedOut);
                unanswered(&contact, "what follows", &timed_out, (now, now))
            };
            assert_eq!(told().kind(), ErrorKind::Config, "{text}");
            assert!(told().message().ends_with(&format!("\": {reason}")), "{:?}", told());
            assert_eq!(told().hint_text(), Some(hint));
            // A cluster that has answered is not given up for one broker.
            contact.answered();
            contact.note(&KafkaError::Global(code), text);
            assert_eq!(told().kind(), ErrorKind::Unavailable, "{text}");
            assert!(told().message().ends_with(reason), "{:?}", told());
        }
    }

    #[test]
    fn a_listener_that_hangs_up_and_answers_tls_is_final_and_any_other_is_not() {
        use std::io::{Read as _, Write as _};
        let hung_up =
            ": Disconnected: requesting ApiVersion: might be caused by incorrect security.protocol configuration";
        let alert: &[u8] = &[21, 3, 3, 0, 2, 2, 40];
        for (answer, kind, reason, hint) in
            [(alert, ErrorKind::Config, WANTS_TLS, TLS_HINT), (&[], ErrorKind::Unavailable, HANGS_UP, PROTOCOL_HINT)]
        {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let broker = listener.local_addr().unwrap().to_string();
            let contact = contact(&broker);
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                stream.read_exact(&mut [0; 5]).unwrap();
                stream.write_all(answer).unwrap();
            });
            let failed = KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure);
            contact
                .note_log("FAIL", &format!("[thrd:main]: {broker}/bootstrap: Disconnected (after 812ms in state UP)"));
            assert!(contact.refused(CLOCK.elapsed()).is_none(), "a broker may close what is idle");
            contact.note_log("FAIL", &format!("[thrd:main]: {broker}/bootstrap{hung_up}"));
            let now = CLOCK.elapsed();
            let told = unanswered(&contact, "what follows", &failed, (now, now));
            server.join().unwrap();
            assert_eq!((told.kind(), told.hint_text()), (kind, Some(hint)), "{told}");
            assert!(told.message().ends_with(reason), "{told}");
        }
    }

    #[test]
    fn a_first_question_is_asked_again_while_there_is_hope() {
        let asked = |code: RDKafkaErrorCode, text: &str| {
            let (contact, times) = (contact("127.0.0.1:1"), std::cell::RefCell::new(Vec::new()));
            let answer = described(&contact, "what follows", |time| {
                times.borrow_mut().push(time.as_secs());
                contact.note(&KafkaError::Global(code), text);
                if times.borrow().len() > 3 {
                    Ok(())
                } else {
                    Err(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut))
                }
            });
            (answer.is_ok(), times.into_inner())
        };
        let refused = "h:1/1: Connect to ipv4#127.0.0.1:1 failed: Connection refused";
        assert_eq!(asked(RDKafkaErrorCode::BrokerTransportFailure, refused), (true, vec![2, 4, 8, 1]));
        let unknown = "ssl://127.0.0.1:1/1: SSL handshake failed: certificate verify failed";
        assert_eq!(asked(RDKafkaErrorCode::SSL, unknown), (false, vec![2]));
    }

    #[test]
    fn a_client_that_cannot_be_made_names_the_option() {
        let missing = "ssl.ca.location failed: error:10080002:BIO routines::system lib: ";
        let error = not_made(missing);
        assert_eq!(error.message(), "option \"properties.ssl.ca.location\": it cannot be read, or is not PEM");
        assert!(not_made("ssl.key.location failed: x").message().contains("the password of the key"));
        assert!(not_made("no memory").message().ends_with("cannot be made: no memory"));
    }

    #[test]
    fn a_failed_connection_explains_only_what_comes_soon_after_it() {
        let context = Context { contact: contact("kafka:9092"), ..Context::default() };
        let failed = KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure);
        context.error(failed, "kafka:9092/2: Connect to ipv4#10.0.0.1:9092 failed: Connection refused");
        let start = CLOCK.elapsed();
        let told = |start, now| {
            let timed_out = KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut);
            let error = unanswered(&context.contact, "the offsets are not known", &timed_out, (start, now));
            (error.message().to_owned(), error.to_string().contains("it was tried for 7 s"))
        };
        let refused = "no kafka broker answers at \"kafka:9092\": connection refused";
        assert_eq!(told(start, start + Duration::from_secs(7)), (refused.into(), true));
        assert_eq!(told(start, start), (refused.into(), false));
        let later = start + Duration::from_secs(3600);
        let timed_out = told(later, later + Duration::from_secs(15)).0;
        assert!(timed_out.starts_with("the offsets are not known: "), "{timed_out}");
        context.contact.answered();
        assert_eq!(told(start, start).0, timed_out);
    }

    #[test]
    fn a_question_that_is_lost_with_its_broker_is_asked_again_and_no_other() {
        let asked = |code: RDKafkaErrorCode, failures: usize| {
            let asked = std::cell::Cell::new(0);
            let answer = answered(|| {
                asked.set(asked.get() + 1);
                if asked.get() > failures { Ok(()) } else { Err(KafkaError::MetadataFetch(code)) }
            });
            (answer.is_ok(), asked.get())
        };
        assert_eq!(asked(RDKafkaErrorCode::DestroyBroker, 2), (true, 3));
        assert_eq!(asked(RDKafkaErrorCode::DestroyBroker, 9), (false, 1 + QUESTIONS_AGAIN));
        assert_eq!(asked(RDKafkaErrorCode::BrokerTransportFailure, 1), (false, 1));
    }

    #[test]
    fn a_warning_is_told_once_in_a_while() {
        assert!(due("a warning of this test"));
        assert!(!due("a warning of this test"));
        assert!(due("another warning of this test"));
    }
}
