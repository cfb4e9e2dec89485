//! The ledger: rows that are in no result, with the reason. Four tables of Parquet files next to the
//! checkpoints, committed with the epoch like any sink, read by `streamer sql` as `ledger.late`,
//! `ledger.bad`, `ledger.future` and `ledger.gap`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, TimeUnit};

use crate::connectors::{self, BadRecord, Gap, JobContext, RejectedRow, Sink, SinkState};
use crate::error::{Error, Result};
use crate::operators::watermark::Casualty;
use crate::stream::{LateRow, RowCounts, SourcePosition};
use crate::table::{ColumnKind, ColumnSpec, OptionValue, Options, TableSpec};

/// Which table of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LedgerKind {
    /// Behind the watermark, and no window could take it.
    Late,
    /// No row could be made of it.
    Bad,
    /// Too far ahead of the record's own time stamp.
    Future,
    /// Gone before it was read: a row for a stretch of offsets.
    Gap,
}

/// All kinds, in the order they are written.
pub const LEDGER_KINDS: [LedgerKind; 4] = [LedgerKind::Late, LedgerKind::Bad, LedgerKind::Future, LedgerKind::Gap];

impl LedgerKind {
    /// Name of the table: `late`, `bad`, `future`, `gap`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Bad => "bad",
            Self::Future => "future",
            Self::Gap => "gap",
        }
    }
}

/// One row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LedgerEntry {
    kind: LedgerKind,
    table: String,
    topic: String,
    partition: i32,
    offset: i64,
    record_time: Option<i64>,
    event_time: Option<i64>,
    watermark: Option<i64>,
    reason: String,
    field: Option<String>,
    message: String,
    raw: Option<Vec<u8>>,
    /// Of a gap: where reading goes on, and how many records are missing.
    next_offset: Option<i64>,
    records: Option<i64>,
}

impl LedgerEntry {
    /// A record that was no row.
    pub(crate) fn of_bad_record(position: &SourcePosition, bad: BadRecord) -> Self {
        Self {
            record_time: bad.timestamp,
            reason: bad.code.into(),
            field: bad.field,
            message: bad.message,
            raw: bad.raw,
            ..Self::at(position, LedgerKind::Bad, bad.offset)
        }
    }

    /// A row that the system behind a sink refuses: `topic` names the epoch, `offset` its place in it.
    pub(crate) fn of_rejected_row(table: &str, row: RejectedRow) -> Self {
        Self {
            kind: LedgerKind::Bad,
            table: table.to_owned(),
            topic: format!("epoch {}", row.epoch),
            partition: 0,
            offset: i64::try_from(row.row).unwrap_or(i64::MAX),
            record_time: None,
            event_time: None,
            watermark: None,
            reason: row.code,
            field: row.column,
            message: row.message,
            raw: Some(row.json.into_bytes()),
            next_offset: None,
            records: None,
        }
    }

    /// A row taken out where event time is given. Its bytes are gone by then: topic, partition and offset lead to them.
    pub(crate) fn of_casualty(position: &SourcePosition, kind: LedgerKind, casualty: Casualty) -> Self {
        Self {
            record_time: casualty.record_time,
            event_time: casualty.event_time,
            watermark: Some(casualty.watermark),
            reason: casualty.code.into(),
            field: casualty.field,
            message: casualty.message,
            ..Self::at(position, kind, casualty.offset)
        }
    }

    /// A row that came too late for `operators`; `reason` says whether it is the first news of it.
    pub(crate) fn of_late(position: &SourcePosition, row: &LateRow, operators: &str, reason: &str) -> Self {
        Self {
            event_time: Some(row.event_time),
            watermark: Some(row.watermark),
            reason: reason.into(),
            message: format!(
                "{} ms behind the watermark of its partition, too late for {operators}",
                row.watermark.saturating_sub(row.event_time)
            ),
            ..Self::at(position, LedgerKind::Late, row.offset)
        }
    }

