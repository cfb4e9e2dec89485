//! Epochs: trigger a barrier, collect what every task says of it, make it durable by one manifest, then
//! make it visible. There is no other commit point.
//!
//! ```text
//!  wait ──due──► trigger ──reports──► objects + ledger ──► manifest (commit) ──► sinks visible ──► wait
//!    └─stop, end of input, new partition──► the same with the last barrier ──► done
//! ```
//! The next barrier is triggered only when the epoch before it is visible, so at most one is in flight.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use tokio::sync::{mpsc, watch};

use crate::connectors::{Hold, SinkState, Source, Split};
use crate::error::{Error, Result};
use crate::failpoint::failpoint;
use crate::limits::FULL_SNAPSHOT_EPOCHS;
use crate::metrics::Metrics;
use crate::operators::Snapshot;
use crate::plan::NodeId;
use crate::runtime::Outcome;
use crate::runtime::late::LateCount;
use crate::runtime::ledger::{Ledger, LedgerEntry};
use crate::runtime::restart;
use crate::state::manifest::{Manifest, SnapshotRef};
use crate::state::snapshot;
use crate::state::store::CheckpointStore;
use crate::stream::{Barrier, LateRow, PartitionId, RowCounts, SourcePosition};
use crate::time::{Clock, unique_id};

/// Key of the one chain of snapshots in the manifest: a checkpoint is one object, whatever the operators.
const CHAIN: &str = "pipeline";
/// Schema metadata that names the operator a stored batch belongs to.
const OPERATOR_KEY: &str = "operator";
/// How often stop requests, bounds and ends are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Which snapshot an epoch takes: a full one first after a start and every [`FULL_SNAPSHOT_EPOCHS`].
pub(crate) fn snapshot_kind(epoch: u64, first_epoch: u64) -> Snapshot {
    if epoch == first_epoch || epoch.is_multiple_of(FULL_SNAPSHOT_EPOCHS) { Snapshot::Full } else { Snapshot::Changes }
}

/// What one task says of an epoch.
#[derive(Debug, Default)]
pub(crate) struct TaskReport {
    pub(crate) epoch: u64,
    pub(crate) position: Option<SourcePosition>,
    pub(crate) ledger: Vec<LedgerEntry>,
    pub(crate) late: Vec<(NodeId, LateRow)>,
    pub(crate) snapshots: Vec<(String, Vec<RecordBatch>)>,
    pub(crate) sink: Option<(String, SinkState)>,
}

impl TaskReport {
    /// Hands the report over; if nobody collects any more, the pipeline is being taken down.
    pub(crate) async fn send(self, reports: &mpsc::Sender<TaskReport>) {
        if reports.send(self).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The store, used from blocking threads.
#[derive(Clone)]
pub(crate) struct SharedStore(Arc<Mutex<CheckpointStore>>);

impl SharedStore {
    pub(crate) fn new(store: CheckpointStore) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }

    /// Runs `work` where it may block.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut CheckpointStore) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&mut store.lock().unwrap_or_else(PoisonError::into_inner)))
            .await
            .map_err(|e| Error::internal(format!("the checkpoint store failed: {e}")))?
    }

    /// Stored batches of every operator, in the order they were written.
    pub(crate) async fn restore(&self, manifest: &Manifest) -> Result<BTreeMap<String, Vec<Vec<RecordBatch>>>> {
        let chain = manifest.operators.get(CHAIN).cloned().unwrap_or_default();
        self.with(move |store| {
            let mut operators: BTreeMap<String, Vec<Vec<RecordBatch>>> = BTreeMap::new();
            for object in chain.iter().flat_map(|s| &s.objects) {
                let mut snapshot: BTreeMap<String, Vec<RecordBatch>> = BTreeMap::new();
                for batch in snapshot::decode(&store.get(object)?)? {
                    let key = batch.schema().metadata().get(OPERATOR_KEY).cloned();
                    let key = key.ok_or_else(|| Error::state("a stored batch does not say whose it is"))?;
                    snapshot.entry(key).or_default().push(batch);
                }
                for (key, batches) in snapshot {
                    operators.entry(key).or_default().push(batches);
                }
            }
            Ok(operators)
        })
        .await
    }
}

/// One source, open.
pub(crate) struct OpenSource {
    pub(crate) source: Box<dyn Source>,
    pub(crate) splits: Vec<(Split, PartitionId)>,
    /// When new partitions were last looked for.
    pub(crate) looked: Duration,
}

/// Sees epochs through.
pub(crate) struct Coordinator {
    // fixed at start
    pub(crate) store: Option<SharedStore>,
    pub(crate) interval: Duration,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) barriers: watch::Sender<Option<Barrier>>,
    pub(crate) tasks: usize,
    pub(crate) reports: mpsc::Receiver<TaskReport>,
    pub(crate) commits: Vec<mpsc::Sender<u64>>,
    pub(crate) committed: mpsc::Receiver<u64>,
    pub(crate) unfinished: Arc<AtomicUsize>,
    /// Stop when the records read, those of earlier runs included, are so many.
    pub(crate) rows_max: Option<u64>,
    pub(crate) drain: bool,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) first_epoch: u64,
    pub(crate) hold: Hold,
    // changes while running
    pub(crate) sources: Vec<OpenSource>,
    pub(crate) ledger: Ledger,
    /// The newest committed epoch; the next one is made from it.
    pub(crate) manifest: Manifest,
    /// Late rows: tasks do not hear of them.
    pub(crate) late: LateCount,
}

