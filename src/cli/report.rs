//! What a person reads before and after a job: the start banner, and the summary with the row ledger.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::cli::embedded::{Embedded, embedded};
use crate::cli::script::{LoadedScript, StateLayout};
use crate::cli::status::{clock_time, ledger_table, thousands};
use crate::connectors::{BadRecords, Fallback, filesystem};
use crate::metrics::Metrics;
use crate::plan::StreamPlan;
use crate::runtime::{COLLECT, Opened, Outcome, Summary};
use crate::server::Server;
use crate::sql::{Job, JobKind};
use crate::stream::{RowCounts, SourcePosition};
use crate::table::TableSpec;

/// How a job has ended that can go on.
pub(super) const STOPPED: &str = "stopped";
/// The last line of a banner.
pub(super) const HOW_TO_STOP: &str =
    "  stop        Ctrl-C ends the epoch, commits and tells where the rows are; a second one leaves at once";

/// The first lines of a banner: what is true for all jobs.
pub(super) fn head(loaded: &LoadedScript, embedded: Option<&Embedded>) -> String {
    let cluster = embedded.map(Embedded::banner).unwrap_or_default();
    format!("streamer {} · {}\n{cluster}", env!("CARGO_PKG_VERSION"), loaded.path)
}

/// What a job is called where there are several.
pub(super) fn title(place: usize, job: &Job) -> String {
    let what = match &job.kind {
        JobKind::Select { .. } => "SELECT".to_owned(),
        JobKind::Insert | JobKind::StatementSet => {
            let tables: Vec<&str> = sinks(&job.plan).into_iter().map(|table| table.name.as_str()).collect();
            format!("INSERT INTO {}", tables.join(", "))
        }
    };
    format!("job {} · {what} · line {}", place + 1, job.span.line)
}

/// A job that is about to run.
pub(super) struct Start<'a> {
    pub(super) plan: &'a StreamPlan,
    pub(super) layout: &'a StateLayout,
    pub(super) opened: &'a Opened,
    pub(super) keeps_state: bool,
    pub(super) server: Option<&'a Server>,
    /// Jobs of the script that run before it: their files are no earlier run's.
    pub(super) jobs_before: &'a [Job],
}

impl Start<'_> {
    /// Lines of the banner: where rows come from and go to.
    pub(super) fn lines(&self) -> String {
        let mut text = String::new();
        for (_, source) in self.plan.sources() {
            let table = &source.table;
            let mut starts = String::new();
            for p in self.opened.partitions.iter().filter(|p| p.table == table.name) {
                starts += &format!(" {}:{}", p.partition, p.next_offset);
            }
            text += &format!("  source      {} ← {} · partition:offset{starts}\n", table.name, place(table));
        }
        for table in sinks(self.plan) {
            text += &format!("  sink        {} → {}\n", table.name, place(table));
        }
        text += &format!("  state       {}\n", self.state());
        text += &self.earlier_files();
        if let Some(server) = self.server {
            text += &format!("  metrics     http://{}/metrics\n", server.address);
        }
        text
    }

    fn state(&self) -> String {
        let root = self.layout.root.display();
        match self.opened.restored {
            _ if !self.keeps_state => {
                "none: the input is bounded, every run starts anew (--state DIR keeps it)".to_owned()
            }
            Some((epoch, at)) => {
                let doubt = match self.opened.undelivered {
                    0 => String::new(),
                    1 => " · its last delivery was in doubt: the sink's marker lacks it, it follows now".to_owned(),
                    n => format!(" · {n} epochs were in doubt: the sinks' markers lack them, they follow now"),
                };
                let damaged = self.opened.fallback.as_ref().map_or_else(String::new, |left_out| {
                    let Fallback { damaged, used, reason } = left_out;
                    format!("\n  note        epoch {damaged} is damaged ({reason}), epoch {used} is used: no sink has anything of epoch {damaged}")
                });
                format!("{root} · epoch {epoch} of {} UTC restored{doubt}{damaged}", clock_time(at))
            }
            None => format!("{root} · new"),
        }
    }

    /// A job that starts anew appends to the files of earlier runs, as in Flink: said before it happens.
    fn earlier_files(&self) -> String {
        if self.opened.restored.is_some() {
            return String::new();
        }
        let mut text = String::new();
        for table in sinks(self.plan).into_iter().filter(|table| table.connector() == "filesystem") {
            if self.jobs_before.iter().any(|job| job.plan.sinks().any(|(_, sink)| sink.table.name == table.name)) {
                continue;
            }
            let count = filesystem::visible_files(table).map_or(0, |files| files.len());
            if count > 0 {
                let (path, files) = (option(table, "path"), if count == 1 { "file" } else { "files" });
                text += &format!(
                    "  note        {path} holds {count} {files} of earlier runs, and this run adds to them: remove \
                     them first if its rows must not be there twice\n"
                );
            }
        }
        text
    }
}

