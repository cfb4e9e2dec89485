//! The consumer task of one partition: read, decode, give each row its watermark, run the first half of
//! the pipeline, and answer barriers. No channel lies between these steps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::connectors::{BadRecords, Fetched, Gap, SourceBatch, SplitReader};
use crate::error::{Error, Result};
use crate::limits::SOURCE_TICK;
use crate::metrics::{Metrics, PartitionMetrics};
use crate::operators::Snapshot;
use crate::operators::watermark::{Casualty, CasualtyKind, WatermarkAssigner};
use crate::runtime::checkpoint::{TaskReport, snapshot_kind};
use crate::runtime::fragment::Fragment;
use crate::runtime::ledger::{LedgerEntry, LedgerKind, check_balance};
use crate::runtime::progress::SourceProgress;
use crate::stream::{Barrier, RowCounts, SourcePosition};
use crate::time::{Clock, EventTime, WATERMARK_MAX};

/// One partition of one source, at work.
pub(crate) struct SourceTask {
    // fixed at start
    pub(crate) reader: Option<Box<dyn SplitReader>>,
    pub(crate) idle_timeout: Option<Duration>,
    /// Event time is the time of the machine, which passes without rows.
    pub(crate) by_the_clock: bool,
    /// What becomes of rows that cannot be used.
    pub(crate) bad_records: BadRecords,
    pub(crate) progress: Arc<SourceProgress>,
    /// Place among the partitions of its source.
    pub(crate) place: usize,
    pub(crate) metrics: Arc<PartitionMetrics>,
    /// Take no more once all partitions of the job have read so many records, those of earlier runs included.
    pub(crate) rows_max: Option<u64>,
    pub(crate) job_metrics: Arc<Metrics>,
    pub(crate) barriers: watch::Receiver<Option<Barrier>>,
    pub(crate) reports: mpsc::Sender<TaskReport>,
    /// Partitions of the job that have not ended.
    pub(crate) unfinished: Arc<AtomicUsize>,
    pub(crate) clock: Clock,
    pub(crate) first_epoch: u64,
    // changes while running
    pub(crate) position: SourcePosition,
    /// Silent for longer than the idle timeout.
    pub(crate) idle: bool,
    pub(crate) assigner: WatermarkAssigner,
    pub(crate) fragment: Fragment,
    pub(crate) ahead: RowsAhead,
    pub(crate) ledger: Vec<LedgerEntry>,
}

/// Rows sent whose time the told watermark has not reached: what downstream has to hold for this partition.
#[derive(Debug, Default)]
pub(crate) struct RowsAhead {
    /// (the partition's watermark after a batch, rows of the batch).
    batches: VecDeque<(EventTime, u64)>,
    rows: u64,
}

impl RowsAhead {
    fn add(&mut self, watermark: EventTime, rows: u64) {
        self.batches.push_back((watermark, rows));
        self.rows += rows;
    }

    fn told(&mut self, told: EventTime) -> u64 {
        while let Some((watermark, rows)) = self.batches.front().copied() {
            if watermark > told {
                break;
            }
            self.rows -= rows;
            self.batches.pop_front();
        }
        self.rows
    }
}

/// What the loop does next.
enum Turn {
    Barrier(Barrier),
    Fetched(Fetched),
    Tick,
}