/// Why the next barrier is the last, if it is.
enum Next {
    Epoch,
    Last(Outcome),
}

impl Coordinator {
    /// Runs epochs until the job ends.
    ///
    /// # Errors
    /// `Unavailable` if state or a sink cannot be written; `Internal` if rows are unaccounted for.
    pub(crate) async fn run(mut self) -> Result<(Outcome, Manifest)> {
        loop {
            let next = self.wait().await?;
            let last = matches!(next, Next::Last(_));
            self.epoch(last).await?;
            if let Next::Last(outcome) = next {
                return Ok((outcome, self.manifest));
            }
        }
    }

    /// Waits until an epoch is due or the job has to stop.
    async fn wait(&mut self) -> Result<Next> {
        let start = self.clock.elapsed();
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            if *self.stop.borrow() {
                return Ok(Next::Last(Outcome::Stopped));
            }
            if self.unfinished.load(Ordering::Acquire) == 0 {
                return Ok(Next::Last(Outcome::Finished));
            }
            if self.rows_max.is_some_and(|rows| self.metrics.total().read >= rows) {
                return Ok(Next::Last(Outcome::Stopped));
            }
            if self.drain && self.metrics.partitions.iter().all(|p| p.lag.load(Ordering::Relaxed) == 0) {
                return Ok(Next::Last(Outcome::Stopped));
            }
            let now = self.clock.elapsed();
            if now.saturating_sub(start) >= self.interval {
                return if self.partitions_added(now).await? {
                    Ok(Next::Last(Outcome::PartitionsAdded))
                } else {
                    Ok(Next::Epoch)
                };
            }
        }
    }

    /// Whether a source has partitions that no task reads.
    async fn partitions_added(&mut self, now: Duration) -> Result<bool> {
        for open in &mut self.sources {
            if open.source.discovers().is_none_or(|interval| now.saturating_sub(open.looked) < interval) {
                continue;
            }
            open.looked = now;
            match open.source.splits().await {
                Ok(found) if found.iter().any(|split| !open.splits.iter().any(|(known, _)| known == split)) => {
                    return Ok(true);
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "looking for new partitions failed; it is tried again"),
            }
        }
        Ok(false)
    }

    async fn epoch(&mut self, last: bool) -> Result<()> {
        let started = self.clock.elapsed();
        let epoch = self.manifest.epoch + 1;
        self.barriers.send_replace(Some(Barrier { epoch, last }));
        failpoint("epoch.barrier-sent")?;
        let reports = self.collect(epoch).await?;
        failpoint("epoch.reports-collected")?;
        let bytes = self.commit(epoch, last, reports).await?;
        failpoint("epoch.committed")?;
        for sender in &self.commits {
            sender.send(epoch).await.map_err(|_| Error::internal("a sink task is gone"))?;
        }
        failpoint("epoch.sinks-told")?;
        self.ledger.commit(epoch).await?;
        failpoint("epoch.ledger-committed")?;
        for _ in 0..self.commits.len() {
            self.committed.recv().await.ok_or_else(|| Error::internal("a sink task is gone"))?;
        }
        failpoint("epoch.visible")?;
        self.tell_sources();
        let checkpoints = &self.metrics.checkpoints;
        let duration = self.clock.elapsed().saturating_sub(started);
        checkpoints.epoch.store(epoch, Ordering::Relaxed);
        checkpoints.duration_us.store(duration.as_micros() as u64, Ordering::Relaxed);
        checkpoints.bytes.store(bytes, Ordering::Relaxed);
        checkpoints.committed_ms.store(self.clock.now_ms(), Ordering::Relaxed);
        Ok(())
    }

    async fn collect(&mut self, epoch: u64) -> Result<Vec<TaskReport>> {
        let mut reports = Vec::with_capacity(self.tasks);
        while reports.len() < self.tasks {
            let report = self.reports.recv().await.ok_or_else(|| Error::internal("every task is gone"))?;
            if report.epoch != epoch {
                return Err(Error::internal(format!("a task reports epoch {} in epoch {epoch}", report.epoch)));
            }
            reports.push(report);
        }
        Ok(reports)
    }

    /// Writes the epoch's state and ledger and commits it. Returns the bytes of state written.
    async fn commit(&mut self, epoch: u64, last: bool, reports: Vec<TaskReport>) -> Result<u64> {
        let mut manifest = self.manifest.clone();
        manifest.epoch = epoch;
        manifest.created_ms = self.clock.now_ms();
        manifest.put_id = unique_id();
        let (mut entries, mut late, mut snapshots) = (Vec::new(), Vec::new(), Vec::new());
        let mut positions = BTreeMap::new();
        for report in reports {
            entries.extend(report.ledger);
            late.extend(report.late);
            snapshots.extend(report.snapshots);
            positions.extend(report.position.map(|p| (p.id, p)));
            manifest.sinks.extend(report.sink.map(|(key, state)| (key, state.0)));
        }
        entries.extend(self.late.take(late, &positions, &self.manifest.sources)?);
        self.late.store(&mut manifest.extras)?;
        // every sink has been asked: the job runs
        restart::demand(&mut manifest, None)?;
        manifest.sources = self.late.account(positions)?;
        for position in &manifest.sources {
            if let Some(metrics) = self.metrics.partitions.get(&position.id) {
                metrics.late.store(position.counts.late, Ordering::Relaxed);
            }
        }
        manifest.ledger = manifest.sources.iter().fold(RowCounts::default(), |mut total, p| {
            total += p.counts;
            total
        });
        let ledger = self.ledger.prepare(epoch, last, &entries).await?;
        failpoint("epoch.ledger-prepared")?;
        manifest.sinks.extend(ledger.into_iter().map(|(key, state)| (key, state.0)));
        let bytes = self.store_epoch(&mut manifest, snapshots).await?;
        self.manifest = manifest;
        Ok(bytes)
    }

    async fn store_epoch(
        &mut self,
        manifest: &mut Manifest,
        snapshots: Vec<(String, Vec<RecordBatch>)>,
    ) -> Result<u64> {
        let Some(store) = &self.store else { return Ok(0) };
        let full = snapshot_kind(manifest.epoch, self.first_epoch) == Snapshot::Full;
        let chain = manifest.operators.entry(CHAIN.into()).or_default();
        if full {
            chain.clear();
        }
        let mut batches = Vec::new();
        for (key, own) in snapshots {
            batches.extend(own.into_iter().map(|batch| name_batch(&batch, &key)).collect::<Result<Vec<_>>>()?);
        }
        let mut bytes = 0;
        if !batches.is_empty() {
            let encoded = Arc::new(store.with(move |_| snapshot::encode(&batches)).await?);
            bytes = encoded.len() as u64;
            let put = || {
                let encoded = Arc::clone(&encoded);
                store.with(move |store| store.put("state", &encoded))
            };
            let object = until_space(&self.hold, put).await?;
            let reference = SnapshotRef { epoch: manifest.epoch, full, objects: vec![object] };
            manifest.operators.entry(CHAIN.into()).or_default().push(reference);
        }
        failpoint("epoch.state-written")?;
        let commit = || {
            let next = manifest.clone();
            store.with(move |store| store.commit(&next))
        };
        until_space(&self.hold, commit).await?;
        if full {
            let next = manifest.clone();
            store.with(move |store| store.collect_garbage(&next)).await?;
        }
        Ok(bytes)
    }

    /// Offsets for tools that show lag.
    fn tell_sources(&mut self) {
        for open in &mut self.sources {
            let next: Vec<(Split, i64)> = self
                .manifest
                .sources
                .iter()
                .filter_map(|p| {
                    let (split, _) = open.splits.iter().find(|(_, id)| *id == p.id)?;
                    Some((split.clone(), p.next_offset))
                })
                .collect();
            open.source.committed(&next);
        }
    }
}

