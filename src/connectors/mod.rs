//! Connectors: all I/O with other systems. A source is split into partitions, each read by a task of its
//! own; a sink belongs to one task and learns of epochs.
//!
//! Opening is typed: options are parsed once, when planning (errors with their place) and when opening.

pub mod blackhole;
pub mod datagen;
pub mod delivery;
pub mod filesystem;
pub mod kafka;
pub mod postgres;
pub mod print;
pub mod values;

mod hold;
mod staging;

pub use hold::{Attempts, Hold};

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::limits::BATCH_ROWS_MAX;
use crate::stream::SourcePosition;
use crate::table::TableSpec;

/// What a table is used for, which decides the options it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// A query reads it.
    Source,
    /// An INSERT writes it.
    Sink,
}

/// What becomes of a record that is no row, and of a row that has no event time or whose computed columns fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRecords {
    /// It stops the job.
    Fail,
    /// It goes to the ledger.
    Ledger,
    /// It is counted.
    Drop,
}

impl BadRecords {
    /// What the option `bad-records` of a table says: unless it is set, files fail (someone can mend them) and all
    /// else goes to the ledger.
    ///
    /// # Errors
    /// `Config` for another value.
    pub fn of(table: &TableSpec) -> Result<Self> {
        let default = if table.connector() == "filesystem" { Self::Fail } else { Self::Ledger };
        let values = [("ledger", Self::Ledger), ("fail", Self::Fail), ("drop", Self::Drop)];
        table.options.one_of("bad-records", default, &values)
    }
}

/// One partition of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Topic, or file name.
    pub topic: String,
    /// Partition number in the topic; 0 for files.
    pub partition: i32,
    /// Place of the topic in the source: part of the order of ties.
    pub topic_index: usize,
}

/// The first offset to read of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// What the table's options say (first start). The connector resolves it to a number before the first row.
    Configured,
    /// This offset (restored).
    Offset(i64),
    /// The first there is (a partition found while running).
    Earliest,
}

/// A table opened for reading.
pub trait Source: Send {
    /// The partitions there are now, in a fixed order. Called at start and, if [`Source::discovers`], again
    /// while running.
    ///
    /// # Errors
    /// `Unavailable`, or `Config` if the topic or path is not there.
    fn splits(&mut self) -> BoxFuture<'_, Result<Vec<Split>>>;

    /// Whether the split still holds what was read of it, as the stored `position` knows it. Called before a split
    /// that was read is opened again, also if it was read to its end.
    ///
    /// # Errors
    /// `Data` that says what has changed: the topic is another one, a file was changed, records are gone.
    fn recognize<'a>(&'a mut self, _split: &'a Split, _position: &'a SourcePosition) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Starts reading a split.
    ///
    /// # Errors
    /// `Unavailable`; `Data` if the offset is gone.
    fn open<'a>(&'a mut self, split: &'a Split, start: StartAt) -> BoxFuture<'a, Result<Box<dyn SplitReader>>>;

    /// Time between two looks for new partitions; `None` if there can be none.
    fn discovers(&self) -> Option<std::time::Duration> {
        None
    }

    /// The epoch with these next offsets is durable: tell the system, for tools that show lag. Never read back.
    fn committed(&mut self, _positions: &[(Split, i64)]) {}
}

/// Reads one partition in order.
pub trait SplitReader: Send {
    /// Waits until there is something to say. Cancelling loses nothing. Not to ask is the back-pressure: what a
    /// connector fetches ahead is bounded (Kafka: `queued.max.messages.kbytes` per partition, then it stops fetching).
    ///
    /// # Errors
    /// `Unavailable` after retries; `Data` for a bad record under the policy `fail`, or lost offsets.
    fn next(&mut self) -> BoxFuture<'_, Result<Fetched>>;

    /// The first offset not returned yet; after opening, the resolved start.
    fn next_offset(&self) -> i64;

    /// What [`Source::recognize`] has to know at the next start of what was read before [`SplitReader::next_offset`].
    fn fingerprint(&self) -> Option<serde_json::Value> {
        None
    }

