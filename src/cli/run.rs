//! `streamer run`: plan the script, start what it needs, show what happens, stop cleanly.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::RecordBatch;
use tokio::sync::mpsc;

use crate::cli::embedded::{Embedded, SimulatorArguments};
use crate::cli::script::{LoadedScript, StateLayout, load};
use crate::cli::show::{self, AlertLines, Format, ResultWriter, Stream};
use crate::cli::signals::Stop;
use crate::cli::status::{Status, clock_time, ledger_table};
use crate::cli::{Failure, OUTPUT_CLOSED, ScriptArguments, runtime};
use crate::connectors::{self, JobContext};
use crate::error::{Error, Result};
use crate::limits::PARALLELISM_MAX;
use crate::metrics::Metrics;
use crate::plan::StreamPlan;
use crate::runtime::{Opened, Outcome, Pipeline, PipelineOptions, Summary, checkpoint, ledger};
use crate::server::{self, Server};
use crate::sql::{Job, JobKind};
use crate::table::TableSpec;
use crate::time::{Clock, parse_duration, system_clock};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(super) struct RunArguments {
    #[command(flatten)]
    script: ScriptArguments,
    /// Stop after this time, as Ctrl-C would: "30s", "5 min".
    #[arg(long, value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Stop after so many records have been read.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rows: Option<u64>,
    /// Stop when every record there is has been read.
    #[arg(long)]
    drain: bool,
    /// Where the job keeps its state [default: data/state/<script>].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Forget the stored state and start over; output already written stays.
    #[arg(long)]
    fresh: bool,
    /// Parallel instances of keyed operators [default: parallelism.default of the script, else the cores].
    #[arg(long, value_name = "N")]
    parallelism: Option<usize>,
    /// How rows of a final SELECT are written [default: table on a terminal, jsonl elsewhere].
    #[arg(long)]
    format: Option<Format>,
    /// The sink whose rows are shown as they are written; "none" shows nothing [default: the first Kafka sink].
    #[arg(long, value_name = "TABLE")]
    show: Option<String>,
    /// Where /metrics, /livez and /readyz are served; "none" turns it off [default: 127.0.0.1:9464 for
    /// unbounded jobs].
    #[arg(long, value_name = "ADDRESS")]
    metrics_addr: Option<String>,
    /// Allow a metrics address that other machines can reach.
    #[arg(long)]
    expose_metrics: bool,
    #[command(flatten)]
    simulator: SimulatorArguments,
}

const METRICS_ADDRESS: &str = "127.0.0.1:9464";

/// Runs a script.
pub(super) fn run(arguments: &RunArguments) -> Result<u8, Failure> {
    let loaded = load(&arguments.script)?;
    for note in &loaded.script.notes {
        show::error_line(&format!("note: line {}: {}", note.span.line, note.message));
    }
    if loaded.script.jobs.is_empty() {
        let error = Error::sql("the script has nothing to run")
            .hint("add an INSERT INTO … SELECT …, or a SELECT as the last statement");
        return Err(Failure { error, script: Some((loaded.path, loaded.text)) });
    }
    let runtime = runtime()?;
    let code = runtime.block_on(async {
        let stop = Stop::new();
        let runner = Runner { arguments, loaded: &loaded, clock: system_clock(), stop: &stop };
        tokio::select! {
            done = runner.run() => done.map(|()| 0),
            code = stop.second_signal() => code,
        }
    });
    // After a second signal tasks may still be in C code: the process must not wait for them.
    runtime.shutdown_background();
    code.map_err(|error| Failure { error, script: Some((loaded.path, loaded.text)) })
}

/// Rows on their way to the user: those of a sink as it writes them, and those of a final SELECT.
struct Rows {
    shown: mpsc::Receiver<RecordBatch>,
    collected: mpsc::Receiver<RecordBatch>,
}

struct Runner<'a> {
    arguments: &'a RunArguments,
    loaded: &'a LoadedScript,
    clock: Clock,
    stop: &'a Stop,
}

