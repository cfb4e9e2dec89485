//! The lower half of the hourglass: a `StreamPlan` becomes running tasks.
//!
//! [`Pipeline::open`] opens every connector and restores the newest epoch; [`Pipeline::run`] runs until the
//! input ends, a stop is asked for, or something fails. A partition found while running ends the run at an
//! epoch and starts the next one with it: there is one way in, the restored one.

pub mod checkpoint;
pub mod ledger;
pub mod restart;

mod channel;
mod collect;
mod fragment;
mod late;
mod layout;
mod progress;
mod source;
mod task;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::connectors::{self, BadRecords, Fallback, JobContext, Ownership, Sink, SinkState, SplitReader, StartAt};
use crate::error::{Error, Result};
use crate::failpoint::failpoint;
use crate::metrics::{Metrics, PartitionMetrics};
use crate::operators::watermark::WatermarkAssigner;
use crate::plan::{self, Exchange, NodeId, NodeKind, StreamPlan};
use crate::protocol::{Head, Protocol, Rules};
use crate::runtime::channel::Inputs;
use crate::runtime::checkpoint::{Coordinator, OpenSource, SharedStore, TaskReport};
use crate::runtime::collect::CollectSink;
use crate::runtime::late::LateCount;
use crate::runtime::layout::Layout;
use crate::runtime::ledger::Ledger;
use crate::runtime::progress::SourceProgress;
use crate::runtime::source::{RowsAhead, SourceTask};
use crate::runtime::task::{KeyedTask, SinkTask};
use crate::state::manifest::{FORMAT_VERSION, Manifest, fingerprint};
use crate::state::store::CheckpointStore;
use crate::stream::{Barrier, PartitionId, RowCounts, SourcePosition};
use crate::time::{Clock, WATERMARK_MIN, unique_id};

/// Connector name of the sink that a final SELECT writes to.
pub const COLLECT: &str = "collect";

/// How a pipeline is to run.
#[derive(Clone)]
pub struct PipelineOptions {
    /// Where epochs are kept; `None`: nowhere, the job starts anew every time (bounded input).
    pub state: Option<PathBuf>,
    /// Where the ledger's tables are.
    pub ledger: PathBuf,
    /// Instances of keyed operators.
    pub parallelism: usize,
    /// What connectors are told.
    pub job: JobContext,
    /// The clock.
    pub clock: Clock,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Stop after so many records read in this run.
    pub rows_max: Option<u64>,
    /// Stop when no partition has a record waiting.
    pub drain: bool,
    /// A look at the rows of one sink: table name and channel.
    pub preview: Option<(String, mpsc::Sender<RecordBatch>)>,
    /// Where the rows of a final SELECT go.
    pub collect: Option<mpsc::Sender<RecordBatch>>,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every input has ended.
    Finished,
    /// It was asked to, or its bound is reached.
    Stopped,
    /// A source has new partitions: run again.
    PartitionsAdded,
}

/// What a run has done.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Why it ended.
    pub outcome: Outcome,
    /// The last epoch.
    pub epoch: u64,
    /// Where each partition stands, with its ledger.
    pub partitions: Vec<SourcePosition>,
}

/// What the start found, for the banner.
#[derive(Debug, Clone, Default)]
pub struct Opened {
    /// The epoch restored, and when it was committed (ms since 1970).
    pub restored: Option<(u64, i64)>,
    /// Where each partition starts.
    pub partitions: Vec<SourcePosition>,
    /// Epochs committed before that sinks still have to deliver.
    pub undelivered: usize,
    /// A damaged epoch that was left out: no sink has any of it.
    pub fallback: Option<Fallback>,
}

struct OpenPartition {
    source: NodeId,
    place: usize,
    reader: Option<Box<dyn SplitReader>>,
    position: SourcePosition,
}

