//! What one task runs behind its head: a tree of operators that ends in edges to other tasks.
//!
//! Computing is synchronous and fills `ready`; sending waits. The two never mix, so operators stay free of
//! `await` and a full channel simply stops the task between two batches.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;

use crate::error::Result;
use crate::metrics::OperatorMetrics;
use crate::operators::{Operator, Output, Snapshot};
use crate::plan::NodeId;
use crate::runtime::channel::EdgeOut;
use crate::stream::{Barrier, LateRow};
use crate::time::EventTime;

/// Where a step's rows go.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Next {
    /// Another step of the fragment.
    Step(usize),
    /// An edge to other tasks.
    Edge(usize),
}

/// One operator of the tree. A step without operator hands its rows on.
pub(crate) struct Step {
    /// Its place in the plan.
    pub(crate) node: NodeId,
    pub(crate) operator: Option<Box<dyn Operator>>,
    /// Name of its state in the checkpoint.
    pub(crate) state_key: String,
    pub(crate) metrics: Arc<OperatorMetrics>,
    pub(crate) next: Vec<Next>,
}

/// The tree; step 0 is its root.
#[derive(Default)]
pub(crate) struct Fragment {
    pub(crate) steps: Vec<Step>,
    pub(crate) edges: Vec<EdgeOut>,
    ready: Vec<(usize, RecordBatch)>,
    late: Vec<(NodeId, LateRow)>,
}

impl Fragment {
    /// Rows enter at the root.
    pub(crate) fn process(&mut self, batch: RecordBatch) -> Result<()> {
        self.step(0, batch)
    }

    /// Event time enters at the root: each operator lets go what is complete before those behind it hear of it.
    pub(crate) fn on_watermark(&mut self, watermark: EventTime) -> Result<()> {
        self.watermark_at(0, watermark)
    }

    /// Sends what is ready.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        for (edge, batch) in self.ready.drain(..) {
            self.edges[edge].batch(batch).await?;
        }
        Ok(())
    }

    /// Sends a watermark on every edge. Call after [`Fragment::flush`].
    pub(crate) async fn send_watermark(&mut self, watermark: EventTime) {
        for edge in &mut self.edges {
            edge.watermark(watermark).await;
        }
    }

    /// Sends a barrier on every edge. Call after [`Fragment::flush`].
    pub(crate) async fn send_barrier(&mut self, barrier: Barrier) {
        for edge in &mut self.edges {
            edge.barrier(barrier).await;
        }
    }

    /// Changes of state of every operator, by state key.
    pub(crate) fn snapshot(&mut self, how: Snapshot) -> Result<Vec<(String, Vec<RecordBatch>)>> {
        let mut snapshots = Vec::new();
        for step in &mut self.steps {
            if let Some(operator) = &mut step.operator {
                step.metrics.state_bytes.store(operator.state_bytes() as u64, Ordering::Relaxed);
                let batches = operator.snapshot(how)?;
                if !batches.is_empty() {
                    snapshots.push((step.state_key.clone(), batches));
                }
            }
        }
        Ok(snapshots)
    }

    /// Late rows since the last call, with the node they came too late for.
    pub(crate) fn take_late(&mut self) -> Vec<(NodeId, LateRow)> {
        std::mem::take(&mut self.late)
    }

    fn step(&mut self, at: usize, batch: RecordBatch) -> Result<()> {
        let step = &mut self.steps[at];
        let Some(operator) = &mut step.operator else { return self.emit(at, vec![batch]) };
        let mut output = Output::default();
        step.metrics.rows_in.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        operator.process(batch, &mut output)?;
        self.take(at, output)
    }

    fn watermark_at(&mut self, at: usize, watermark: EventTime) -> Result<()> {
        if let Some(operator) = &mut self.steps[at].operator {
            let mut output = Output::default();
            operator.on_watermark(watermark, &mut output)?;
            self.take(at, output)?;
        }
        for next in self.steps[at].next.clone() {
            if let Next::Step(step) = next {
                self.watermark_at(step, watermark)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, at: usize, output: Output) -> Result<()> {
        let Step { node, metrics, .. } = &self.steps[at];
        metrics.late.fetch_add(output.late.len() as u64, Ordering::Relaxed);
        let rows: usize = output.batches.iter().map(RecordBatch::num_rows).sum();
        metrics.rows_out.fetch_add(rows as u64, Ordering::Relaxed);
        self.late.extend(output.late.into_iter().map(|row| (*node, row)));
        self.emit(at, output.batches)
    }

    fn emit(&mut self, at: usize, batches: Vec<RecordBatch>) -> Result<()> {
        for batch in batches {
            if batch.num_rows() == 0 {
                continue;
            }
            for next in self.steps[at].next.clone() {
                match next {
                    Next::Step(step) => self.step(step, batch.clone())?,
                    Next::Edge(edge) => self.ready.push((edge, batch.clone())),
                }
            }
        }
        Ok(())
    }
}