impl Runner<'_> {
    /// Bounded jobs run one after the other; as soon as one is unbounded, all run side by side.
    async fn run(&self) -> Result<()> {
        let jobs = &self.loaded.script.jobs;
        let bounded = jobs.iter().map(|job| bounded(&job.plan)).collect::<Result<Vec<_>>>()?;
        if bounded.iter().all(|b| *b) || jobs.len() == 1 {
            for (at, job) in jobs.iter().enumerate() {
                self.job(at, job, bounded[at]).await?;
                if *self.stop.asked.borrow() {
                    break;
                }
            }
            return Ok(());
        }
        let all = jobs.iter().enumerate().map(|(at, job)| self.job(at, job, bounded[at]));
        futures::future::try_join_all(all).await.map(drop)
    }

    async fn job(&self, at: usize, job: &Job, bounded: bool) -> Result<()> {
        let jobs = self.loaded.script.jobs.len();
        let layout = StateLayout::new(self.arguments.state.as_deref(), &self.loaded.name, at, jobs);
        layout.check_tables(&job.plan)?;
        let keeps_state = !bounded || self.arguments.state.is_some();
        if self.arguments.fresh {
            checkpoint::clear(&layout.checkpoint())?;
            ledger::clear(&layout.ledger())?;
            Embedded::forget(&layout)?;
        }
        if jobs > 1 && Embedded::needed(&job.plan) {
            return Err(Error::config("a script of several jobs cannot run on the embedded cluster")
                .or_at(Some(job.span))
                .hint("put the INSERTs into one EXECUTE STATEMENT SET BEGIN … END, or set KAFKA_BOOTSTRAP_SERVERS"));
        }
        let metrics = Arc::new(Metrics::default());
        let embedded =
            Embedded::start(&job.plan, &layout, &self.arguments.simulator, &metrics, &self.clock, self.arguments.rows)?;
        let context = JobContext {
            pipeline: job.plan.settings.pipeline_name.clone().unwrap_or_else(|| self.loaded.name.clone()),
            time_zone: job.plan.settings.time_zone.clone(),
            embedded_bootstrap: embedded.as_ref().map(|e| e.bootstrap().to_owned()),
            embedded_offsets: embedded.as_ref().map(Embedded::offsets).unwrap_or_default(),
            ..JobContext::default()
        };
        let (preview, shown) = mpsc::channel(64);
        let (collect, collected) = mpsc::channel(4);
        let options = PipelineOptions {
            state: keeps_state.then(|| layout.checkpoint()),
            ledger: layout.ledger(),
            parallelism: self.parallelism(&job.plan),
            job: context,
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&metrics),
            rows_max: self.arguments.rows,
            drain: self.arguments.drain,
            preview: self.shown_table(&job.plan)?.map(|table| (table, preview)),
            collect: (matches!(job.kind, JobKind::Select { .. })).then_some(collect),
        };
        let pipeline = Pipeline::open(Arc::new(job.plan.clone()), options).await?;
        let server = self.serve(bounded, &metrics, &job.plan).await?;
        let quiet = bounded && matches!(job.kind, JobKind::Select { .. });
        if !quiet {
            let banner = Banner { loaded: self.loaded, plan: &job.plan, layout: &layout, keeps_state };
            show::error_line(&banner.text(&pipeline.opened(), embedded.as_ref(), server.as_ref()));
        }
        if let Some(embedded) = &embedded {
            embedded.go(self.stop.asked.subscribe());
        }
        let summary = self.watch(pipeline, metrics, Rows { shown, collected }, quiet).await?;
        if let Some(embedded) = &embedded {
            self.stop.asked.send_replace(true);
            embedded.finish().await;
        }
        // The brokers end with the process: clients still closing must not complain about them.
        std::mem::forget(embedded);
        if !quiet {
            show::error_line(&summary_text(&summary, self.loaded, &job.plan, &layout));
        }
        Ok(())
    }

    /// Shows a running job until it ends.
    async fn watch(
        &self,
        pipeline: Pipeline,
        metrics: Arc<Metrics>,
        Rows { mut shown, mut collected }: Rows,
        quiet: bool,
    ) -> Result<Summary> {
        let mut status = Status::new(metrics, Arc::clone(&self.clock));
        let mut alerts = AlertLines::new(Arc::clone(&self.clock));
        let automatic = if show::terminal(Stream::Output) { Format::Table } else { Format::Jsonl };
        let mut results = ResultWriter::new(self.arguments.format.unwrap_or(automatic));
        let mut tick = tokio::time::interval(status.interval());
        let end = self.arguments.duration.map(tokio::time::sleep);
        tokio::pin!(end);
        let mut job = tokio::spawn(pipeline.run(self.stop.asked.subscribe()));
        let ended = loop {
            // `… | head`: nobody is left to see rows, so the job stops as on Ctrl-C.
            if OUTPUT_CLOSED.load(Ordering::Relaxed) {
                self.stop.asked.send_replace(true);
            }
            tokio::select! {
                Some(rows) = collected.recv() => results.write(&rows)?,
                Some(rows) = shown.recv() => status.above(&alerts.lines(&rows)?)?,
                ended = &mut job => break ended,
                _ = tick.tick(), if !quiet => status.tick(),
                () = async { if let Some(end) = end.as_mut().as_pin_mut() { end.await } else { std::future::pending().await } },
                    if !*self.stop.asked.borrow() => {
                    self.stop.asked.send_replace(true);
                }
            }
        };
        while let Ok(rows) = collected.try_recv() {
            results.write(&rows)?;
        }
        while let Ok(rows) = shown.try_recv() {
            status.above(&alerts.lines(&rows)?)?;
        }
        status.end();
        ended.map_err(|e| Error::internal(format!("the job failed: {e}")))?
    }

    fn parallelism(&self, plan: &StreamPlan) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.arguments.parallelism.or(plan.settings.parallelism).unwrap_or(cores).clamp(1, PARALLELISM_MAX)
    }

    /// The sink whose rows are shown: as asked, else the first that goes to Kafka, unless the script prints.
    fn shown_table(&self, plan: &StreamPlan) -> Result<Option<String>> {
        let sinks: Vec<&TableSpec> = plan.sinks().map(|(_, sink)| sink.table.as_ref()).collect();
        Ok(match self.arguments.show.as_deref() {
            Some("none") => None,
            Some(table) if sinks.iter().any(|t| t.name == table) => Some(table.to_owned()),
            Some(table) => {
                let names: Vec<&str> = sinks.iter().map(|t| t.name.as_str()).collect();
                let error = Error::config(format!("--show names \"{table}\", which the job does not write"));
                return Err(match crate::error::nearest(table, names.iter().copied()) {
                    Some(near) => error.hint(format!("did you mean \"{near}\"?")),
                    None => error.hint(format!("it writes {}; or \"none\"", names.join(", "))),
                });
            }
            None if sinks.iter().any(|t| t.connector() == "print") => None,
            None => sinks.iter().find(|t| t.connector() == "kafka").map(|t| t.name.clone()),
        })
    }

    async fn serve(&self, bounded: bool, metrics: &Arc<Metrics>, plan: &StreamPlan) -> Result<Option<Server>> {
        let text = match self.arguments.metrics_addr.as_deref() {
            Some("none") => return Ok(None),
            None if bounded => return Ok(None),
            Some(text) => text,
            None => METRICS_ADDRESS,
        };
        let address = text.parse().map_err(|_| {
            Error::config(format!("\"{text}\" is not an address")).hint("write it as --metrics-addr 127.0.0.1:9464")
        })?;
        let start = |address| {
            let interval = plan.settings.checkpoint_interval;
            server::start(
                address,
                self.arguments.expose_metrics,
                Arc::clone(metrics),
                Arc::clone(&self.clock),
                interval,
            )
        };
        match start(address).await {
            // The usual port is taken, as by a second job: any other does, the banner tells which.
            Err(_) if self.arguments.metrics_addr.is_none() => start(([127, 0, 0, 1], 0).into()).await.map(Some),
            started => started.map(Some),
        }
    }
}