/// A job, open and restored, not yet running.
pub struct Pipeline {
    plan: Arc<StreamPlan>,
    options: PipelineOptions,
    store: Option<SharedStore>,
    manifest: Manifest,
    snapshots: layout::Snapshots,
    sources: Vec<OpenSource>,
    partitions: Vec<OpenPartition>,
    sinks: Vec<(NodeId, Box<dyn Sink>)>,
    ledger: Ledger,
    restored: Option<(u64, i64)>,
}

impl Pipeline {
    /// Opens sources and sinks and restores the newest epoch. On a first start the start offsets are made
    /// durable before the first row is read.
    ///
    /// # Errors
    /// `Config`, `Unavailable` from the connectors; `State` if stored state does not belong to this plan.
    pub async fn open(plan: Arc<StreamPlan>, mut options: PipelineOptions) -> Result<Self> {
        let store = options.state.as_deref().map(CheckpointStore::open).transpose()?.map(SharedStore::new);
        let found = match &store {
            Some(store) => restart::restore(store).await?,
            None => None,
        };
        let (found, snapshots) = found.map_or_else(Default::default, |(found, snapshots)| (Some(found), snapshots));
        let (head, fallback) = found.as_ref().map_or((None, None), |f| (Some(f.head), f.fallback.clone()));
        let restored = found.as_ref().map(|f| (f.manifest.epoch, f.manifest.created_ms));
        let mut manifest = fitting(found.map(|f| f.manifest), &plan, &options)?;
        restart::demand(&mut manifest, fallback.as_ref())?;
        let (sources, partitions) = open_sources(&plan, &options, &manifest, restored.is_some()).await?;
        manifest.sources = partitions.iter().map(|p| p.position.clone()).collect();
        options.job.instance.clone_from(&manifest.instance);
        options.job.fallback = fallback;
        if let (Some(store), Some(directory)) = (&store, &options.state) {
            options.job.ownership = Some(take_over(store, directory, &mut manifest, head, &options.clock).await?);
        }
        let ledger = Ledger::restore(&options.ledger, &options.job, &manifest.sinks).await?;
        let sinks = open_sinks(&plan, &options, &manifest).await?;
        Ok(Self { plan, options, store, manifest, snapshots, sources, partitions, sinks, ledger, restored })
    }

    /// What the start found.
    pub fn opened(&self) -> Opened {
        Opened {
            restored: self.restored,
            partitions: self.partitions.iter().map(|p| p.position.clone()).collect(),
            undelivered: self.sinks.iter().map(|(_, sink)| sink.undelivered()).sum(),
            fallback: self.options.job.fallback.clone(),
        }
    }

    /// Runs until `stop` is set, the input ends or something fails.
    ///
    /// # Errors
    /// The first error of any task; what was committed stays.
    pub async fn run(self, stop: watch::Receiver<bool>) -> Result<Summary> {
        let plan = Arc::clone(&self.plan);
        let options = self.options.clone();
        let mut pipeline = self;
        let read_before = pipeline.manifest.sources.iter().map(|p| p.counts.read).sum();
        loop {
            let (outcome, manifest) = pipeline.run_once(stop.clone(), read_before).await?;
            if outcome != Outcome::PartitionsAdded || options.state.is_none() {
                return Ok(Summary { outcome, epoch: manifest.epoch, partitions: manifest.sources });
            }
            tracing::info!(epoch = manifest.epoch, "partitions were added; going on with them");
            pipeline = Self::open(Arc::clone(&plan), options.clone()).await?;
        }
    }

