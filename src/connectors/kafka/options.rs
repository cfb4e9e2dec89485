//! The options of a Kafka table, parsed once into types. All problems are found in one go, each at its place.
//!
//! As in Flink, a table may carry the options of both directions: a source ignores `sink.…` and the reverse,
//! but wrong values are errors in either.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::datatypes::DataType;
use regex::Regex;

use super::METADATA;
use super::properties::{self, Properties};
use crate::connectors::{BadRecords, DataLoss, Usage};
use crate::error::{Error, Result, nearest};
use crate::formats;
use crate::table::{ColumnKind, ColumnSpec, TableSpec};

/// Time between two looks for new partitions, as in Flink.
const DISCOVERY_DEFAULT: Duration = Duration::from_secs(300);

/// Value of `properties.bootstrap.servers` that stands for the embedded cluster.
pub(super) const EMBEDDED: &str = "embedded";

/// Flink's format for one column of text or bytes, taken as it is.
pub(super) const RAW: &str = "raw";

/// Names of all options, formats' and `properties.*` excepted.
const OPTIONS: &[&str] = &[
    "connector",
    "topic",
    "topic-pattern",
    "properties.bootstrap.servers",
    "properties.group.id",
    "format",
    "value.format",
    "key.format",
    "key.fields",
    "key.fields-prefix",
    "value.fields-include",
    "bad-records",
    "scan.startup.mode",
    "scan.startup.specific-offsets",
    "scan.startup.timestamp-millis",
    "scan.bounded.mode",
    "scan.bounded.specific-offsets",
    "scan.bounded.timestamp-millis",
    "scan.topic-partition-discovery.interval",
    "scan.on-data-loss",
    "scan.parallelism",
    "scan.watermark.idle-timeout",
    "scan.watermark.max-future-skew",
    "scan.watermark.emit.strategy",
    "scan.watermark.emit.on-event.gap",
    "scan.watermark.alignment.group",
    "scan.watermark.alignment.max-drift",
    "scan.watermark.alignment.update-interval",
    "sink.partitioner",
    "sink.parallelism",
    "sink.delivery-guarantee",
    "sink.transactional-id-prefix",
    "sink.semantic",
];

/// The topics of a table.
#[derive(Debug, Clone)]
pub(super) enum Topics {
    /// By name, in the order written.
    List(Vec<String>),
    /// Every topic whose whole name matches.
    Pattern(Regex),
}

/// Where a first start begins, or a bounded read ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Position {
    /// The group's committed offset.
    Group,
    /// The first record there is.
    Earliest,
    /// After the last record there is.
    Latest,
    /// The first record not older than this, ms since 1970.
    Timestamp(i64),
    /// Per partition.
    Specific(BTreeMap<i32, i64>),
}

/// How rows find their partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Partitioner {
    /// By murmur2 of the key, without a key sticky and random: as Java's producer.
    Default,
    /// One partition for all rows of the writing task.
    Fixed,
    /// One after the other.
    RoundRobin,
}

/// `sink.delivery-guarantee`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guarantee {
    /// Rows leave when their epoch is committed, in a transaction of its own.
    ExactlyOnce,
    /// Rows leave at once, and again after a crash.
    AtLeastOnce,
    /// Nobody waits for acknowledgements.
    None,
}

/// A format with the prefix of its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Format {
    /// Its name.
    pub(super) name: String,
    /// `json.`, `value.json.` or `key.json.`.
    pub(super) prefix: String,
}

/// The key of the records.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// Its format, or [`RAW`].
    pub(super) format: Format,
    /// Columns of the table that it holds.
    pub(super) fields: Vec<String>,
    /// What the columns' names have in front that the key's fields do not.
    pub(super) prefix: String,
}

/// The typed options of a table.
#[derive(Debug)]
pub(super) struct KafkaOptions {
    pub(super) topics: Topics,
    /// Addresses, or [`EMBEDDED`].
    pub(super) bootstrap: String,
    pub(super) properties: Properties,
    pub(super) value_format: Format,
    pub(super) key: Option<Key>,
    /// Key columns are part of the value too.
    pub(super) value_has_key: bool,
    pub(super) startup: Position,
    /// `None`: without end.
    pub(super) bound: Option<Position>,
    pub(super) discovery: Option<Duration>,
    pub(super) bad_records: BadRecords,
    pub(super) data_loss: DataLoss,
    pub(super) partitioner: Partitioner,
    pub(super) guarantee: Guarantee,
    /// Begins the names of transactions; `None`: `streamer`.
    pub(super) transactional_id_prefix: Option<String>,
}