/// Does what has no effect for want of space, until there is space.
async fn until_space<T, F: Future<Output = Result<T>>>(hold: &Hold, work: impl Fn() -> F) -> Result<T> {
    let mut attempts = hold.attempts();
    loop {
        if let Some(done) = attempts.take(work().await).await? {
            return Ok(done);
        }
    }
}

fn name_batch(batch: &RecordBatch, key: &str) -> Result<RecordBatch> {
    let mut metadata = batch.schema().metadata().clone();
    metadata.insert(OPERATOR_KEY.into(), key.into());
    let schema = batch.schema().as_ref().clone().with_metadata(metadata);
    Ok(batch.clone().with_schema(Arc::new(schema))?)
}

/// The positions a restart goes on from, without taking the job over; empty if there are none.
///
/// # Errors
/// `State` if there are epochs and none can be used.
pub fn positions(directory: &Path) -> Result<Vec<SourcePosition>> {
    Ok(restart::newest_intact(directory)?.map(|found| found.manifest.sources).unwrap_or_default())
}

/// Whether a process holds a checkpoint directory, and the newest epoch in it.
///
/// # Errors
/// `Unavailable` if it cannot be looked at.
pub fn holder(directory: &Path) -> Result<(bool, Option<u64>)> {
    Ok((CheckpointStore::is_held(directory)?, CheckpointStore::newest_epoch(directory)?))
}

/// Takes a checkpoint directory away from the process that holds it, which finds out at its next commit.
///
/// # Errors
/// `Unavailable` if it cannot be written.
pub fn seize(directory: &Path) -> Result<()> {
    CheckpointStore::seize(directory)
}

/// Forgets the epochs of a checkpoint directory (`--fresh`); what is not the engine's stays.
///
/// # Errors
/// `Unavailable` if another process uses it, `State` if it holds foreign files.
pub fn clear(directory: &Path) -> Result<()> {
    if directory.exists() { CheckpointStore::clear(directory) } else { Ok(()) }
}