    /// Records known to be in the partition and not read yet, if known.
    fn lag(&self) -> Option<u64>;
}

/// What a reader has to say.
#[derive(Debug)]
pub enum Fetched {
    /// Rows and casualties, up to a new position.
    Rows(Box<SourceBatch>),
    /// Records are gone before they were read, and reading goes on behind them. Until this is returned, the reader's
    /// offset and fingerprint are those before the gap: a restart finds it again.
    Gap(Gap),
    /// Nothing more will ever come: the bound is reached.
    End,
}

/// Records of a partition that were never read, or not as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The next offset that was to be read.
    pub first: i64,
    /// Where reading goes on; before `first` if the log was cut or made anew.
    pub next: i64,
    /// Offsets between them, if that is the number of records at most.
    pub count: Option<u64>,
    /// Stable code.
    pub code: &'static str,
    /// What has happened.
    pub message: String,
}

/// What becomes of a partition whose next offset is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataLoss {
    /// It stops the job.
    Fail,
    /// What is missing goes to the ledger, and reading goes on behind it.
    Ledger,
}

impl DataLoss {
    /// What the option `scan.on-data-loss` of a table says; unless it is set, the job fails.
    ///
    /// # Errors
    /// `Config` for another value.
    pub fn of(table: &TableSpec) -> Result<Self> {
        table.options.one_of("scan.on-data-loss", Self::Fail, &[("fail", Self::Fail), ("ledger", Self::Ledger)])
    }
}

/// A stretch of a partition, decoded.
#[derive(Debug)]
pub struct SourceBatch {
    /// `[n]` rows of the table's `source_schema()`, in offset order.
    pub rows: RecordBatch,
    /// `[n]` offset of each row.
    pub offsets: Int64Array,
    /// `[n]` the record's own time stamp (ms) of each row, where the system has one.
    pub timestamps: Option<Int64Array>,
    /// Records that are no rows, with the reason.
    pub bad: Vec<BadRecord>,
    /// Records without a value.
    pub tombstones: u64,
    /// Records of the stretch, counted one by one as the connector takes them; a record that its decoder says holds
    /// n rows counts n, and a Parquet file what its reader gives, held against its footer. The row ledger holds
    /// this against `n + bad + tombstones`, so it must not be made of the batch.
    pub read: u64,
    /// The first offset after the stretch.
    pub next_offset: i64,
}

/// A record that could not be decoded, for the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// Its offset.
    pub offset: i64,
    /// Its own time stamp, ms.
    pub timestamp: Option<i64>,
    /// Stable code.
    pub code: &'static str,
    /// The field at fault.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
    /// Its bytes, cut at [`crate::limits::BAD_RECORD_BYTES_MAX`]; `None` under the policy `drop`, which only counts,
    /// and for a row of columns (Parquet), which has no bytes of its own.
    pub raw: Option<Vec<u8>>,
}

/// A table opened for writing. All calls come from one task, in order.
pub trait Sink: Send {
    /// Takes rows of the table's `sink_schema()` (no origin columns).
    ///
    /// # Errors
    /// `Unavailable` after retries; `Data` if a value has no form in the target.
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<()>>;

    /// The epoch's rows are all written: makes them safe (acknowledged, or on disk and invisible) and returns
    /// what must be known to make them visible and to go on after a crash. `last`: the job stops after it.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn prepare(&mut self, epoch: u64, last: bool) -> BoxFuture<'_, Result<SinkState>>;

    /// The manifest that holds the state of [`Sink::prepare`] is durable: makes rows visible. Idempotent.
    ///
    /// # Errors
    /// `Unavailable` after retries.
    fn commit(&mut self, epoch: u64) -> BoxFuture<'_, Result<()>>;

    /// Committed epochs that the system behind does not have yet.
    fn undelivered(&self) -> usize {
        0
    }

    /// Rows that the system behind will never take, told with the epoch that is being prepared: each is told once.
    fn rejected(&mut self) -> Vec<RejectedRow> {
        Vec::new()
    }