/// Collects the errors of several options.
struct Checker<'a> {
    table: &'a TableSpec,
    errors: Vec<Error>,
}

impl KafkaOptions {
    /// Parses a table's options.
    ///
    /// # Errors
    /// All problems at once.
    pub(super) fn parse(table: &TableSpec, usage: Usage) -> Result<Self, Vec<Error>> {
        let mut checker = Checker { table, errors: Vec::new() };
        let mut properties = Properties::parse(&table.options);
        checker.errors.append(&mut properties.errors);
        let topics = checker.topics(usage);
        let bootstrap = checker.bootstrap();
        let value_format = checker.value_format();
        let key = checker.key();
        let value_has_key = checker.value_has_key(key.as_ref());
        let startup = checker.position("scan.startup.mode", Some(Position::Group), STARTUP);
        let bound = checker.position("scan.bounded.mode", None, BOUNDED);
        let discovery = checker
            .keep(table.options.duration("scan.topic-partition-discovery.interval", DISCOVERY_DEFAULT))
            .filter(|interval| !interval.is_zero() && bound.is_none());
        let bad_records = checker.keep(BadRecords::of(table));
        let data_loss = checker.keep(DataLoss::of(table));
        let partitioner = checker.partitioner(key.is_some());
        let guarantee = checker.guarantee(usage);
        let transactional_id_prefix = checker.get("sink.transactional-id-prefix").map(str::to_owned);
        checker.accepted();
        checker.metadata_types(usage);
        checker.unknown_names(&value_format, key.as_ref());
        match (checker.errors.is_empty(), topics, bad_records) {
            (true, Some(topics), Some(bad_records)) => Ok(Self {
                topics,
                bootstrap,
                properties,
                value_format,
                key,
                value_has_key,
                startup: startup.unwrap_or(Position::Group),
                bound,
                discovery,
                bad_records,
                data_loss: data_loss.unwrap_or(DataLoss::Fail),
                partitioner,
                guarantee,
                transactional_id_prefix,
            }),
            _ => Err(checker.errors),
        }
    }

    /// Columns the value holds, as indices among the physical columns.
    pub(super) fn value_columns<'a>(&self, table: &'a TableSpec) -> Vec<&'a ColumnSpec> {
        let in_value =
            |c: &&ColumnSpec| self.value_has_key || self.key.as_ref().is_none_or(|key| !key.fields.contains(&c.name));
        table.physical().filter(in_value).collect()
    }
}

const STARTUP: &[&str] = &["group-offsets", "earliest-offset", "latest-offset", "timestamp", "specific-offsets"];

const BOUNDED: &[&str] = &["unbounded", "latest-offset", "group-offsets", "timestamp", "specific-offsets"];