/// A job whose state says that there is nothing left to read.
pub(super) fn nothing_left(loaded: &LoadedScript, plan: &StreamPlan, layout: &StateLayout, opened: &Opened) -> String {
    let epoch = opened.restored.map_or(0, |(epoch, _)| epoch);
    let mut text =
        format!("nothing left to do: epoch {epoch} of {} has read every input to its end\n", layout.root.display());
    text += &whereabouts(loaded, plan, None);
    text + "  --fresh reads everything again, and adds to the output that is there"
}

/// What a job has done.
pub(super) fn summary(
    summary: &Summary,
    loaded: &LoadedScript,
    plan: &StreamPlan,
    layout: &StateLayout,
    metrics: &Metrics,
) -> String {
    let how = match summary.outcome {
        Outcome::Finished => "finished: every input has ended",
        Outcome::Stopped | Outcome::PartitionsAdded => STOPPED,
    };
    let mut text = format!("{how} · epoch {} committed\n", summary.epoch);
    text.push_str(&ledger_table(summary.partitions.iter().map(|p| (p.topic.as_str(), p.partition, p.counts))));
    text += &whereabouts(loaded, plan, Some(metrics));
    let (ledgers, dropped) = outside(summary, plan);
    for (_, name) in ledgers {
        text += &format!("  {name} rows:  {}\n", ledger_query(loaded, layout, name));
    }
    for table in dropped {
        text += &format!("  bad rows of {table} were counted and dropped: 'bad-records' = 'drop'\n");
    }
    text.trim_end().to_owned()
}

/// What a final SELECT that ended without a summary did not return: `note: 3 rows are late and not in the result: …`.
pub(super) fn not_in_the_result(
    summary: &Summary,
    loaded: &LoadedScript,
    plan: &StreamPlan,
    layout: &StateLayout,
) -> Vec<String> {
    let (ledgers, dropped) = outside(summary, plan);
    let kept = ledgers.into_iter().map(|(count, name)| {
        let rows = if count == 1 { "1 row is".to_owned() } else { format!("{count} rows are") };
        format!("note: {rows} {name} and not in the result: {}", ledger_query(loaded, layout, name))
    });
    let dropped =
        dropped.into_iter().map(|table| format!("note: bad rows of {table} were dropped: 'bad-records' = 'drop'"));
    kept.chain(dropped).collect()
}