    async fn run_once(self, stop: watch::Receiver<bool>, read_before: u64) -> Result<(Outcome, Manifest)> {
        let metrics = Arc::clone(&self.options.metrics);
        let mut tasks = JoinSet::new();
        let hold = self.options.job.hold.clone();
        let (asked, state) = (stop.clone(), self.options.state.clone());
        let coordinator = self.spawn(&mut tasks, stop, read_before)?;
        metrics.ready.store(true, Ordering::Release);
        let mut coordinator = tokio::spawn(coordinator.run());
        let mut look = tokio::time::interval(HOLD_LOOK);
        let result = loop {
            tokio::select! {
                biased;
                // asked at every tick: nothing else wakes a job that waits for space
                _ = look.tick() => {
                    if let Some(reason) = hold.reason().filter(|_| *asked.borrow()) {
                        let newest = state.as_deref().and_then(|dir| CheckpointStore::newest_epoch(dir).ok().flatten());
                        break Err(stopped_waiting(&reason, newest));
                    }
                }
                Some(ended) = tasks.join_next() => match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => break Err(with_row(error, &metrics)),
                    Err(panicked) => break Err(Error::internal(format!("a task failed: {panicked}"))),
                },
                ended = &mut coordinator => {
                    break ended.unwrap_or_else(|e| Err(Error::internal(format!("the coordinator failed: {e}"))));
                }
            }
        };
        metrics.ready.store(false, Ordering::Release);
        coordinator.abort();
        tasks.shutdown().await;
        result
    }

    /// Spawns every task; the coordinator is left to the caller.
    fn spawn(
        self,
        tasks: &mut JoinSet<Result<()>>,
        stop: watch::Receiver<bool>,
        read_before: u64,
    ) -> Result<Coordinator> {
        let Self { plan, options, store, manifest, snapshots, sources, partitions, sinks, ledger, .. } = self;
        let first_epoch = manifest.epoch + 1;
        let (barriers, barrier) = watch::channel(None);
        let (reporter, reports) = mpsc::channel::<TaskReport>(REPORTS_WAITING_MAX);
        let (committer, committed) = mpsc::channel(sinks.len().max(1));
        let unfinished = Arc::new(AtomicUsize::new(partitions.len()));
        let rows_max = options.rows_max.map(|rows| rows.saturating_add(read_before));
        let drain = options.drain;
        let layout = Layout::new(&plan, &options.metrics, options.parallelism, snapshots);
        layout.check_parallelism()?;
        let mut spawning = Spawning { plan: &plan, options: &options, layout, tasks, reporter, first_epoch, rows_max };
        spawning.sources(partitions, &barrier, &unfinished)?;
        spawning.keyed()?;
        let commits = spawning.sinks(sinks, &committer)?;
        Ok(Coordinator {
            store,
            interval: plan.settings.checkpoint_interval,
            clock: Arc::clone(&options.clock),
            metrics: Arc::clone(&options.metrics),
            barriers,
            tasks: spawning.tasks.len(),
            reports,
            commits,
            committed,
            unfinished,
            rows_max,
            drain,
            stop,
            first_epoch,
            hold: options.job.hold.clone(),
            sources,
            ledger,
            late: LateCount::new(&plan, &manifest.extras)?,
            manifest,
        })
    }
}

/// How often a job that is asked to stop is looked at: does it wait for space?
const HOLD_LOOK: Duration = Duration::from_millis(100);

/// A stop while nothing can be written: the epoch under way is given up, and read again by the next start.
fn stopped_waiting(reason: &Error, newest: Option<u64>) -> Error {
    let last = newest.map_or_else(String::new, |epoch| {
        format!("The last committed epoch is {epoch}; what was read after it is read again by the next start.")
    });
    Error::unavailable(format!("stopped while waiting for space: {}", reason.message()))
        .detail(last)
        .hint("make room and start again")
}

/// Rows that may be on their way when their partition's count is looked at.
const ROWS_AHEAD_MAX: i64 = 1 << 20;

/// Reports waiting for the coordinator; more tasks than that only wait a little for each other.
const REPORTS_WAITING_MAX: usize = 64;

/// Tasks on their way to run, heads before what reads them.
struct Spawning<'a> {
    plan: &'a StreamPlan,
    options: &'a PipelineOptions,
    layout: Layout<'a>,
    tasks: &'a mut JoinSet<Result<()>>,
    reporter: mpsc::Sender<TaskReport>,
    first_epoch: u64,
    rows_max: Option<u64>,
}

