//! Tasks behind an exchange: a keyed operator with what follows it, and the writer of one sink.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{and, filter_record_batch, is_not_null};
use arrow::datatypes::SchemaRef;
use tokio::sync::mpsc;

use crate::connectors::{Sink, SinkState};
use crate::error::Result;
use crate::metrics::SinkMetrics;
use crate::runtime::channel::{Event, Inputs};
use crate::runtime::checkpoint::{TaskReport, snapshot_kind};
use crate::runtime::fragment::Fragment;
use crate::runtime::ledger::LedgerEntry;
use crate::stream::without_origin;

/// One instance of a keyed operator and the stateless steps behind it.
pub(crate) struct KeyedTask {
    pub(crate) inputs: Inputs,
    pub(crate) fragment: Fragment,
    pub(crate) reports: mpsc::Sender<TaskReport>,
    pub(crate) first_epoch: u64,
}

impl KeyedTask {
    /// Runs until every input has ended.
    ///
    /// # Errors
    /// Those of the operators.
    pub(crate) async fn run(mut self) -> Result<()> {
        loop {
            match self.inputs.next().await {
                Event::Batch(batch) => self.fragment.process(batch).await?,
                Event::Watermark(watermark) => {
                    self.fragment.on_watermark(watermark).await?;
                    self.fragment.send_watermark(watermark).await;
                }
                Event::Barrier(barrier) => {
                    let report = TaskReport {
                        epoch: barrier.epoch,
                        late: self.fragment.take_late(),
                        snapshots: self.fragment.snapshot(snapshot_kind(barrier.epoch, self.first_epoch))?,
                        ..TaskReport::default()
                    };
                    self.fragment.send_barrier(barrier).await;
                    report.send(&self.reports).await;
                }
                Event::End => return Ok(()),
            }
        }
    }
}

/// A bounded look at the rows a sink writes, for people; full means skipped.
pub(crate) type Preview = mpsc::Sender<RecordBatch>;

/// The writer of one table.
pub(crate) struct SinkTask {
    pub(crate) inputs: Inputs,
    pub(crate) sink: Box<dyn Sink>,
    /// Name of its state in the manifest.
    pub(crate) key: String,
    /// Name of the table.
    pub(crate) table: String,
    pub(crate) preview: Option<Preview>,
    pub(crate) metrics: Arc<SinkMetrics>,
    /// What the sink takes.
    pub(crate) schema: SchemaRef,
    /// Columns of the input whose NULLs leave a row out.
    pub(crate) required: Vec<usize>,
    pub(crate) reports: mpsc::Sender<TaskReport>,
    /// Epochs whose manifest is durable.
    pub(crate) commits: mpsc::Receiver<u64>,
    /// Answers: this epoch is visible.
    pub(crate) committed: mpsc::Sender<u64>,
}

impl SinkTask {
    /// Runs until the last epoch is visible.
    ///
    /// # Errors
    /// Those of the sink.
    pub(crate) async fn run(mut self) -> Result<()> {
        loop {
            match self.inputs.next().await {
                Event::Batch(batch) => self.write(batch).await?,
                Event::Watermark(_) => {}
                Event::Barrier(barrier) => {
                    let state: SinkState = self.sink.prepare(barrier.epoch, barrier.last).await?;
                    let sink = Some((self.key.clone(), state));
                    let rejected = self.sink.rejected().into_iter();
                    let ledger = rejected.map(|row| LedgerEntry::of_rejected_row(&self.table, row)).collect();
                    TaskReport { epoch: barrier.epoch, sink, ledger, ..TaskReport::default() }
                        .send(&self.reports)
                        .await;
                    if !self.commit().await? {
                        return Ok(());
                    }
                }
                Event::End => return Ok(()),
            }
        }
    }

    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        let rows = self.complete(without_origin(&batch)?)?;
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.metrics.rows.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
        if let Some(preview) = &self.preview {
            // A full preview means nobody can read that fast: the rows are in the sink all the same.
            drop(preview.try_send(rows.clone()));
        }
        self.sink.write(rows).await
    }

    /// The rows without NULL where the table has NOT NULL.
    fn complete(&self, rows: RecordBatch) -> Result<RecordBatch> {
        if self.required.is_empty() {
            return Ok(rows);
        }
        let mut keep: Option<BooleanArray> = None;
        for column in self.required.iter().filter_map(|at| rows.columns().get(*at)) {
            let here = is_not_null(column)?;
            keep = Some(match keep {
                Some(others) => and(&others, &here)?,
                None => here,
            });
        }
        let kept = match keep {
            Some(keep) if keep.has_false() => filter_record_batch(&rows, &keep)?,
            _ => rows.clone(),
        };
        self.metrics.dropped.fetch_add((rows.num_rows() - kept.num_rows()) as u64, Ordering::Relaxed);
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), kept.columns().to_vec())?)
    }

    /// Waits for the manifest of the epoch just prepared; false if the coordinator is gone.
    async fn commit(&mut self) -> Result<bool> {
        let Some(epoch) = self.commits.recv().await else { return Ok(false) };
        self.sink.commit(epoch).await?;
        self.metrics.epoch.store(epoch, Ordering::Relaxed);
        Ok(self.committed.send(epoch).await.is_ok())
    }
}
