//! `properties.*`: what people write for Java's Kafka clients, in librdkafka's words.
//!
//! Three fates: passed through (librdkafka's own name), translated or left out with a warning (Java's name),
//! refused (what the engine owns, what this build lacks, what nobody knows). Values are never part of a
//! message for names outside [`SHOWN`].

use std::collections::BTreeMap;

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::{ffi, security};
use crate::error::{Error, nearest};
use crate::table::Options;

/// Prefix of the options that go to the Kafka client.
pub(super) const PREFIX: &str = "properties.";

/// Properties the engine sets, because its guarantees rest on them: (name, why).
const OWNED: &[(&str, &str)] = &[
    ("enable.auto.commit", "offsets are committed with the epochs"),
    ("auto.commit.enable", "offsets are committed with the epochs"),
    ("auto.commit.interval.ms", "offsets are committed with the epochs"),
    ("enable.auto.offset.store", "offsets are committed with the epochs"),
    ("offset.store.method", "offsets are committed with the epochs"),
    ("offset.store.path", "offsets are committed with the epochs"),
    ("enable.partition.eof", "bounded reads need it"),
    ("enable.idempotence", "retries would double rows without it"),
    ("acks", "a row counts as written when all replicas have it"),
    ("request.required.acks", "a row counts as written when all replicas have it"),
    ("transactional.id", "set 'sink.transactional-id-prefix' instead"),
    ("partitioner", "set 'sink.partitioner' instead"),
    ("delivery.report.only.error", "every row's delivery is counted"),
    ("log.queue", "the engine reads the client's log"),
    ("enabled_events", "the engine reads the client's events"),
    ("plugin.library.paths", "code from outside is not loaded"),
    ("opaque", "it is not a value"),
];

/// Properties of Java's clients without meaning here: they are left out with a warning.
const JAVA_ONLY: &[&str] = &[
    "key.deserializer",
    "value.deserializer",
    "key.serializer",
    "value.serializer",
    "max.poll.records",
    "default.api.timeout.ms",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "auto.include.jmx.reporter",
    "exclude.internal.topics",
    "buffer.memory",
    "max.block.ms",
    "send.buffer.bytes",
    "receive.buffer.bytes",
    "interceptor.classes",
    "partitioner.class",
    "partitioner.ignore.keys",
    "partitioner.adaptive.partitioning.enable",
    "partitioner.availability.timeout.ms",
    "sasl.login.class",
    "security.providers",
    "ssl.protocol",
    "ssl.enabled.protocols",
    "ssl.provider",
    "ssl.keymanager.algorithm",
    "ssl.trustmanager.algorithm",
    "ssl.secure.random.implementation",
    "sasl.login.callback.handler.class",
    "sasl.client.callback.handler.class",
    "partition.discovery.interval.ms",
    "client.id.prefix",
    "register.consumer.metrics",
    "commit.offsets.on.checkpoint",
    "flink.partition-discovery.interval-millis",
    "zookeeper.connect",
    "internal.leave.group.on.close",
];

/// Java's names and aliases → the one of librdkafka's names that the engine's defaults use: of two names of one
/// property the client would otherwise take the last it happens to see. The value stays.
const RENAMED: &[(&str, &str)] = &[
    ("fetch.max.wait.ms", "fetch.wait.max.ms"),
    ("max.request.size", "message.max.bytes"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("metadata.broker.list", "bootstrap.servers"),
];

/// Properties whose value may be part of a message.
const SHOWN: &[&str] = &[
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "auto.offset.reset",
    "isolation.level",
    "compression.type",
    "compression.codec",
    "group.protocol",
    "client.id",
    "group.id",
    "check.crcs",
];

/// What became of a table's `properties.*`.
#[derive(Default)]
pub(super) struct Properties {
    /// librdkafka's names and the table's values.
    pub(super) values: BTreeMap<String, String>,
    /// Java's names left out, for a warning when the table is opened.
    pub(super) ignored: Vec<String>,
    /// Everything wrong.
    pub(super) errors: Vec<Error>,
}

impl std::fmt::Debug for Properties {
    /// Values may be secrets: never shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.values.keys()).finish()
    }
}

impl Properties {
    /// Reads, translates and checks the `properties.*` among `options`.
    pub(super) fn parse(options: &Options) -> Self {
        let mut properties = Self::default();
        for key in options.keys() {
            if let Some(name) = key.strip_prefix(PREFIX).filter(|name| !security::is_store(name)) {
                let value = options.get(key).unwrap_or_default();
                if let Err(error) = properties.take(name, value.trim()) {
                    properties.errors.push(error.or_at(options.span(key)));
                }
            }
        }
        security::stores(&mut properties, options);
        security::check(&mut properties, options);
        properties
    }