impl Spawning<'_> {
    /// One task per partition.
    fn sources(
        &mut self,
        partitions: Vec<OpenPartition>,
        barrier: &watch::Receiver<Option<Barrier>>,
        unfinished: &Arc<AtomicUsize>,
    ) -> Result<()> {
        let progress = progress_by_source(&partitions);
        for open in partitions {
            let NodeKind::Source(source) = &self.plan.nodes[open.source].kind else {
                return Err(Error::internal("a partition belongs to no source"));
            };
            let task = SourceTask {
                reader: open.reader,
                idle_timeout: source.watermark.as_ref().and_then(|w| w.idle_timeout),
                bad_records: BadRecords::of(&source.table)?,
                progress: Arc::clone(&progress[&open.source]),
                place: open.place,
                metrics: partition_metrics(&self.options.metrics, &open.position),
                rows_max: self.rows_max,
                job_metrics: Arc::clone(&self.options.metrics),
                barriers: barrier.clone(),
                reports: self.reporter.clone(),
                unfinished: Arc::clone(unfinished),
                clock: Arc::clone(&self.options.clock),
                first_epoch: self.first_epoch,
                assigner: WatermarkAssigner::new(source, open.position.id, open.position.watermark)?,
                by_the_clock: source.goes_by_the_clock(),
                fragment: self.layout.source(open.source, &format!("p{}", open.position.id.0))?,
                position: open.position,
                idle: false,
                ahead: RowsAhead::default(),
                ledger: Vec::new(),
            };
            self.tasks.spawn(task.run());
        }
        Ok(())
    }

    /// One task per instance of a keyed node, in topological order: a node's inputs are complete at its turn.
    fn keyed(&mut self) -> Result<()> {
        for (id, node) in self.plan.nodes.iter().enumerate() {
            if node.kind.exchange() == Exchange::None || matches!(node.kind, NodeKind::Sink(_)) {
                continue;
            }
            for (instance, receivers) in self.layout.inputs(id).into_iter().enumerate() {
                let fragment = self.layout.keyed(id, instance)?;
                let inputs = Inputs::new(receivers);
                let task =
                    KeyedTask { inputs, fragment, reports: self.reporter.clone(), first_epoch: self.first_epoch };
                self.tasks.spawn(task.run());
            }
        }
        Ok(())
    }

    /// One task per sink; returns where each hears of commits.
    fn sinks(
        &mut self,
        sinks: Vec<(NodeId, Box<dyn Sink>)>,
        committer: &mpsc::Sender<u64>,
    ) -> Result<Vec<mpsc::Sender<u64>>> {
        let mut commits = Vec::new();
        for (id, sink) in sinks {
            let NodeKind::Sink(spec) = &self.plan.nodes[id].kind else { return Err(Error::internal("not a sink")) };
            let name = &spec.table.name;
            let (commit, from) = mpsc::channel(1);
            commits.push(commit);
            let preview = self.options.preview.clone().filter(|(table, _)| table == name);
            let task = SinkTask {
                inputs: Inputs::new(self.layout.inputs(id).into_iter().flatten().collect()),
                sink,
                key: sink_key(id, name),
                table: name.clone(),
                preview: preview.map(|(_, preview)| preview),
                metrics: self.options.metrics.sink(name),
                schema: spec.table.sink_schema(),
                required: spec.required.clone(),
                reports: self.reporter.clone(),
                commits: from,
                committed: committer.clone(),
            };
            self.tasks.spawn(task.run());
        }
        Ok(commits)
    }
}

/// The stored manifest if it belongs to this plan, or the empty one of a fresh start.
fn fitting(stored: Option<Manifest>, plan: &StreamPlan, options: &PipelineOptions) -> Result<Manifest> {
    let plan_text = plan.fingerprint();
    let hash = fingerprint(&plan_text);
    match stored {
        Some(manifest) if manifest.plan == hash => Ok(manifest),
        Some(manifest) => {
            let directory = options.state.as_deref().unwrap_or_else(|| Path::new("")).display();
            let changed = plan::difference(&manifest.plan_text, &plan_text);
            Err(Error::state(format!("the script has changed and no longer fits the state in \"{directory}\""))
                .detail(format!("since epoch {}: {changed}", manifest.epoch))
                .hint("undo the change, or start over with --fresh, or keep that state and give another directory with --state DIR"))
        }
        None => Ok(Manifest {
            format_version: FORMAT_VERSION,
            epoch: 0,
            fence: 0,
            pipeline: options.job.pipeline.clone(),
            instance: unique_id(),
            created_ms: options.clock.now_ms(),
            put_id: unique_id(),
            plan: hash,
            plan_text,
            sources: Vec::new(),
            operators: BTreeMap::new(),
            sinks: BTreeMap::new(),
            ledger: RowCounts::default(),
            extras: BTreeMap::new(),
        }),
    }
}