    /// First call after a restart: goes on from the state of the newest manifest, and first does again what
    /// its commit may have left undone. `None`: a first start.
    ///
    /// # Errors
    /// `State` if what the state names is gone.
    fn restore(&mut self, state: Option<SinkState>) -> BoxFuture<'_, Result<()>>;
}

/// A row that a sink's system refuses whatever is tried, for the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedRow {
    /// Epoch the row was written in.
    pub epoch: u64,
    /// Its place among the epoch's rows of the sink, from 0.
    pub row: u64,
    /// Stable code.
    pub code: String,
    /// The column at fault, if the system names it.
    pub column: Option<String>,
    /// What the system says.
    pub message: String,
    /// The row as JSON.
    pub json: String,
}

/// What a sink keeps in the manifest; small.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SinkState(pub serde_json::Value);

/// Says whether the job is still this process's: a sink asks before it claims what another process may have.
#[derive(Clone)]
pub struct Ownership {
    /// Rises by one with every process that takes the job over.
    pub fence: u64,
    /// Reads the newest manifest: is its fence still ours?
    pub confirm: Arc<dyn Fn() -> BoxFuture<'static, Result<bool>> + Send + Sync>,
}

impl std::fmt::Debug for Ownership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "fence {}", self.fence)
    }
}

/// A damaged epoch that was committed and is left out: its rows are made again. A sink that may have any of them
/// must refuse to be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// The epoch that is used.
    pub used: u64,
    /// The one that is damaged, newer.
    pub damaged: u64,
    /// Which file, and what is wrong with it.
    pub reason: String,
}

impl Fallback {
    /// The error of a sink, named `sink`, that has rows of the damaged epoch or cannot say.
    pub(crate) fn refused(&self, sink: &str, why: &str) -> Error {
        let Self { used, damaged, reason } = self;
        Error::state(format!(
            "epoch {damaged} is damaged ({reason}), and epoch {used} cannot be used instead: {sink} {why}"
        ))
        .detail("To go on from the earlier epoch would write rows of the damaged one a second time.")
        .hint("restore the file from a copy, or start over with --fresh, which reads everything again")
    }
}

/// What a job gives the connectors it opens.
#[derive(Debug, Clone, Default)]
pub struct JobContext {
    /// Name of the job: default consumer group `streamer-<name>`.
    pub pipeline: String,
    /// Sixteen hex digits, new with every fresh state: part of file names.
    pub instance: String,
    /// Whether the job is this process's; `None` for a job that keeps no state, which nobody can take over.
    pub ownership: Option<Ownership>,
    /// A damaged epoch that is left out if every sink allows it.
    pub fallback: Option<Fallback>,
    /// Where those wait who cannot write because the disk is full.
    pub hold: Hold,
    /// Where sinks keep rows that are committed and not delivered yet.
    pub outbox: PathBuf,
    /// `table.local-time-zone`.
    pub time_zone: String,
    /// Most rows of a batch; `None`: [`crate::limits::BATCH_ROWS_MAX`].
    pub batch_rows: Option<usize>,
    /// Address of the embedded cluster, if one was started.
    pub embedded_bootstrap: Option<String>,
    /// Offset of the first record of the embedded cluster per (topic, partition): it forgets at every stop,
    /// so offsets go on from the restored position.
    pub embedded_offsets: std::collections::BTreeMap<(String, i32), i64>,
}

impl JobContext {
    /// Most rows a source takes at a time.
    pub fn batch_rows(&self) -> usize {
        self.batch_rows.unwrap_or(BATCH_ROWS_MAX).clamp(1, BATCH_ROWS_MAX)
    }
}

/// Names of connectors, in the order of the reference.
pub const CONNECTORS: &[&str] = &["kafka", "filesystem", "jdbc", "postgres", "datagen", "print", "blackhole"];