impl Checker<'_> {
    /// Keeps an error and goes on without the value.
    fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.errors.push(error)).ok()
    }

    fn error(&mut self, key: &str, message: impl Into<String>, hint: &str) {
        let error = self.table.options.error(key, message).or_at(self.table.span);
        self.errors.push(if hint.is_empty() { error } else { error.hint(hint) });
    }

    fn missing(&mut self, what: &str, hint: &str) {
        let error = Error::config(format!("table \"{}\" lacks the {what}", self.table.name)).or_at(self.table.span);
        self.errors.push(error.hint(hint));
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.table.options.get(key).map(str::trim).filter(|text| !text.is_empty())
    }

    fn topics(&mut self, usage: Usage) -> Option<Topics> {
        let list = self.get("topic").map(names);
        let pattern = self.get("topic-pattern").map(str::to_owned);
        let chosen = self
            .table
            .columns
            .iter()
            .any(|c| matches!(&c.kind, ColumnKind::Metadata { key, virtual_: false } if key == "topic"));
        if usage == Usage::Sink && !chosen && (pattern.is_some() || list.as_ref().is_some_and(|l| l.len() > 1)) {
            let key = if pattern.is_some() { "topic-pattern" } else { "topic" };
            self.error(
                key,
                format!("table \"{}\" cannot be written: it has more than one topic", self.table.name),
                "name one topic, or add a column \"topic STRING METADATA\" that chooses it for each row",
            );
        }
        match (list, pattern) {
            (Some(_), Some(_)) => {
                self.error(
                    "topic-pattern",
                    "options \"topic\" and \"topic-pattern\" exclude each other",
                    "leave one out",
                );
                None
            }
            (None, None) => {
                self.missing("option \"topic\"", "add 'topic' = '…' to WITH");
                None
            }
            (Some(list), None) if list.is_empty() => {
                self.error("topic", "option \"topic\" names no topic", "write 'topic' = 'a' or 'topic' = 'a;b'");
                None
            }
            (Some(list), None) => {
                for (index, name) in list.iter().enumerate() {
                    if list[..index].contains(name) {
                        self.error("topic", format!("topic \"{name}\" is named twice"), "");
                    }
                    if name.len() > 249 || !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
                        self.error("topic", format!("\"{name}\" is not a topic name"),
                            "topic names have at most 249 letters, digits, \".\", \"_\" and \"-\"; ';' stands between two");
                    }
                }
                Some(Topics::List(list))
            }
            // Java's `matches`: the whole name.
            (None, Some(pattern)) => match Regex::new(&format!("^(?:{pattern})$")) {
                Ok(pattern) => Some(Topics::Pattern(pattern)),
                Err(_) => {
                    self.error(
                        "topic-pattern",
                        format!("\"{pattern}\" is not a regular expression that is supported"),
                        "look-around and back references are not",
                    );
                    None
                }
            },
        }
    }

    fn bootstrap(&mut self) -> String {
        let key = "properties.bootstrap.servers";
        match self.get(key) {
            Some(text) => text.to_owned(),
            None => {
                let hint = "add 'properties.bootstrap.servers' = 'host:port' to WITH, or 'embedded' for the cluster inside the process";
                self.missing("option \"properties.bootstrap.servers\"", hint);
                String::new()
            }
        }
    }

    fn value_format(&mut self) -> Format {
        let (short, long) = (self.get("format"), self.get("value.format"));
        if short.is_some() && long.is_some() {
            self.error("value.format", "options \"format\" and \"value.format\" are the same", "leave one out");
        }
        let (key, prefix) =
            if self.get("value.format").is_some() { ("value.format", "value.") } else { ("format", "") };
        let Some(name) = self.get(key).map(str::to_owned) else {
            self.missing("option \"format\"", "add 'format' = 'json' to WITH");
            return Format { name: String::new(), prefix: String::new() };
        };
        if name == RAW && self.get("value.fields-include") != Some("EXCEPT_KEY") {
            let columns: Vec<&ColumnSpec> = self.table.physical().collect();
            self.raw(key, &columns);
        } else if name == RAW {
            let keys = self.get("key.fields").map(names).unwrap_or_default();
            let columns: Vec<&ColumnSpec> = self.table.physical().filter(|c| !keys.contains(&c.name)).collect();
            self.raw(key, &columns);
        } else {
            self.format(key, &name);
        }
        Format { prefix: format!("{prefix}{name}."), name }
    }

    fn format(&mut self, key: &str, name: &str) {
        if let Err(error) = formats::option_names(name) {
            self.errors.push(error.or_at(self.table.options.span(key)));
        }
    }

    /// Checks the columns of a part in the format `raw`.
    fn raw(&mut self, key: &str, columns: &[&ColumnSpec]) {
        let plain = |c: &ColumnSpec| matches!(c.data_type, DataType::Utf8 | DataType::Binary);
        if !matches!(columns, [column] if plain(column)) {
            self.error(
                key,
                "the format \"raw\" takes one column of type STRING or BYTES",
                "use the format \"json\" for other columns",
            );
        }
    }

    fn key(&mut self) -> Option<Key> {
        let fields = self.get("key.fields").map(names).unwrap_or_default();
        let prefix = self.get("key.fields-prefix").unwrap_or_default().to_owned();
        let Some(name) = self.get("key.format").map(str::to_owned) else {
            if !fields.is_empty() {
                self.error(
                    "key.fields",
                    "option \"key.fields\" needs option \"key.format\"",
                    "add 'key.format' = 'json'",
                );
            }
            return None;
        };
        if fields.is_empty() {
            self.error(
                "key.format",
                "option \"key.format\" needs option \"key.fields\"",
                "add 'key.fields' = 'a;b' with columns of the table",
            );
            return None;
        }
        let columns: Vec<&ColumnSpec> = self.table.physical().collect();
        let mut errors = Vec::new();
        for field in &fields {
            let options = &self.table.options;
            if !columns.iter().any(|c| c.name == *field) {
                let error = options
                    .error("key.fields", format!("table \"{}\" has no physical column \"{field}\"", self.table.name));
                errors.push(error.nearest(field, columns.iter().map(|c| c.name.as_str())));
                continue;
            }
            if !field.starts_with(&prefix) {
                errors.push(
                    options
                        .error("key.fields-prefix", format!("key column \"{field}\" does not begin with \"{prefix}\"")),
                );
            }
        }
        self.errors.extend(errors);
        if name == RAW {
            let keys: Vec<&ColumnSpec> = columns.into_iter().filter(|c| fields.contains(&c.name)).collect();
            self.raw("key.format", &keys);
        } else {
            self.format("key.format", &name);
        }
        Some(Key { format: Format { prefix: format!("key.{name}."), name }, fields, prefix })
    }

    fn value_has_key(&mut self, key: Option<&Key>) -> bool {
        let values = [("ALL", true), ("EXCEPT_KEY", false)];
        let all = self.keep(self.table.options.one_of("value.fields-include", true, &values)).unwrap_or(true);
        if all && key.is_some_and(|key| !key.prefix.is_empty()) {
            self.error(
                "key.fields-prefix",
                "option \"key.fields-prefix\" needs 'value.fields-include' = 'EXCEPT_KEY'",
                "add 'value.fields-include' = 'EXCEPT_KEY'",
            );
        }
        all
    }

    /// One of the two modes with the option that belongs to it; `None` for `unbounded` and after an error.
    fn position(&mut self, mode: &str, default: Option<Position>, values: &[&str]) -> Option<Position> {
        let Some(text) = self.get(mode).map(str::to_ascii_lowercase) else { return default };
        let stem = mode.trim_end_matches("mode");
        match text.as_str() {
            name if !values.contains(&name) => {
                let error =
                    self.table.options.error(mode, format!("option \"{mode}\": \"{name}\" is not a valid value"));
                let hint = match nearest(name, values.iter().copied()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("valid values: {}", values.join(", ")),
                };
                self.errors.push(error.hint(hint));
                None
            }
            "group-offsets" => Some(Position::Group),
            "earliest-offset" => Some(Position::Earliest),
            "latest-offset" => Some(Position::Latest),
            "timestamp" => {
                let key = format!("{stem}timestamp-millis");
                if self.get(&key).is_none() {
                    self.error(
                        mode,
                        format!("mode \"timestamp\" needs option \"{key}\""),
                        &format!("add '{key}' = '1700000000000'"),
                    );
                }
                self.keep(self.table.options.number::<i64>(&key, 0)).map(Position::Timestamp)
            }
            "specific-offsets" => self.specific(mode, &format!("{stem}specific-offsets")),
            _ => None,
        }
    }

    fn specific(&mut self, mode: &str, key: &str) -> Option<Position> {
        let example = format!("'{key}' = 'partition:0,offset:42;partition:1,offset:300'");
        let Some(text) = self.get(key).map(str::to_owned) else {
            self.error(mode, format!("mode \"specific-offsets\" needs option \"{key}\""), &format!("add {example}"));
            return None;
        };
        if self.get("topic").is_none_or(|t| names(t).len() != 1) {
            self.error(key, "mode \"specific-offsets\" needs exactly one topic", "name one topic in 'topic'");
        }
        let mut offsets = BTreeMap::new();
        for pair in names(&text) {
            let number = |part: Option<&str>, name: &str| -> Option<i64> {
                part?.trim().strip_prefix(name)?.trim().strip_prefix(':')?.trim().parse().ok().filter(|n| *n >= 0)
            };
            let mut parts = pair.split(',');
            let found = (number(parts.next(), "partition"), number(parts.next(), "offset"), parts.next());
            match found {
                (Some(partition), Some(offset), None) if partition <= 0xffff => {
                    if offsets.insert(partition as i32, offset).is_some() {
                        self.error(key, format!("partition {partition} is named twice in \"{key}\""), "");
                    }
                }
                _ => self.error(
                    key,
                    format!("\"{pair}\" is not a partition with its offset"),
                    &format!("write {example}"),
                ),
            }
        }
        Some(Position::Specific(offsets))
    }

    fn partitioner(&mut self, keyed: bool) -> Partitioner {
        let key = "sink.partitioner";
        match self.get(key) {
            None | Some("default") => Partitioner::Default,
            Some("fixed") => Partitioner::Fixed,
            Some("round-robin") => {
                if keyed {
                    self.error(
                        key,
                        "partitioner \"round-robin\" works only without \"key.fields\"",
                        "use 'sink.partitioner' = 'default'",
                    );
                }
                Partitioner::RoundRobin
            }
            Some(class) => {
                let message = format!("partitioner \"{class}\" is not supported");
                let hint = match nearest(class, ["default", "fixed", "round-robin"]) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => "classes of Java cannot be loaded; valid values: default, fixed, round-robin".to_owned(),
                };
                self.error(key, message, &hint);
                Partitioner::Default
            }
        }
    }

    fn guarantee(&mut self, usage: Usage) -> Guarantee {
        use Guarantee::{AtLeastOnce, ExactlyOnce, None};
        let values = [("exactly-once", ExactlyOnce), ("at-least-once", AtLeastOnce), ("none", None)];
        let pattern = self.get("topic-pattern").is_some();
        let default = if pattern { AtLeastOnce } else { ExactlyOnce };
        // the older name first: the newer one wins
        let older = self.keep(self.table.options.one_of("sink.semantic", default, &values)).unwrap_or(default);
        let guarantee =
            self.keep(self.table.options.one_of("sink.delivery-guarantee", older, &values)).unwrap_or(older);
        if usage == Usage::Sink && pattern && guarantee == ExactlyOnce {
            self.error(
                "topic-pattern",
                "a table whose topics are a pattern cannot be written exactly once",
                "name the topics in 'topic', or use 'sink.delivery-guarantee' = 'at-least-once'",
            );
        }
        guarantee
    }

    /// Options that others read, or that change nothing here: only their values are checked.
    fn accepted(&mut self) {
        let options = &self.table.options;
        for key in [
            "scan.watermark.idle-timeout",
            "scan.watermark.max-future-skew",
            "scan.watermark.alignment.max-drift",
            "scan.watermark.alignment.update-interval",
        ] {
            self.keep(options.duration(key, Duration::ZERO));
        }
        for key in ["scan.parallelism", "sink.parallelism", "scan.watermark.emit.on-event.gap"] {
            if self.keep(options.number::<u32>(key, 1)) == Some(0) {
                self.error(key, format!("option \"{key}\" must be at least 1"), "");
            }
        }
        let strategies = [("on-periodic", ()), ("on-event", ())];
        self.keep(options.one_of("scan.watermark.emit.strategy", (), &strategies));
    }

    fn metadata_types(&mut self, usage: Usage) {
        for column in &self.table.columns {
            let ColumnKind::Metadata { key, virtual_ } = &column.kind else { continue };
            let Some((_, _, writable)) = METADATA.iter().find(|(name, ..)| name == key) else { continue };
            if usage == Usage::Sink && !virtual_ && !writable {
                self.errors.push(
                    Error::config(format!("metadata \"{key}\" of column \"{}\" cannot be written", column.name))
                        .or_at(self.table.span)
                        .hint(format!(
                            "declare it as \"{} {} METADATA FROM '{key}' VIRTUAL\"",
                            column.name, column.sql_type
                        )),
                );
            }
            if let Err(error) = super::columns::Metadata::new(key, &column.data_type) {
                self.errors.push(error.or_at(self.table.span));
            }
        }
    }

    fn unknown_names(&mut self, value: &Format, key: Option<&Key>) {
        let mut known: Vec<String> = OPTIONS.iter().map(|&name| name.to_owned()).collect();
        for format in std::iter::once(value).chain(key.map(|key| &key.format)) {
            let names = formats::option_names(&format.name).unwrap_or_default();
            known.extend(names.iter().map(|name| format!("{}{name}", format.prefix)));
            // Flink takes the options of `value.format` without the prefix only if `format` is used; so do we.
        }
        for name in self.table.options.keys() {
            if name.starts_with(properties::PREFIX) || known.iter().any(|k| k == name) {
                continue;
            }
            let error = self.table.options.error(name, format!("connector \"kafka\" has no option \"{name}\""));
            let dotted = name.replace('_', ".");
            let hint = match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => Some(format!("did you mean \"{near}\"?")),
                None if super::ffi::property_names().contains(&dotted) || dotted == "bootstrap.servers" => {
                    Some(format!("did you mean \"properties.{dotted}\"?"))
                }
                None => None,
            };
            self.errors.push(match hint {
                Some(hint) => error.hint(hint),
                None => error,
            });
        }
    }
}

/// The parts of a list written with `;`.
fn names(text: &str) -> Vec<String> {
    text.split(';').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
