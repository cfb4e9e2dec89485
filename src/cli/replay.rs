//! `streamer ledger replay`: rows of the ledger go to a topic once more, as the records they were.
//!
//! A record is sent once, however many rows of the ledger are about it. What cannot be had is counted by its reason;
//! nothing is made up in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMillisecondType};
use futures::StreamExt;

use crate::cli::script::{StateLayout, load};
use crate::cli::status::thousands;
use crate::cli::{Failure, ScriptArguments, runtime, show, tables};
use crate::connectors::kafka::{Fetcher, Producer, Record, StoredRecord};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::BAD_RECORD_BYTES_MAX;
use crate::table::TableSpec;

/// Arguments of `ledger`.
#[derive(Debug, clap::Args)]
pub(super) struct LedgerArguments {
    #[command(subcommand)]
    verb: LedgerVerb,
}

#[derive(Debug, clap::Subcommand)]
enum LedgerVerb {
    /// Write the records of ledger rows to a topic, with headers that say where they came from.
    Replay(ReplayArguments),
}

/// Arguments of `ledger replay`.
#[derive(Debug, clap::Args)]
struct ReplayArguments {
    /// The table of the ledger.
    #[arg(value_enum)]
    ledger: Table,
    /// The script whose job has the ledger.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// The topic to write to, at the brokers of the table the rows came from.
    #[arg(long, value_name = "TOPIC")]
    to: String,
    /// Which rows: a condition over the columns of the ledger [default: all].
    #[arg(long = "where", value_name = "SQL", default_value = "TRUE")]
    condition: String,
    /// Where the job keeps its state and ledger [default: data/state/<script>].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// A variable of the script, before the environment's; may be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    variables: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Table {
    Late,
    Bad,
    Future,
    Gap,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Bad => "bad",
            Self::Future => "future",
            Self::Gap => "gap",
        }
    }
}

/// What a gap stands for is gone by its nature.
const NEVER_READ: &str = "gone before they were read";
/// The topic was made anew, or cut and filled again.
const ANOTHER: &str = "another record stands at the offset now";
/// A row that a sink refused, whose form as JSON was not possible.
const NO_FORM: &str = "a sink's row without a form as JSON";

/// Runs a verb about the ledger.
pub(super) fn ledger(arguments: &LedgerArguments) -> Result<u8, Failure> {
    let LedgerVerb::Replay(arguments) = &arguments.verb;
    let loaded = load(&ScriptArguments { file: arguments.file.clone(), variables: arguments.variables.clone() })?;
    let layout = StateLayout::new(arguments.state.as_deref(), &loaded.name, 0, 1);
    let session = tables::open(&loaded.script, &layout)?;
    let name = arguments.ledger.name();
    let records = if arguments.ledger == Table::Gap { ", `records`" } else { ", CAST(NULL AS BIGINT) AS `records`" };
    let query = format!(
        "SELECT `source`, `topic`, `partition`, `offset`, `record_time`, `reason`, `raw`{records} FROM ledger.{name} WHERE ({}\n)",
        arguments.condition
    );
    let at_condition = |error| Failure { error, script: Some(("--where".to_owned(), query.clone())) };
    let frame = session.query(&query).map_err(at_condition)?;
    let sources: BTreeMap<String, TableSpec> = loaded
        .script
        .jobs
        .iter()
        .flat_map(|job| job.plan.sources())
        .map(|(_, source)| (source.table.name.clone(), source.table.as_ref().clone()))
        .collect();
    let runtime = runtime()?;
    let report = runtime.block_on(async {
        let mut replay = Replay {
            to: &arguments.to,
            ledger: name,
            sources,
            open: BTreeMap::new(),
            seen: BTreeSet::new(),
            report: Report::default(),
        };
        let mut rows = frame.execute_stream().await.map_err(Error::from)?;
        while let Some(batch) = rows.next().await {
            replay.batch(&batch.map_err(Error::from)?).await?;
        }
        replay.finish().await
    })?;
    show::error_line(&report.text(name, &arguments.to));
    Ok(0)
}

