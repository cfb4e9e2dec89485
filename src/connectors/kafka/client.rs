//! What source, sink and administration share: librdkafka's words in ours, and one consumer with the thread
//! that serves its events.
//!
//! librdkafka reconnects and retries by itself, so a lost connection is a warning, told once in a while and not
//! at every attempt; only what it calls fatal, or what no retry can mend, becomes an error.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::contact::{Contact, Failure, PROTOCOL_HINT, Unclear};
use super::ffi;
use crate::error::{Error, ErrorKind, Result};
use crate::time::{Clock, system_clock};

/// How long a question to the brokers may take before the job says that they do not answer.
pub(super) const REQUEST_TIME_MAX: Duration = Duration::from_secs(15);

/// How long the first question may take before it is looked at why nobody answers.
const FIRST_TIME_MAX: Duration = Duration::from_secs(2);

/// How long the question for a topic's id may take, which a broker that has just answered is asked.
const ID_TIME_MAX: Duration = Duration::from_secs(5);

/// How long the event thread sleeps at most before it looks whether it is still needed.
const EVENT_WAIT: Duration = Duration::from_millis(250);

/// The consumer of one table.
pub(super) type Consumer = BaseConsumer<Context>;

/// A warning that holds on is told again after this time.
const WARN_AGAIN: Duration = Duration::from_secs(60);

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

/// As a part of a sentence, without the word for where it comes from.
pub(super) fn lower(text: &str) -> String {
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
    use crate::connectors::kafka::contact::{
        CERTIFICATE_HINT, CLIENT_CERTIFICATE_HINT, HANGS_UP, LOGIN_HINT, TLS_HINT, WANTS_TLS,
    };

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
                "kafka:9093/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN (after 12ms in state APIVERSION_QUERY)",
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
        for (size, wants_tls) in [("352518912", true), ("352518400", true), ("1213486160", false), ("-1", false)] {
            let text = format!(
                "kafka:9093/bootstrap: Receive failed: Invalid response size {size} (0..100000000): increase receive.message.max.bytes"
            );
            let expected = wants_tls.then(|| ("kafka:9093".to_owned(), WANTS_TLS.to_owned()));
            assert_eq!(failure(Code::BadMessage, &text), expected, "{size}");
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
            let other = format!("{broker}/bootstrap: Connect to ipv6#[::1]:1 failed: Connection refused");
            contact.note(&KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure), &other);
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
