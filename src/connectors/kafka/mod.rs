//! Kafka: topics as tables, read partition by partition and written with acknowledgement.
//!
//! librdkafka does protocol, retries and reconnection; this folder decides where to start and stop, takes
//! records in batches (`ffi`), makes rows of them (`columns`) and waits for acknowledgements (`sink`). Offsets
//! outside are *logical*: those of the embedded cluster, which forgets at every stop, go on from the restored
//! position (`JobContext::embedded_offsets`).

mod admin;
mod client;
mod columns;
mod ffi;
mod options;
mod properties;
mod sink;
mod source;
#[cfg(test)]
mod tests;

pub use admin::{Deliveries, Producer, Record, TopicAdmin};
pub use sink::KafkaSink;
pub use source::KafkaSource;

use self::options::KafkaOptions;
use crate::connectors::Usage;
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

fn parse(table: &TableSpec, usage: Usage) -> Result<KafkaOptions> {
    KafkaOptions::parse(table, usage)
        .map_err(|errors| Error::collect(errors).unwrap_or_else(|| Error::internal("options wrong without an error")))
}