/// A record that rows of the ledger are about.
type Origin = (String, String, i32, i64);

/// What has become of rows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    sent: u64,
    again: u64,
    missing: BTreeMap<&'static str, u64>,
}

impl Report {
    fn miss(&mut self, reason: &'static str, count: u64) {
        let all = self.missing.entry(reason).or_default();
        *all = all.saturating_add(count);
    }

    fn text(&self, ledger: &str, to: &str) -> String {
        let mut text = format!("{} records of ledger.{ledger} written to {to}", thousands(self.sent));
        if self.again > 0 {
            text += &format!(" · {} further rows are about the same records", thousands(self.again));
        }
        for (reason, count) in &self.missing {
            text += &format!("\n  {} could not be had: {reason}", thousands(*count));
        }
        text
    }
}

/// The brokers of one table.
struct Open {
    fetcher: Fetcher,
    producer: Producer,
}

struct Replay<'a> {
    to: &'a str,
    ledger: &'static str,
    sources: BTreeMap<String, TableSpec>,
    open: BTreeMap<String, Open>,
    seen: BTreeSet<Origin>,
    report: Report,
}

/// A row of the ledger.
struct Row {
    origin: Origin,
    record_time: Option<i64>,
    reason: String,
    raw: Option<Vec<u8>>,
}

impl Replay<'_> {
    async fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut wanted: BTreeMap<(String, String, i32), BTreeMap<i64, Row>> = BTreeMap::new();
        for (row, records) in rows(batch)? {
            if self.ledger == Table::Gap.name() {
                self.report.miss(NEVER_READ, records.unwrap_or(1));
                continue;
            }
            if !self.seen.insert(row.origin.clone()) {
                self.report.again += 1;
                continue;
            }
            let whole = row.raw.as_ref().filter(|raw| raw.len() < BAD_RECORD_BYTES_MAX);
            match whole {
                Some(raw) if !raw.is_empty() || !row.origin.1.starts_with("epoch ") => {
                    let record = StoredRecord {
                        key: None,
                        value: Some(raw.clone()),
                        timestamp: row.record_time,
                        headers: Vec::new(),
                    };
                    self.send(&row, record).await?;
                }
                Some(_) => self.report.miss(NO_FORM, 1),
                None => {
                    let (source, topic, partition, offset) = row.origin.clone();
                    wanted.entry((source, topic, partition)).or_default().insert(offset, row);
                }
            }
        }
        for ((source, topic, partition), rows) in wanted {
            let offsets: BTreeSet<i64> = rows.keys().copied().collect();
            let found = self.brokers(&source)?.fetcher.records(&topic, partition, &offsets).await?;
            for (offset, looked_up) in found {
                let Some(row) = rows.get(&offset) else { continue };
                match looked_up {
                    Ok(record) if differ(row.record_time, record.timestamp) => self.report.miss(ANOTHER, 1),
                    Ok(record) => self.send(row, record).await?,
                    Err(reason) => self.report.miss(reason, 1),
                }
            }
        }
        Ok(())
    }

    async fn send(&mut self, row: &Row, record: StoredRecord) -> Result<()> {
        let (source, topic, partition, offset) = &row.origin;
        let (partition, offset) = (partition.to_string(), offset.to_string());
        let own = [
            ("streamer.ledger", self.ledger),
            ("streamer.source", source),
            ("streamer.topic", topic),
            ("streamer.partition", &partition),
            ("streamer.offset", &offset),
            ("streamer.reason", &row.reason),
        ];
        let before = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        let headers: Vec<(&str, Option<&[u8]>)> =
            before.chain(own.iter().map(|(name, value)| (*name, Some(value.as_bytes())))).collect();
        let to = self.to;
        let producer = &self.brokers(source)?.producer;
        let sent = Record {
            topic: to,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            timestamp: record.timestamp,
            headers: &headers,
            ..Record::default()
        };
        producer.send(sent).await?;
        self.report.sent += 1;
        Ok(())
    }

    fn brokers(&mut self, source: &str) -> Result<&Open> {
        if !self.open.contains_key(source) {
            let table = self.sources.get(source).filter(|table| table.connector() == "kafka").or_else(|| {
                // a row that a sink refused names the sink: its bytes are here, any brokers of the script will do
                self.sources.values().find(|table| table.connector() == "kafka")
            });
            let table = table.ok_or_else(|| {
                Error::config(format!("the script reads no Kafka table \"{source}\", whose rows are in the ledger"))
                    .hint("give the script that the job ran with")
            })?;
            let fetcher = Fetcher::open(table)?;
            let producer = fetcher.producer()?;
            self.open.insert(source.to_owned(), Open { fetcher, producer });
        }
        self.open.get(source).ok_or_else(|| Error::internal("brokers that were opened are gone"))
    }

    /// Waits until every record is acknowledged.
    async fn finish(self) -> Result<Report> {
        for open in self.open.values() {
            open.producer.flush().await?;
            if let Some(failure) = open.producer.failure() {
                return Err(
                    failure.detail("Some records of the ledger were written, not all: they would be written again.")
                );
            }
        }
        Ok(self.report)
    }
}