    /// Records that are gone.
    pub(crate) fn of_gap(position: &SourcePosition, gap: Gap) -> Self {
        Self {
            watermark: Some(position.watermark),
            reason: gap.code.into(),
            message: gap.message,
            next_offset: Some(gap.next),
            records: gap.count.map(|count| i64::try_from(count).unwrap_or(i64::MAX)),
            ..Self::at(position, LedgerKind::Gap, gap.first)
        }
    }

    /// The column at fault, and the record's own time stamp.
    #[cfg(test)]
    pub(crate) fn fault(&self) -> (Option<&str>, Option<i64>) {
        (self.field.as_deref(), self.record_time)
    }

    fn at(position: &SourcePosition, kind: LedgerKind, offset: i64) -> Self {
        Self {
            kind,
            table: position.table.clone(),
            topic: position.topic.clone(),
            partition: position.partition,
            offset,
            record_time: None,
            event_time: None,
            watermark: None,
            reason: String::new(),
            field: None,
            message: String::new(),
            raw: None,
            next_offset: None,
            records: None,
        }
    }
}

/// Insists that what became of the rows of a partition adds up to what the connector has counted as read.
///
/// # Errors
/// `Internal` with all counts.
pub(crate) fn check_balance(position: &SourcePosition) -> Result<()> {
    let SourcePosition { topic, partition, next_offset, counts, .. } = position;
    if counts.balanced() {
        return Ok(());
    }
    let RowCounts { read, processed, late, bad, future, tombstones } = counts;
    Err(Error::internal(format!(
        "rows of \"{topic}\" partition {partition} up to offset {next_offset} are unaccounted for: {read} were read, \
         but {processed} processed + {late} late + {bad} bad + {future} future + {tombstones} tombstones"
    )))
}

/// The three tables, for writing. A table is opened at its first entry: a job that loses no row leaves no files.
pub(crate) struct Ledger {
    directory: PathBuf,
    job: JobContext,
    open: BTreeMap<LedgerKind, Box<dyn Sink>>,
}

impl Ledger {
    /// The tables below `directory`, going on from the states of the newest manifest.
    pub(crate) async fn restore(
        directory: &Path,
        job: &JobContext,
        states: &BTreeMap<String, serde_json::Value>,
    ) -> Result<Self> {
        let mut ledger = Self { directory: directory.to_owned(), job: job.clone(), open: BTreeMap::new() };
        for kind in LEDGER_KINDS {
            match states.get(&key(kind)) {
                Some(state) => ledger.open(kind, Some(SinkState(state.clone()))).await?,
                // a damaged epoch may have been its first: the table itself says
                None if job.fallback.is_some() && directory.join(kind.name()).exists() => {
                    ledger.open(kind, None).await?
                }
                None => {}
            }
        }
        Ok(ledger)
    }

    async fn open(&mut self, kind: LedgerKind, state: Option<SinkState>) -> Result<()> {
        let mut sink = connectors::open_sink(&table(&self.directory, kind), &key(kind), &self.job)?;
        sink.restore(state).await?;
        self.open.insert(kind, sink);
        Ok(())
    }

    /// Writes an epoch's entries and makes them safe; returns the states for the manifest.
    pub(crate) async fn prepare(
        &mut self,
        epoch: u64,
        last: bool,
        entries: &[LedgerEntry],
    ) -> Result<Vec<(String, SinkState)>> {
        let mut states = Vec::new();
        for kind in LEDGER_KINDS {
            let own: Vec<&LedgerEntry> = entries.iter().filter(|e| e.kind == kind).collect();
            if !own.is_empty() && !self.open.contains_key(&kind) {
                self.open(kind, None).await?;
            }
            let Some(sink) = self.open.get_mut(&kind) else { continue };
            if !own.is_empty() {
                sink.write(rows(kind, &own)?).await?;
            }
            states.push((key(kind), sink.prepare(epoch, last).await?));
        }
        Ok(states)
    }

    /// Makes an epoch's entries visible.
    pub(crate) async fn commit(&mut self, epoch: u64) -> Result<()> {
        for sink in self.open.values_mut() {
            sink.commit(epoch).await?;
        }
        Ok(())
    }
}