impl SourceTask {
    /// Runs until the last barrier.
    ///
    /// # Errors
    /// Those of the connector and of the operators in the fragment.
    pub(crate) async fn run(mut self) -> Result<()> {
        let mut tick = tokio::time::interval(SOURCE_TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last_row = self.clock.elapsed();
        if self.position.finished {
            self.finish().await?;
        }
        loop {
            let enough = self.rows_max.is_some_and(|rows| self.job_metrics.total().read >= rows);
            let waits = enough || self.progress.must_wait(self.place, self.ahead.told(self.progress.told()));
            match self.turn(&mut tick, waits).await? {
                Turn::Barrier(barrier) => {
                    self.on_barrier(barrier).await?;
                    if barrier.last {
                        return Ok(());
                    }
                }
                Turn::Fetched(Fetched::Rows(batch)) => {
                    // Records that are no rows (garbage, tombstones) do not hold event time.
                    let speaks = batch.rows.num_rows() > 0;
                    if speaks && self.idle {
                        self.idle = false;
                        self.assigner.raise(self.progress.resume(self.place));
                        self.metrics.idle.store(false, Ordering::Relaxed);
                    }
                    if speaks {
                        last_row = self.clock.elapsed();
                    }
                    self.on_rows(*batch).await?;
                }
                Turn::Fetched(Fetched::Gap(gap)) => self.on_gap(gap),
                Turn::Fetched(Fetched::End) => self.finish().await?,
                Turn::Tick => {
                    let silent = self.clock.elapsed().saturating_sub(last_row);
                    if waits || self.behind() {
                        last_row = self.clock.elapsed();
                    } else if !self.idle && self.idle_timeout.is_some_and(|timeout| silent >= timeout) {
                        self.idle = true;
                        self.metrics.idle.store(true, Ordering::Relaxed);
                    }
                    self.tell().await?;
                }
            }
        }
    }

    async fn turn(&mut self, tick: &mut tokio::time::Interval, waits: bool) -> Result<Turn> {
        let reader = if waits || self.position.finished { None } else { self.reader.as_mut() };
        let fetch = async {
            match reader {
                Some(reader) => reader.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = self.barriers.changed() => {
                if changed.is_err() {
                    // The coordinator has failed: its error takes the pipeline down.
                    std::future::pending::<()>().await;
                }
                let barrier = *self.barriers.borrow_and_update();
                barrier.map(Turn::Barrier).ok_or_else(|| Error::internal("an empty barrier was triggered"))
            }
            _ = tick.tick() => Ok(Turn::Tick),
            fetched = fetch => Ok(Turn::Fetched(fetched?)),
        }
    }

    async fn on_rows(&mut self, batch: SourceBatch) -> Result<()> {
        let first = batch.offsets.values().first().copied().unwrap_or(batch.next_offset);
        if first.min(batch.next_offset) < self.position.next_offset {
            return Err(Error::internal(format!(
                "\"{}\" partition {} is read up to offset {}, and now comes offset {first}",
                self.position.topic, self.position.partition, self.position.next_offset
            )));
        }
        self.position.counts += RowCounts {
            read: batch.read,
            bad: batch.bad.len() as u64,
            tombstones: batch.tombstones,
            ..RowCounts::default()
        };
        self.position.next_offset = batch.next_offset;
        // `fail` lets records without a row through: these are kept, too.
        if self.bad_records != BadRecords::Drop {
            self.ledger.extend(batch.bad.into_iter().map(|bad| LedgerEntry::of_bad_record(&self.position, bad)));
        }
        if batch.rows.num_rows() > 0 {
            self.assigner.at(self.clock.now_ms());
            let assigned = self.assigner.assign(&batch.rows, &batch.offsets, batch.timestamps.as_ref())?;
            self.on_casualties(assigned.casualties)?;
            let taken = assigned.batch.num_rows() as u64;
            self.position.counts.processed += taken;
            self.fragment.process(assigned.batch).await?;
            self.ahead.add(self.assigner.watermark(), taken);
        }
        // What has come in was counted by the connector, what became of it here: a row lost between is found now.
        check_balance(&self.position)?;
        self.advance().await?;
        self.publish_counts();
        Ok(())
    }

    /// Records that are gone: kept as a row of the ledger, with the epoch whose position lies behind them. They were
    /// not read, so the balance has nothing of them.
    fn on_gap(&mut self, gap: Gap) {
        let SourcePosition { topic, partition, .. } = &self.position;
        let Gap { first, next, message, .. } = &gap;
        tracing::warn!(topic, partition, first, next, "records are missing; they are a row of ledger.gap: {message}");
        self.metrics.lost.fetch_add(gap.count.unwrap_or(0), Ordering::Relaxed);
        self.metrics.gaps.fetch_add(1, Ordering::Relaxed);
        self.position.next_offset = gap.next;
        self.ledger.push(LedgerEntry::of_gap(&self.position, gap));
        self.publish_counts();
    }

    /// Rows that cannot go on. What is wrong with a row follows `bad-records`; a time too far ahead is a matter of
    /// clocks, not of the row, and is always kept.
    fn on_casualties(&mut self, casualties: Vec<Casualty>) -> Result<()> {
        for casualty in casualties {
            match (casualty.kind, self.bad_records) {
                (CasualtyKind::Future, _) => {
                    self.position.counts.future += 1;
                    self.ledger.push(LedgerEntry::of_casualty(&self.position, LedgerKind::Future, casualty));
                }
                (CasualtyKind::Bad, BadRecords::Fail) => return Err(unusable(&self.position, &casualty)),
                (CasualtyKind::Bad, BadRecords::Drop) => self.position.counts.bad += 1,
                (CasualtyKind::Bad, BadRecords::Ledger) => {
                    self.position.counts.bad += 1;
                    self.ledger.push(LedgerEntry::of_casualty(&self.position, LedgerKind::Bad, casualty));
                }
            }
        }
        Ok(())
    }

    /// Lets event time of the partition work on its own operators, then tells the others the minimum.
    async fn advance(&mut self) -> Result<()> {
        let watermark = self.assigner.watermark();
        self.position.watermark = watermark;
        self.metrics.watermark.store(watermark, Ordering::Relaxed);
        self.fragment.on_watermark(watermark).await?;
        let told = self.progress.advance(self.place, watermark, self.behind());
        self.fragment.send_watermark(told).await;
        Ok(())
    }

    /// Tells how far event time is now, also where this partition has nothing to say itself.
    async fn tell(&mut self) -> Result<()> {
        let told = if self.position.finished {
            self.progress.told()
        } else if self.by_the_clock {
            self.assigner.at(self.clock.now_ms());
            self.position.watermark = self.assigner.watermark();
            self.fragment.on_watermark(self.assigner.watermark()).await?;
            self.progress.advance(self.place, self.assigner.watermark(), false)
        } else if self.idle {
            // An idle partition follows the others, so that its own windows close with theirs.
            let told = self.progress.idle(self.place);
            self.assigner.raise(told);
            self.position.watermark = self.assigner.watermark();
            self.fragment.on_watermark(self.assigner.watermark()).await?;
            told
        } else {
            self.progress.advance(self.place, self.assigner.watermark(), self.behind())
        };
        self.publish_counts();
        self.fragment.send_watermark(told).await;
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        self.position.finished = true;
        self.take_fingerprint();
        self.reader = None;
        self.assigner.raise(WATERMARK_MAX);
        self.position.watermark = WATERMARK_MAX;
        self.fragment.on_watermark(WATERMARK_MAX).await?;
        let told = self.progress.finish(self.place);
        self.fragment.send_watermark(told).await;
        self.metrics.lag.store(0, Ordering::Relaxed);
        self.unfinished.fetch_sub(1, Ordering::Release);
        Ok(())
    }

    /// The epoch ends with all that event time allows: a stop leaves nothing waiting that is complete.
    async fn on_barrier(&mut self, barrier: Barrier) -> Result<()> {
        self.tell().await?;
        self.take_fingerprint();
        let how: Snapshot = snapshot_kind(barrier.epoch, self.first_epoch);
        let report = TaskReport {
            epoch: barrier.epoch,
            position: Some(self.position.clone()),
            ledger: std::mem::take(&mut self.ledger),
            late: self.fragment.take_late(),
            snapshots: self.fragment.snapshot(how)?,
            sink: None,
        };
        self.fragment.send_barrier(barrier).await;
        report.send(&self.reports).await;
        Ok(())
    }

    /// Of what was read up to the position. It stays as it was once the reader is gone.
    fn take_fingerprint(&mut self) {
        if let Some(reader) = &self.reader {
            self.position.fingerprint = reader.fingerprint();
        }
    }

    fn behind(&self) -> bool {
        !self.position.finished && self.reader.as_ref().and_then(|r| r.lag()).is_some_and(|lag| lag > 0)
    }

    fn publish_counts(&self) {
        let counts = &self.position.counts;
        let metrics = &self.metrics;
        metrics.read.store(counts.read, Ordering::Relaxed);
        metrics.bad.store(counts.bad, Ordering::Relaxed);
        metrics.future.store(counts.future, Ordering::Relaxed);
        metrics.tombstones.store(counts.tombstones, Ordering::Relaxed);
        metrics.next_offset.store(self.position.next_offset, Ordering::Relaxed);
        let lag = self.reader.as_ref().and_then(|r| r.lag());
        metrics.lag.store(lag.map_or(-1, |l| l as i64), Ordering::Relaxed);
    }
}

fn unusable(position: &SourcePosition, casualty: &Casualty) -> Error {
    Error::data(format!(
        "row at offset {} (the first has 0) of \"{}\" partition {} cannot be used: {}",
        casualty.offset, position.topic, position.partition, casualty.message
    ))
    .or_at(casualty.place)
    .hint("mend the row, or set 'bad-records' = 'ledger' to keep such rows apart and go on")
}

#[cfg(test)]
mod tests;