/// The manifest with which this process takes the job over: from here on, no other can commit. On a first start it
/// also pins where the job starts, before anything is read (crash matrix 34).
async fn take_over(
    store: &SharedStore,
    directory: &Path,
    manifest: &mut Manifest,
    newest: Option<Head>,
    clock: &Clock,
) -> Result<Ownership> {
    let head = Protocol.take_over(newest);
    manifest.epoch = head.epoch;
    manifest.fence = head.fence;
    manifest.created_ms = clock.now_ms();
    manifest.put_id = unique_id();
    let taken = manifest.clone();
    failpoint("takeover.begin")?;
    store.with(move |s| s.commit(&taken)).await?;
    failpoint("takeover.done")?;
    // by its directory: whoever asks later must not keep the lock of a run that is over
    let directory = directory.to_owned();
    let confirm = move || -> BoxFuture<'static, Result<bool>> {
        let directory = directory.clone();
        Box::pin(async move {
            let ours = tokio::task::spawn_blocking(move || CheckpointStore::is_owned(&directory, head.fence)).await;
            ours.map_err(|e| Error::internal(format!("the state could not be looked at: {e}")))?
        })
    };
    Ok(Ownership { fence: head.fence, confirm: Arc::new(confirm) })
}

fn sink_key(id: NodeId, table: &str) -> String {
    format!("{id}.{table}")
}

async fn open_sinks(
    plan: &StreamPlan,
    options: &PipelineOptions,
    manifest: &Manifest,
) -> Result<Vec<(NodeId, Box<dyn Sink>)>> {
    let mut sinks = Vec::new();
    for (id, spec) in plan.sinks() {
        let key = sink_key(id, &spec.table.name);
        let mut sink: Box<dyn Sink> = match (&options.collect, spec.table.connector()) {
            (Some(rows), COLLECT) => Box::new(CollectSink::new(rows.clone())),
            _ => connectors::open_sink(&spec.table, &key, &options.job)?,
        };
        let state = manifest.sinks.get(&key).cloned();
        sink.restore(state.map(SinkState)).await?;
        sinks.push((id, sink));
    }
    Ok(sinks)
}

async fn open_sources(
    plan: &StreamPlan,
    options: &PipelineOptions,
    manifest: &Manifest,
    restored: bool,
) -> Result<(Vec<OpenSource>, Vec<OpenPartition>)> {
    let (mut sources, mut partitions) = (Vec::new(), Vec::new());
    for (ordinal, (node, spec)) in plan.sources().enumerate() {
        let mut source = connectors::open_source(&spec.table, &options.job)?;
        let mut splits = Vec::new();
        // A partition found later starts at the event time its source has told: windows before it have fired.
        let told = manifest.sources.iter().filter(|p| p.id.source() == ordinal).map(|p| p.watermark).min();
        let found = source.splits().await?;
        all_there(&spec.table.name, ordinal, manifest, &found)?;
        let mut topics = topic_numbers(ordinal, manifest);
        for (place, split) in found.into_iter().enumerate() {
            // A topic keeps its number; one found later gets the next, wherever its name stands in the list.
            let next = topics.values().max().map_or(0, |last| last + 1);
            let number = *topics.entry(split.topic.clone()).or_insert(next);
            let id = PartitionId::new(ordinal, number, split.partition)?;
            let known = manifest
                .sources
                .iter()
                .find(|p| p.id.source() == ordinal && p.topic == split.topic && p.partition == split.partition);
            let start = match known {
                Some(position) => StartAt::Offset(position.next_offset),
                None if restored => StartAt::Earliest,
                None => StartAt::Configured,
            };
            let mut position = known.cloned().unwrap_or_else(|| SourcePosition {
                table: spec.table.name.clone(),
                topic: split.topic.clone(),
                partition: split.partition,
                id,
                next_offset: 0,
                watermark: told.unwrap_or(WATERMARK_MIN),
                finished: false,
                fingerprint: None,
                counts: RowCounts::default(),
            });
            if known.is_some() {
                source.recognize(&split, &position).await?;
            }
            let reader = if position.finished { None } else { Some(source.open(&split, start).await?) };
            if let Some(reader) = &reader {
                position.next_offset = reader.next_offset();
                position.fingerprint = reader.fingerprint();
            }
            splits.push((split, position.id));
            partitions.push(OpenPartition { source: node, place, reader, position });
        }
        sources.push(OpenSource { source, splits, looked: options.clock.elapsed() });
    }
    Ok((sources, partitions))
}