/// The ledgers that got rows in this job, and how many; and the tables whose bad rows are in none.
fn outside<'a>(summary: &Summary, plan: &'a StreamPlan) -> (Vec<(u64, &'static str)>, BTreeSet<&'a str>) {
    let (kept, dropped) = casualties(&summary.partitions, plan);
    let ledgers = [(kept.late, "late"), (kept.bad, "bad"), (kept.future, "future")];
    (ledgers.into_iter().filter(|(count, _)| *count > 0).collect(), dropped)
}

pub(super) fn ledger_query(loaded: &LoadedScript, layout: &StateLayout, name: &str) -> String {
    let state = state_argument(loaded, &layout.root);
    let (path, settings) = (&loaded.path, &loaded.settings);
    format!("streamer sql -f {path}{settings}{state} -c 'SELECT * FROM ledger.{name} LIMIT 10'")
}

/// The rows that are in the ledger, and the tables whose bad rows are not, by their policy.
fn casualties<'a>(partitions: &[SourcePosition], plan: &'a StreamPlan) -> (RowCounts, BTreeSet<&'a str>) {
    let drops = |table: &TableSpec| matches!(BadRecords::of(table), Ok(BadRecords::Drop));
    let dropping: BTreeSet<&str> =
        plan.sources().filter(|(_, s)| drops(&s.table)).map(|(_, s)| s.table.name.as_str()).collect();
    let (mut kept, mut dropped) = (RowCounts::default(), BTreeSet::new());
    for partition in partitions {
        let mut counts = partition.counts;
        if let Some(table) = dropping.get(partition.table.as_str()).filter(|_| counts.bad > 0) {
            dropped.insert(*table);
            counts.bad = 0;
        }
        kept += counts;
    }
    (kept, dropped)
}

/// `--state DIR`, where `streamer sql` would look elsewhere.
fn state_argument(loaded: &LoadedScript, root: &Path) -> String {
    let usual = StateLayout::new(None, &loaded.name, 0, 1);
    if usual.root == root { String::new() } else { format!(" --state {}", root.display()) }
}

/// The tables that a plan writes, each once, however many INSERTs write it.
fn sinks(plan: &StreamPlan) -> Vec<&TableSpec> {
    let mut seen = BTreeSet::new();
    plan.sinks().map(|(_, sink)| sink.table.as_ref()).filter(|table| seen.insert(table.name.as_str())).collect()
}

/// Where the rows of each sink are, how many this run wrote, and the line that reads them; without `metrics` those of
/// an earlier run.
fn whereabouts(loaded: &LoadedScript, plan: &StreamPlan, metrics: Option<&Metrics>) -> String {
    let mut text = String::new();
    let earlier = metrics.is_none();
    for table in sinks(plan) {
        let count = metrics.map(|metrics| metrics.sink(&table.name).rows.load(Ordering::Relaxed));
        let count = count.map_or_else(String::new, |rows| format!(" ({})", thousands(rows)));
        let name = format!("{}{count}", table.name);
        text += &match table.connector() {
            COLLECT => continue,
            "print" | "blackhole" if earlier => continue,
            "kafka" if earlier && embedded(table) => continue,
            "print" => format!("  rows of {name} were printed\n"),
            "blackhole" => format!("  rows of {name} were counted and dropped (blackhole)\n"),
            "kafka" if embedded(table) => {
                format!(
                    "  rows of {name} were in {} of the embedded cluster, which is gone with this run\n",
                    place(table)
                )
            }
            _ => format!("  rows of {name} are in {}\n", place(table)),
        };
    }
    let readable = sinks(plan).into_iter().find(|table| table.connector() == "filesystem");
    if let Some(table) = readable {
        let (path, settings, name) = (&loaded.path, &loaded.settings, &table.name);
        text += &format!("  read them:  streamer sql -f {path}{settings} -c 'SELECT * FROM {name} LIMIT 10'\n");
    }
    text
}

fn option(table: &TableSpec, key: &str) -> String {
    table.options.get(key).unwrap_or("?").to_owned()
}

/// Where a table's rows are, in a few words without secrets.
fn place(table: &TableSpec) -> String {
    match table.connector() {
        "kafka" => format!(
            "kafka topic {}",
            table.options.get("topic").or_else(|| table.options.get("topic-pattern")).unwrap_or("?")
        ),
        "filesystem" => format!("{} ({})", option(table, "path"), option(table, "format")),
        "jdbc" | "postgres" => crate::connectors::postgres::place(table),
        COLLECT => "standard output".to_owned(),
        other => other.to_owned(),
    }
}