/// Forgets the tables of a ledger's directory (`--fresh`): their rows belong to the epochs that are forgotten.
///
/// # Errors
/// `Unavailable` if they cannot be removed.
pub fn clear(directory: &Path) -> Result<()> {
    for kind in LEDGER_KINDS {
        match std::fs::remove_dir_all(directory.join(kind.name())) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

fn key(kind: LedgerKind) -> String {
    format!("ledger.{}", kind.name())
}

/// The table of one kind below the ledger's directory.
pub fn table(directory: &Path, kind: LedgerKind) -> TableSpec {
    let time = || DataType::Timestamp(TimeUnit::Millisecond, None);
    let mut columns = vec![
        ("source", DataType::Utf8, "STRING", false),
        ("topic", DataType::Utf8, "STRING", false),
        ("partition", DataType::Int32, "INT", false),
        ("offset", DataType::Int64, "BIGINT", false),
        ("record_time", time(), "TIMESTAMP(3)", true),
        ("event_time", time(), "TIMESTAMP(3)", true),
        ("watermark", time(), "TIMESTAMP(3)", true),
        ("reason", DataType::Utf8, "STRING", false),
        ("field", DataType::Utf8, "STRING", true),
        ("message", DataType::Utf8, "STRING", false),
        ("raw", DataType::Binary, "BYTES", true),
    ];
    if kind == LedgerKind::Gap {
        columns
            .extend([("next_offset", DataType::Int64, "BIGINT", true), ("records", DataType::Int64, "BIGINT", true)]);
    }
    let options = [
        ("connector", "filesystem".to_owned()),
        ("path", directory.join(kind.name()).to_string_lossy().into_owned()),
        ("format", "parquet".to_owned()),
        ("sink.rolling-policy.rollover-interval", "10 s".to_owned()),
    ];
    TableSpec {
        name: kind.name().to_owned(),
        columns: columns
            .into_iter()
            .map(|(name, data_type, sql_type, nullable)| ColumnSpec {
                name: name.to_owned(),
                data_type,
                sql_type: sql_type.to_owned(),
                nullable,
                kind: ColumnKind::Physical,
            })
            .collect(),
        primary_key: Vec::new(),
        partitioned_by: Vec::new(),
        options: Options(
            options.into_iter().map(|(k, value)| (k.to_owned(), OptionValue { value, span: None })).collect(),
        ),
        span: None,
    }
}

fn rows(kind: LedgerKind, entries: &[&LedgerEntry]) -> Result<RecordBatch> {
    let text = |of: fn(&LedgerEntry) -> Option<&str>| -> ArrayRef {
        Arc::new(entries.iter().map(|e| of(e)).collect::<StringArray>())
    };
    // A watermark before the first row has no calendar time.
    let time = |of: fn(&LedgerEntry) -> Option<i64>| -> ArrayRef {
        Arc::new(
            entries
                .iter()
                .map(|e| of(e).filter(|ms| *ms > i64::MIN && *ms < i64::MAX))
                .collect::<TimestampMillisecondArray>(),
        )
    };
    let mut raw = BinaryBuilder::new();
    entries.iter().for_each(|e| raw.append_option(e.raw.as_deref()));
    let schema = table(Path::new(""), kind).sink_schema();
    let number = |of: fn(&LedgerEntry) -> Option<i64>| -> ArrayRef {
        Arc::new(entries.iter().map(|e| of(e)).collect::<Int64Array>())
    };
    let mut columns: Vec<ArrayRef> = vec![
        text(|e| Some(&e.table)),
        text(|e| Some(&e.topic)),
        Arc::new(Int32Array::from_iter_values(entries.iter().map(|e| e.partition))),
        Arc::new(Int64Array::from_iter_values(entries.iter().map(|e| e.offset))),
        time(|e| e.record_time),
        time(|e| e.event_time),
        time(|e| e.watermark),
        text(|e| Some(&e.reason)),
        text(|e| e.field.as_deref()),
        text(|e| Some(&e.message)),
        Arc::new(raw.finish()),
    ];
    if kind == LedgerKind::Gap {
        columns.extend([number(|e| e.next_offset), number(|e| e.records)]);
    }
    Ok(RecordBatch::try_new(schema, columns)?)
}