    /// All of them, for the client.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a property.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Error> {
        if let Some((_, why)) = OWNED.iter().find(|(owned, _)| *owned == name) {
            return Err(
                Error::config(format!("option \"properties.{name}\" is set by the engine: {why}")).hint("leave it out")
            );
        }
        if JAVA_ONLY.contains(&name) || name.starts_with("metrics.") {
            self.ignored.push(name.to_owned());
            return Ok(());
        }
        match name {
            "sasl.jaas.config" => {
                for (name, value) in security::login(value)? {
                    self.values.insert(name.to_owned(), value);
                }
                return Ok(());
            }
            // Java's word for "none" is an empty one.
            "ssl.endpoint.identification.algorithm" if value.is_empty() => return self.take(name, "none"),
            "sasl.mechanism" | "sasl.mechanisms" => {
                self.values.insert("sasl.mechanisms".into(), value.to_ascii_uppercase());
                return Ok(());
            }
            "ssl.ca.pem" | "ssl.certificate.pem" | "ssl.key.pem" => {
                self.values.insert(name.to_owned(), security::pem(value));
                return Ok(());
            }
            // The engine decides between failing and starting anew; librdkafka must only tell.
            "auto.offset.reset" => return self.take_offset_reset(value),
            "bootstrap.servers" => check_brokers(value)?,
            _ => {}
        }
        let name = RENAMED.iter().find(|(java, _)| *java == name).map_or(name, |(_, own)| own);
        check(name, value)?;
        self.values.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    fn take_offset_reset(&mut self, value: &str) -> Result<(), Error> {
        let reset = match value {
            "earliest" | "smallest" | "beginning" => "earliest",
            "latest" | "largest" | "end" => "latest",
            "none" | "error" => "none",
            _ => {
                return Err(Error::config(format!(
                    "option \"properties.auto.offset.reset\": \"{value}\" is not a valid value"
                ))
                .hint("valid values: earliest, latest, none"));
            }
        };
        self.values.insert("auto.offset.reset".into(), reset.into());
        Ok(())
    }
}

/// Insists on `host:port` for each broker, a listener's name before and no port allowed as librdkafka has it: it would
/// look for brokers of another form for ever.
fn check_brokers(value: &str) -> Result<(), Error> {
    let wrong = |address: &&str| {
        let place = address.split_once("://").map_or(*address, |(_, place)| place);
        // The last colon of an IPv6 address in brackets may be inside of it.
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (place, None),
        };
        let named = !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || "-._%:[]".contains(c));
        !named || port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    match value.split(',').map(str::trim).filter(|address| !address.is_empty()).find(wrong) {
        None => Ok(()),
        Some(address) => Err(Error::config(format!(
            "option \"properties.bootstrap.servers\": \"{address}\" is no address of a broker"
        ))
        .hint("write host:port, as in 'localhost:9092'; several are separated by commas")),
    }
}

/// Asks librdkafka about one property.
fn check(name: &str, value: &str) -> Result<(), Error> {
    let mut config = ClientConfig::new();
    config.set(name, value);
    let Err(error) = config.create_native_config() else { return Ok(()) };
    let KafkaError::ClientConfig(result, text, ..) = error else {
        return Err(Error::config(format!("option \"properties.{name}\" holds a zero byte")));
    };
    if result == RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN {
        return Err(unknown(name));
    }
    let message = if SHOWN.contains(&name) {
        format!("option \"properties.{name}\": \"{value}\" is not a valid value")
    } else {
        format!("option \"properties.{name}\" has a value the kafka client does not take")
    };
    let error = Error::config(message);
    // A text without the value itself, such as the range of a number, helps.
    Err(if text.contains(value) || value.is_empty() { error } else { error.detail(text) })
}

fn unknown(name: &str) -> Error {
    let error = Error::config(format!("the kafka client has no property \"{name}\""));
    let known = ffi::property_names();
    let aliases = ["bootstrap.servers", "compression.type", "max.partition.fetch.bytes", "linger.ms", "sasl.mechanism"];
    let dotted = name.replace(['_', '-'], ".");
    match nearest(&dotted, aliases.into_iter().chain(known.iter().map(String::as_str))) {
        Some(near) => error.hint(format!("did you mean \"properties.{near}\"?")),
        None => error.hint("names are those of librdkafka's CONFIGURATION.md"),
    }
}