/// Both are known, and not the same.
fn differ(kept: Option<i64>, found: Option<i64>) -> bool {
    matches!((kept, found), (Some(kept), Some(found)) if kept != found)
}

/// The rows of a batch, and how many records a gap has.
fn rows(batch: &RecordBatch) -> Result<Vec<(Row, Option<u64>)>> {
    let odd = || Error::new(ErrorKind::State, "the ledger has other columns than this streamer writes");
    let text = |name: &str| {
        let column = batch.column_by_name(name).ok_or_else(odd)?;
        Ok::<_, Error>(arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8)?)
    };
    let (sources, topics, reasons) = (text("source")?, text("topic")?, text("reason")?);
    let column = |name: &str| batch.column_by_name(name).ok_or_else(odd);
    let partitions = column("partition")?.as_primitive_opt::<Int32Type>().ok_or_else(odd)?;
    let offsets = column("offset")?.as_primitive_opt::<Int64Type>().ok_or_else(odd)?;
    let times = column("record_time")?.as_primitive_opt::<TimestampMillisecondType>().ok_or_else(odd)?;
    let records = column("records")?.as_primitive_opt::<Int64Type>().ok_or_else(odd)?;
    let raw = arrow::compute::cast(column("raw")?, &arrow::datatypes::DataType::Binary)?;
    let (sources, topics, reasons) =
        (sources.as_string::<i32>(), topics.as_string::<i32>(), reasons.as_string::<i32>());
    let raw = raw.as_binary::<i32>();
    let row = |at: usize| {
        let origin =
            (sources.value(at).to_owned(), topics.value(at).to_owned(), partitions.value(at), offsets.value(at));
        let row = Row {
            origin,
            record_time: times.is_valid(at).then(|| times.value(at)),
            reason: reasons.value(at).to_owned(),
            raw: raw.is_valid(at).then(|| raw.value(at).to_vec()),
        };
        (row, records.is_valid(at).then(|| records.value(at).unsigned_abs()))
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_tells_every_reason() {
        let mut report = Report { sent: 1_200, again: 2, ..Report::default() };
        report.miss(ANOTHER, 1);
        report.miss(ANOTHER, 2);
        report.miss(NEVER_READ, u64::MAX);
        report.miss(NEVER_READ, 1);
        let text = report.text("late", "again");
        assert!(text.starts_with("1,200 records of ledger.late written to again · 2 further rows"), "{text}");
        assert!(text.contains("3 could not be had: another record"), "{text}");
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn a_record_of_another_time_is_another_record() {
        assert!(differ(Some(1), Some(2)));
        assert!(!differ(Some(1), Some(1)) && !differ(None, Some(1)) && !differ(Some(1), None));
    }
}