fn bounded(plan: &StreamPlan) -> Result<bool> {
    plan.sources().try_fold(true, |all, (_, source)| Ok(all && connectors::bounded(&source.table)?))
}

struct Banner<'a> {
    loaded: &'a LoadedScript,
    plan: &'a StreamPlan,
    layout: &'a StateLayout,
    keeps_state: bool,
}

impl Banner<'_> {
    fn text(&self, opened: &Opened, embedded: Option<&Embedded>, server: Option<&Server>) -> String {
        let mut text = format!("streamer {} · {}\n", env!("CARGO_PKG_VERSION"), self.loaded.path);
        if let Some(embedded) = embedded {
            text.push_str(&embedded.banner());
        }
        for (_, source) in self.plan.sources() {
            let table = &source.table;
            let mut starts = String::new();
            for p in opened.partitions.iter().filter(|p| p.table == table.name) {
                starts += &format!(" {}:{}", p.partition, p.next_offset);
            }
            text += &format!("  source      {} ← {} · partition:offset{starts}\n", table.name, place(table));
        }
        for (_, sink) in self.plan.sinks() {
            text += &format!("  sink        {} → {}\n", sink.table.name, place(&sink.table));
        }
        let state = match opened.restored {
            _ if !self.keeps_state => {
                "none: the input is bounded, every run starts anew (--state DIR keeps it)".to_owned()
            }
            Some((epoch, at)) => {
                format!("{} · epoch {epoch} of {} UTC restored", self.layout.root.display(), clock_time(at))
            }
            None => format!("{} · new", self.layout.root.display()),
        };
        text += &format!("  state       {state}\n");
        if let Some(server) = server {
            text += &format!("  metrics     http://{}/metrics\n", server.address);
        }
        text.push_str(
            "  stop        Ctrl-C ends the epoch, commits and tells where the rows are; a second one leaves at once",
        );
        text
    }
}