/// Numbers of the topics a source has read so far.
fn topic_numbers(ordinal: usize, manifest: &Manifest) -> BTreeMap<String, usize> {
    let own = manifest.sources.iter().filter(|p| p.id.source() == ordinal);
    own.map(|p| (p.topic.clone(), p.id.topic())).collect()
}

/// A partition that was read and is no longer there must not be forgotten: its rows would come twice when it is
/// back, and its open windows would be gone.
fn all_there(table: &str, ordinal: usize, manifest: &Manifest, found: &[connectors::Split]) -> Result<()> {
    if found.is_empty() {
        return Err(Error::unavailable(format!(
            "table \"{table}\" has nothing to read: no topic or partition is there"
        ))
        .hint("create the topic first, or check the name or pattern"));
    }
    let missing = manifest
        .sources
        .iter()
        .find(|p| p.id.source() == ordinal && !found.iter().any(|s| s.topic == p.topic && s.partition == p.partition));
    match missing {
        None => Ok(()),
        Some(p) => Err(Error::data(format!(
            "partition {} of \"{}\", read up to offset {}, is no longer there",
            p.partition, p.topic, p.next_offset
        ))
        .hint("bring it back, or start over with --fresh")),
    }
}

fn progress_by_source(partitions: &[OpenPartition]) -> BTreeMap<NodeId, Arc<SourceProgress>> {
    let mut watermarks: BTreeMap<NodeId, Vec<i64>> = BTreeMap::new();
    for open in partitions {
        watermarks.entry(open.source).or_default().push(open.position.watermark);
    }
    watermarks.into_iter().map(|(source, w)| (source, Arc::new(SourceProgress::new(&w)))).collect()
}

/// The error with its row in the user's words: the topic or file it was read from.
fn with_row(error: Error, metrics: &Metrics) -> Error {
    let Some((partition, offset)) = error.row() else { return error };
    // rows that a window has made have no offset: theirs is a hash of their key, far beyond what was read
    let from = metrics.partitions.get(&PartitionId(partition));
    match from.filter(|from| offset <= from.next_offset.load(Ordering::Relaxed).saturating_add(ROWS_AHEAD_MAX)) {
        Some(from) => error.detail(format!(
            "The row has offset {offset} (the first has 0) in partition {} of \"{}\", table \"{}\".",
            from.partition, from.topic, from.table
        )),
        None => error,
    }
}

fn partition_metrics(metrics: &Metrics, position: &SourcePosition) -> Arc<PartitionMetrics> {
    let own =
        Arc::new(PartitionMetrics::new(&position.table, &position.topic, position.partition, position.next_offset));
    own.read.store(position.counts.read, Ordering::Relaxed);
    own.late.store(position.counts.late, Ordering::Relaxed);
    metrics.partitions.insert(position.id, Arc::clone(&own));
    own
}
