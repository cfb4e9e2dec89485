//! Kafka: topics as tables, read partition by partition and written with acknowledgement.
//!
//! librdkafka does protocol, retries and reconnection; this folder decides where to start and stop, takes
//! records in batches (`ffi`), makes rows of them (`columns`), records of rows (`records`) and waits for acknowledgements
//! (`sink`), or commits whole epochs in transactions (`transaction`). Offsets outside are *logical*: those of the embedded cluster, which forgets at every stop, go on from the restored
//! position (`JobContext::embedded_offsets`).

mod admin;
mod client;
mod columns;
mod contact;
mod ffi;
mod handshake;
mod options;
mod properties;
mod records;
mod security;
mod sink;
mod source;
#[cfg(test)]
mod tests;
mod transaction;

pub use admin::{Deliveries, Producer, Record, TopicAdmin};
pub use source::{Fetcher, KafkaSource, Lookup, StoredRecord};

use self::options::{EMBEDDED, Guarantee, KafkaOptions};
use self::sink::KafkaSink;
use self::transaction::Transactions;
use crate::connectors::delivery::Outbox;
use crate::connectors::{JobContext, Sink, Usage};
use crate::error::{Error, Result};
use crate::table::TableSpec;

/// Metadata columns: (key, type as the script writes it, writable).
pub const METADATA: &[(&str, &str, bool)] = &[
    ("topic", "STRING", true),
    ("partition", "INT", false),
    ("headers", "MAP<STRING, BYTES>", true),
    ("leader-epoch", "INT", false),
    ("offset", "BIGINT", false),
    ("timestamp", "TIMESTAMP_LTZ(3)", true),
    ("timestamp-type", "STRING", false),
];

/// All problems of a table's options. No I/O.
pub fn validate(table: &TableSpec, usage: Usage) -> Vec<Error> {
    KafkaOptions::parse(table, usage).err().unwrap_or_default()
}

/// Whether reading the table ends by itself.
///
/// # Errors
/// `Config` for wrong options.
pub fn bounded(table: &TableSpec) -> Result<bool> {
    Ok(parse(table, Usage::Source)?.bound.is_some())
}

/// Opens a table for writing. The embedded cluster forgets everything at a stop, and its transactions are none: there
/// every guarantee is at least once.
///
/// # Errors
/// `Config` for wrong options.
pub fn open_sink(table: &TableSpec, sink: &str, job: &JobContext) -> Result<Box<dyn Sink>> {
    let options = parse(table, Usage::Sink)?;
    if options.guarantee != Guarantee::ExactlyOnce || options.bootstrap == EMBEDDED {
        return Ok(Box::new(KafkaSink::open(table, &options, job)?));
    }
    let target = Transactions::new(table, &options, job)?;
    Ok(Box::new(Outbox::new(Box::new(target), table.sink_schema(), sink, job)))
}

fn parse(table: &TableSpec, usage: Usage) -> Result<KafkaOptions> {
    KafkaOptions::parse(table, usage)
        .map_err(|errors| Error::collect(errors).unwrap_or_else(|| Error::internal("options wrong without an error")))
}
