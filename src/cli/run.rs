//! `streamer run`: plan the script, start what it needs, show what happens, stop cleanly.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::RecordBatch;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cli::embedded::{Demand, Embedded, SimulatorArguments};
use crate::cli::report::{self, Start};
use crate::cli::script::{LoadedScript, StateLayout, load_runnable};
use crate::cli::show::{self, AlertLines, Format, ResultWriter, Stream};
use crate::cli::signals::Stop;
use crate::cli::standby::Standby;
use crate::cli::status::Status;
use crate::cli::{Failure, OUTPUT_CLOSED, ScriptArguments, runtime, write_out};
use crate::connectors::{self, JobContext, delivery};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{BATCH_ROWS_MAX, PARALLELISM_MAX};
use crate::metrics::Metrics;
use crate::plan::StreamPlan;
use crate::runtime::{Opened, Pipeline, PipelineOptions, Summary, checkpoint, ledger};
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
    /// Stop when at least so many records have been read; each partition ends its batch.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rows: Option<u64>,
    /// Most records taken at a time from a partition; what comes out does not depend on it [default: 8192].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=BATCH_ROWS_MAX as i64))]
    batch_rows: Option<u16>,
    /// Stop when every record there is has been read.
    #[arg(long)]
    drain: bool,
    /// Where the job keeps its state [default: data/state/<script>].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Forget the stored state and start over; output already written stays.
    #[arg(long)]
    fresh: bool,
    /// If another process has the job, wait until it is gone or hangs, then take its place.
    #[arg(long)]
    standby: bool,
    /// Parallel instances of keyed operators, 1 to 64 [default: parallelism.default of the script, else the cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=PARALLELISM_MAX as i64))]
    parallelism: Option<u16>,
    /// How rows of a final SELECT are written: table, jsonl or csv [default: table on a terminal, jsonl elsewhere].
    #[arg(long, hide_possible_values = true)]
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
    if arguments.format == Some(Format::Parquet) {
        return Err(Error::new(ErrorKind::Usage, "a final SELECT is written as table, jsonl or csv, not as parquet")
            .hint("write the rows with INSERT INTO to a table of connector filesystem with 'format' = 'parquet'")
            .into());
    }
    let loaded = load_runnable(&arguments.script)?;
    for note in &loaded.script.notes {
        show::error_line(&format!("note: line {}: {}", note.span.line, note.message));
    }
    for error in &loaded.script.unused {
        let line = error.span().map_or_else(String::new, |span| format!("line {}: ", span.line));
        show::error_line(&format!("note: {line}{}; no statement uses it", error.message()));
    }
    answer(arguments.format, &loaded)?;
    if loaded.script.jobs.is_empty() {
        return Ok(0);
    }
    let stop = Stop::listen()?;
    let runtime = runtime()?;
    let runner = Runner { arguments, loaded: &loaded, clock: system_clock(), stop: &stop };
    let done = runtime.block_on(runner.run());
    // Tasks may still be in C code, or wait for a terminal: the process must not wait for them.
    runtime.shutdown_background();
    done.map(|()| 0).map_err(|error| Failure { error, script: Some((loaded.path, loaded.text)) })
}

/// What SHOW, DESCRIBE and EXPLAIN say: for a reader beside the job, or, by the last statement, the script's result.
fn answer(format: Option<Format>, loaded: &LoadedScript) -> Result<()> {
    for answer in &loaded.script.answers {
        let format = if answer.last { result_format(format) } else { Format::Table };
        let text = ResultWriter::new(format, loaded.script.settings.time_zone.clone()).bytes(&answer.rows)?;
        match answer.last {
            true => write_out(&text)?,
            false => show::error_line(String::from_utf8_lossy(&text).trim_end()),
        }
    }
    Ok(())
}

/// How the script's result is written: as asked, else for who is there to read it.
fn result_format(asked: Option<Format>) -> Format {
    asked.unwrap_or_else(|| if show::terminal(Stream::Output) { Format::Table } else { Format::Jsonl })
}