/// All problems of a table's options for `usage`: unknown names, wrong values, missing ones. No I/O.
pub fn validate(table: &TableSpec, usage: Usage) -> Vec<Error> {
    match table.connector() {
        "kafka" => kafka::validate(table, usage),
        "filesystem" => filesystem::validate(table, usage),
        "jdbc" | "postgres" => postgres::validate(table, usage),
        "datagen" => datagen::validate(table, usage),
        "print" => print::validate(table, usage),
        "blackhole" => blackhole::validate(table, usage),
        "" => {
            let error = Error::config(format!("table \"{}\" lacks the option \"connector\"", table.name));
            let meant = table.options.keys().find(|key| crate::error::nearest(key, ["connector"]).is_some());
            vec![match meant {
                Some(key) => error.or_at(table.options.span(key)).hint(format!("write 'connector' for '{key}'")),
                None => error
                    .or_at(table.span)
                    .hint(format!("add 'connector' = '…' to WITH; supported: {}", CONNECTORS.join(", "))),
            }]
        }
        other => {
            let error = table.options.error("connector", format!("connector \"{other}\" is not supported"));
            vec![match crate::error::nearest(other, CONNECTORS.iter().copied()) {
                Some(near) => error.hint(format!("did you mean \"{near}\"?")),
                None => error.hint(format!("supported: {}", CONNECTORS.join(", "))),
            }]
        }
    }
}

/// All problems of a table's options that no use of it could do without: those of the use that has fewer.
pub fn validate_unused(table: &TableSpec) -> Vec<Error> {
    match table.connector() {
        "print" | "blackhole" | "jdbc" | "postgres" => validate(table, Usage::Sink),
        "datagen" => validate(table, Usage::Source),
        _ => {
            let (read, written) = (validate(table, Usage::Source), validate(table, Usage::Sink));
            if written.len() < read.len() { written } else { read }
        }
    }
}

/// Metadata columns a connector can deliver or take: (key, type as the script writes it, writable).
pub fn metadata(connector: &str) -> &'static [(&'static str, &'static str, bool)] {
    match connector {
        "kafka" => kafka::METADATA,
        "filesystem" => filesystem::METADATA,
        _ => &[],
    }
}

/// Whether reading the table ends by itself.
///
/// # Errors
/// `Config` for wrong options.
pub fn bounded(table: &TableSpec) -> Result<bool> {
    match table.connector() {
        "kafka" => kafka::bounded(table),
        "filesystem" => Ok(true),
        "datagen" => datagen::bounded(table),
        values::CONNECTOR => Ok(true),
        other => Err(Error::config(format!("connector \"{other}\" cannot be read"))),
    }
}

/// Opens a table for reading.
///
/// # Errors
/// `Config` for wrong options, `Unavailable` if the system does not answer.
pub fn open_source(table: &TableSpec, job: &JobContext) -> Result<Box<dyn Source>> {
    match table.connector() {
        "kafka" => Ok(Box::new(kafka::KafkaSource::open(table, job)?)),
        "filesystem" => Ok(Box::new(filesystem::FileSource::open(table, job)?)),
        "datagen" => Ok(Box::new(datagen::DatagenSource::open(table)?)),
        values::CONNECTOR => Ok(Box::new(values::ValuesSource::open(table)?)),
        other => Err(Error::config(format!("connector \"{other}\" cannot be read"))),
    }
}

/// Opens a table for writing; `sink` names it among the job's sinks, the same at every start.
///
/// # Errors
/// As [`open_source`].
pub fn open_sink(table: &TableSpec, sink: &str, job: &JobContext) -> Result<Box<dyn Sink>> {
    match table.connector() {
        "kafka" => kafka::open_sink(table, sink, job),
        "jdbc" | "postgres" => postgres::open_sink(table, sink, job),
        "filesystem" => Ok(Box::new(filesystem::FileSink::open(table, job)?)),
        "print" => Ok(Box::new(print::PrintSink::open(table)?)),
        "blackhole" => Ok(Box::new(blackhole::BlackholeSink::open(table)?)),
        other => Err(Error::config(format!("connector \"{other}\" cannot be written"))),
    }
}