/// Where a table's rows are, in a few words without secrets.
fn place(table: &TableSpec) -> String {
    let option = |key: &str| table.options.get(key).unwrap_or("?").to_owned();
    match table.connector() {
        "kafka" => format!(
            "kafka topic {}",
            table.options.get("topic").or_else(|| table.options.get("topic-pattern")).unwrap_or("?")
        ),
        "filesystem" => format!("{} ({})", option("path"), option("format")),
        other => other.to_owned(),
    }
}

fn summary_text(summary: &Summary, loaded: &LoadedScript, plan: &StreamPlan, layout: &StateLayout) -> String {
    let how = match summary.outcome {
        Outcome::Finished => "finished: every input has ended",
        Outcome::Stopped | Outcome::PartitionsAdded => "stopped",
    };
    let mut text = format!("{how} · epoch {} committed\n", summary.epoch);
    text.push_str(&ledger_table(summary.partitions.iter().map(|p| (p.topic.as_str(), p.partition, p.counts))));
    for (_, sink) in plan.sinks() {
        text += &format!("  rows of {} are in {}\n", sink.table.name, place(&sink.table));
    }
    let readable = plan.sinks().map(|(_, s)| s.table.as_ref()).find(|t| t.connector() == "filesystem");
    if let Some(table) = readable {
        text += &format!("  read them:  streamer sql -f {} -c 'SELECT * FROM {} LIMIT 10'\n", loaded.path, table.name);
    }
    let total = summary
        .partitions
        .iter()
        .fold((0, 0, 0), |t, p| (t.0 + p.counts.late, t.1 + p.counts.bad, t.2 + p.counts.future));
    for (count, name) in [(total.0, "late"), (total.1, "bad"), (total.2, "future")] {
        if count > 0 {
            let state = layout.root.display();
            text += &format!(
                "  {name} rows:  streamer sql -f {} --state {state} -c 'SELECT * FROM ledger.{name} LIMIT 10'\n",
                loaded.path
            );
        }
    }
    text.trim_end().to_owned()
}