/// A job of the script on its way.
struct Task<'a> {
    place: usize,
    job: &'a Job,
    layout: StateLayout,
    bounded: bool,
    keeps_state: bool,
    metrics: Arc<Metrics>,
}

impl Task<'_> {
    /// A bounded SELECT shows its rows and nothing else.
    fn quiet(&self) -> bool {
        self.bounded && matches!(self.job.kind, JobKind::Select { .. })
    }
}

/// A job, open; its server answers as long as this lives.
struct Ready<'t, 'a> {
    task: &'t Task<'a>,
    pipeline: Pipeline,
    _server: Option<Server>,
}

/// Where tasks send rows for the user: those of a sink as it writes them, and those of a final SELECT.
struct Show {
    table: Option<String>,
    preview: mpsc::Sender<RecordBatch>,
    collect: mpsc::Sender<RecordBatch>,
}

/// The other end of [`Show`].
struct Shown {
    preview: mpsc::Receiver<RecordBatch>,
    collect: mpsc::Receiver<RecordBatch>,
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
        if self.arguments.standby && !self.stand_by().await? {
            return Ok(());
        }
        let tasks = self.tasks()?;
        let demands: Vec<Demand<'_>> =
            tasks.iter().map(|t| Demand { plan: &t.job.plan, checkpoint: t.layout.checkpoint() }).collect();
        let rows = self.arguments.rows.filter(|_| tasks.len() == 1);
        let embedded = Embedded::start(&demands, &self.root(), &self.arguments.simulator, &self.clock, rows)?;
        let together = tasks.iter().any(|task| !task.bounded);
        if let Some(embedded) = &embedded {
            embedded.fill(&self.stop.asked).await?;
        }
        let done = if together {
            self.go(&tasks, &tasks, embedded.as_ref()).await
        } else {
            self.in_turn(&tasks, embedded.as_ref()).await
        };
        if let Some(embedded) = &embedded {
            self.stop.asked.send_replace(true);
            embedded.finish().await;
        }
        done
    }

    /// Waits until no other process has a job of the script; `false`: a stop was asked for.
    async fn stand_by(&self) -> Result<bool> {
        let jobs = &self.loaded.script.jobs;
        for (place, job) in jobs.iter().enumerate() {
            let layout = StateLayout::new(self.arguments.state.as_deref(), &self.loaded.name, place, jobs.len());
            let interval = job.plan.settings.checkpoint_interval;
            let standby = Standby { layout: &layout, interval, clock: &self.clock, stop: self.stop };
            if !standby.wait().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn in_turn(&self, tasks: &[Task<'_>], embedded: Option<&Embedded>) -> Result<()> {
        for task in tasks {
            if *self.stop.asked.borrow() {
                break;
            }
            self.go(tasks, std::slice::from_ref(task), embedded).await?;
        }
        Ok(())
    }

    /// Where the script keeps its state.
    fn root(&self) -> StateLayout {
        StateLayout::new(self.arguments.state.as_deref(), &self.loaded.name, 0, 1)
    }

    /// The jobs of the script, checked; with `--fresh` their state is gone.
    fn tasks(&self) -> Result<Vec<Task<'_>>> {
        let jobs = &self.loaded.script.jobs;
        let mut tasks = Vec::with_capacity(jobs.len());
        for (place, job) in jobs.iter().enumerate() {
            let layout = StateLayout::new(self.arguments.state.as_deref(), &self.loaded.name, place, jobs.len());
            self.root().check_tables(&job.plan)?;
            let bounded = bounded(&job.plan)?;
            let keeps_state = !bounded || self.arguments.state.is_some();
            tasks.push(Task { place, job, layout, bounded, keeps_state, metrics: Arc::default() });
        }
        if self.arguments.fresh {
            for task in &tasks {
                checkpoint::clear(&task.layout.checkpoint())?;
                ledger::clear(&task.layout.ledger())?;
                delivery::clear(&task.layout.outbox())?;
            }
            Embedded::forget(&self.root())?;
        }
        Ok(tasks)
    }

    /// Opens jobs, tells what they are, and shows them until all have ended. `all` are those of the script.
    async fn go(&self, all: &[Task<'_>], tasks: &[Task<'_>], embedded: Option<&Embedded>) -> Result<()> {
        let (preview, shown) = mpsc::channel(64);
        let (collect, collected) = mpsc::channel(4);
        let show = Show { table: self.shown_table(all)?, preview, collect };
        let mut banner = String::new();
        if tasks.first().is_some_and(|first| first.place == 0) {
            banner = report::head(self.loaded, embedded);
        }
        let mut ready = Vec::with_capacity(tasks.len());
        for task in tasks {
            if let Some(embedded) = embedded {
                embedded.join(&task.job.plan, &task.metrics);
            }
            let pipeline = self.open(task, embedded, &show).await?;
            let opened = pipeline.opened();
            if all.len() > 1 {
                banner += &format!("{}\n", report::title(task.place, task.job));
            }
            if nothing_left(&opened) {
                let plan = &task.job.plan;
                banner += &format!("{}\n", report::nothing_left(self.loaded, plan, &task.layout, &opened));
                if let Some(embedded) = embedded {
                    embedded.leave(&task.metrics);
                }
                continue;
            }
            let server = self.serve(task).await?;
            let start = Start {
                plan: &task.job.plan,
                layout: &task.layout,
                opened: &opened,
                keeps_state: task.keeps_state,
                server: server.as_ref(),
                jobs_before: &self.loaded.script.jobs[..task.place],
            };
            banner += &start.lines();
            ready.push(Ready { task, pipeline, _server: server });
        }
        drop(show);
        let quiet = ready.iter().all(|ready| ready.task.quiet());
        if !quiet {
            banner += report::HOW_TO_STOP;
        }
        if !quiet || ready.len() < tasks.len() {
            show::error_line(banner.trim_end());
        }
        if let Some(embedded) = embedded {
            embedded.go(self.stop.asked.subscribe());
        }
        self.watch(ready, Shown { preview: shown, collect: collected }, embedded, all.len() > 1).await
    }

    async fn open(&self, task: &Task<'_>, embedded: Option<&Embedded>, show: &Show) -> Result<Pipeline> {
        let plan = &task.job.plan;
        // Jobs without a name of their own must not share a consumer group.
        let number = if self.loaded.script.jobs.len() > 1 { format!("-{}", task.place + 1) } else { String::new() };
        let name = plan.settings.pipeline_name.clone();
        let context = JobContext {
            pipeline: format!("{}{number}", name.as_ref().unwrap_or(&self.loaded.name)),
            outbox: task.layout.outbox(),
            time_zone: plan.settings.time_zone.clone(),
            batch_rows: self.arguments.batch_rows.map(usize::from),
            embedded_bootstrap: embedded.map(|e| e.bootstrap().to_owned()),
            embedded_offsets: embedded.map(|e| e.offsets(task.place)).unwrap_or_default(),
            ..JobContext::default()
        };
        let writes = |table: &&String| plan.sinks().any(|(_, sink)| sink.table.name == **table);
        let options = PipelineOptions {
            state: task.keeps_state.then(|| task.layout.checkpoint()),
            ledger: task.layout.ledger(),
            parallelism: self.parallelism(plan),
            job: context,
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&task.metrics),
            rows_max: self.arguments.rows,
            drain: self.arguments.drain,
            preview: show.table.as_ref().filter(writes).map(|table| (table.clone(), show.preview.clone())),
            collect: matches!(task.job.kind, JobKind::Select { .. }).then(|| show.collect.clone()),
        };
        Pipeline::open(Arc::new(plan.clone()), options).await
    }

    /// Shows running jobs until all have ended. One that fails stops the others at an epoch.
    async fn watch(
        &self,
        ready: Vec<Ready<'_, '_>>,
        Shown { mut preview, mut collect }: Shown,
        embedded: Option<&Embedded>,
        titled: bool,
    ) -> Result<()> {
        let quiet = ready.iter().all(|ready| ready.task.quiet());
        let metrics = ready.iter().map(|ready| Arc::clone(&ready.task.metrics)).collect();
        let mut status = Status::new(metrics, Arc::clone(&self.clock));
        let mut alerts = AlertLines::new(Arc::clone(&self.clock));
        let zone = self.loaded.script.settings.time_zone.clone();
        let mut results = ResultWriter::new(result_format(self.arguments.format), zone);
        let mut tick = tokio::time::interval(status.interval());
        let end = self.arguments.duration.map(tokio::time::sleep);
        tokio::pin!(end);
        let (mut jobs, mut tasks, mut servers) = (JoinSet::new(), Vec::new(), Vec::new());
        for (at, Ready { task, pipeline, _server: server }) in ready.into_iter().enumerate() {
            let stop = self.stop.asked.subscribe();
            jobs.spawn(async move { (at, pipeline.run(stop).await) });
            tasks.push(task);
            servers.push(server);
        }
        let mut failure = None;
        while !jobs.is_empty() {
            // `… | head`: nobody is left to see rows, so the job stops as on Ctrl-C.
            if OUTPUT_CLOSED.load(Ordering::Relaxed) {
                self.stop.asked.send_replace(true);
            }
            tokio::select! {
                Some(rows) = collect.recv() => status.above(&results.bytes(&rows)?)?,
                Some(rows) = preview.recv() => status.above(alerts.lines(&rows)?.as_bytes())?,
                Some(ended) = jobs.join_next() => {
                    let (at, done) = ended.map_err(|e| Error::internal(format!("the job failed: {e}")))?;
                    let task = tasks[at];
                    if let Some(embedded) = embedded {
                        embedded.leave(&task.metrics);
                    }
                    // Its last rows come before its summary.
                    while let Ok(rows) = collect.try_recv() {
                        status.above(&results.bytes(&rows)?)?;
                    }
                    while let Ok(rows) = preview.try_recv() {
                        status.above(alerts.lines(&rows)?.as_bytes())?;
                    }
                    match done {
                        Ok(summary) => self.ended(&mut status, task, &summary, titled, jobs.is_empty()),
                        Err(error) => {
                            self.stop.asked.send_replace(true);
                            // data fails a statement, other failures are not the script's
                            let place = (titled || error.kind() == ErrorKind::Data).then_some(task.job.span);
                            failure.get_or_insert_with(|| error.or_at(place));
                        }
                    }
                }
                _ = tick.tick(), if !quiet => status.tick(),
                () = async { if let Some(end) = end.as_mut().as_pin_mut() { end.await } else { std::future::pending().await } },
                    if !*self.stop.asked.borrow() => {
                    self.stop.asked.send_replace(true);
                }
            }
        }
        status.end();
        failure.map_or(Ok(()), Err)
    }

    fn ended(&self, status: &mut Status, task: &Task<'_>, summary: &Summary, titled: bool, last: bool) {
        if last {
            status.end();
        }
        if task.quiet() {
            for note in report::not_in_the_result(summary, self.loaded, &task.job.plan, &task.layout) {
                status.note(&note);
            }
            return;
        }
        for sink in &task.metrics.sinks {
            let dropped = sink.dropped.load(Ordering::Relaxed);
            if dropped > 0 {
                let rows = if dropped == 1 { "1 row was" } else { &format!("{dropped} rows were") };
                let table = sink.key();
                status.note(&format!("note: {rows} left out of {table}: NULL in a column that is NOT NULL"));
            }
        }
        let gaps: u64 = task.metrics.partitions.iter().map(|p| p.gaps.load(Ordering::Relaxed)).sum();
        if gaps > 0 {
            let query = report::ledger_query(self.loaded, &task.layout, "gap");
            status.note(&format!("note: records were missing in {gaps} places: {query}"));
        }
        let title = if titled { format!("{}: ", report::title(task.place, task.job)) } else { String::new() };
        let text = report::summary(summary, self.loaded, &task.job.plan, &task.layout, &task.metrics);
        status.note(&format!("{title}{text}"));
    }

    fn parallelism(&self, plan: &StreamPlan) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.arguments.parallelism.map(usize::from).or(plan.settings.parallelism).unwrap_or(cores).min(PARALLELISM_MAX)
    }

    /// The sink whose rows are shown: as asked, else the first that goes to Kafka, unless the script prints.
    fn shown_table(&self, tasks: &[Task<'_>]) -> Result<Option<String>> {
        let plans = tasks.iter().map(|task| &task.job.plan);
        let sinks: Vec<&TableSpec> = plans.flat_map(|p| p.sinks().map(|(_, sink)| sink.table.as_ref())).collect();
        Ok(match self.arguments.show.as_deref() {
            Some("none") => None,
            Some(table) if sinks.iter().any(|t| t.name == table) => Some(table.to_owned()),
            Some(table) => {
                let names: Vec<&str> = sinks.iter().map(|t| t.name.as_str()).collect();
                let error = Error::config(format!("--show names \"{table}\", which no job writes"));
                return Err(match crate::error::nearest(table, names.iter().copied()) {
                    Some(near) => error.hint(format!("did you mean \"{near}\"?")),
                    None => error.hint(format!("it writes {}; or \"none\"", names.join(", "))),
                });
            }
            None if sinks.iter().any(|t| t.connector() == "print") => None,
            None => sinks.iter().find(|t| t.connector() == "kafka").map(|t| t.name.clone()),
        })
    }

    /// Serves metrics and health of a job. Each has a server of its own: the first at the address asked for, the
    /// others beside it.
    async fn serve(&self, task: &Task<'_>) -> Result<Option<Server>> {
        let text = match self.arguments.metrics_addr.as_deref() {
            Some("none") => return Ok(None),
            None if task.bounded => return Ok(None),
            Some(text) => text,
            None => METRICS_ADDRESS,
        };
        let mut address: SocketAddr = text.parse().map_err(|_| {
            Error::config(format!("\"{text}\" is not an address")).hint("write it as --metrics-addr 127.0.0.1:9464")
        })?;
        if task.place > 0 {
            address.set_port(0);
        }
        let start = |address| {
            let interval = task.job.plan.settings.checkpoint_interval;
            let (metrics, clock) = (Arc::clone(&task.metrics), Arc::clone(&self.clock));
            server::start(address, self.arguments.expose_metrics, metrics, clock, interval)
        };
        match start(address).await {
            // The usual port is taken, as by a second job: any other does, the banner tells which.
            Err(_) if self.arguments.metrics_addr.is_none() => {
                let server = start(([127, 0, 0, 1], 0).into()).await?;
                let place = server.address;
                show::error_line(&format!(
                    "note: {METRICS_ADDRESS} is taken; metrics and health of this job are at {place} (\"streamer healthcheck --metrics-addr {place}\")"
                ));
                Ok(Some(server))
            }
            started => started.map(Some),
        }
    }
}

fn bounded(plan: &StreamPlan) -> Result<bool> {
    plan.sources().try_fold(true, |all, (_, source)| Ok(all && connectors::bounded(&source.table)?))
}

/// Whether the state says that every input was read to its end, and every sink that it has the rows.
fn nothing_left(opened: &Opened) -> bool {
    opened.undelivered == 0
        && opened.restored.is_some()
        && !opened.partitions.is_empty()
        && opened.partitions.iter().all(|p| p.finished)
}
