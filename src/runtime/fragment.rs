//! What one task runs behind its head: a tree of operators that ends in edges to other tasks.
//!
//! Computing is synchronous, sending waits: operators stay free of `await`, a full channel simply stops the task between
//! two batches, and what is on its way is never much more than a batch, however many rows the operators make of one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use futures::future::BoxFuture;

use crate::error::Result;
use crate::limits::BATCH_ROWS_MAX;
use crate::metrics::OperatorMetrics;
use crate::operators::{Firing, Operator, Output, Snapshot};
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
    late: Vec<(NodeId, LateRow)>,
}

impl Fragment {
    /// Rows enter at the root; what becomes of them is sent.
    pub(crate) async fn process(&mut self, batch: RecordBatch) -> Result<()> {
        self.step(0, batch).await
    }

    /// Event time enters at the root: each operator lets go what is complete before those behind it hear of it. What
    /// has left is sent.
    pub(crate) async fn on_watermark(&mut self, watermark: EventTime) -> Result<()> {
        self.watermark_at(0, watermark).await
    }

    /// Sends a watermark on every edge.
    pub(crate) async fn send_watermark(&mut self, watermark: EventTime) {
        for edge in &mut self.edges {
            edge.watermark(watermark).await;
        }
    }

    /// Sends a barrier on every edge.
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

    fn step(&mut self, at: usize, batch: RecordBatch) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let Step { operator: Some(operator), metrics, .. } = &self.steps[at] else {
                return self.emit(at, vec![batch]).await;
            };
            metrics.rows_in.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            let rows = (BATCH_ROWS_MAX / operator.copies_max(&batch).max(1)).max(1);
            for from in (0..batch.num_rows()).step_by(rows) {
                let Some(operator) = &mut self.steps[at].operator else { break };
                let mut output = Output::default();
                operator.process(batch.slice(from, rows.min(batch.num_rows() - from)), &mut output)?;
                self.take(at, output).await?;
            }
            Ok(())
        })
    }

    fn watermark_at(&mut self, at: usize, watermark: EventTime) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            while let Some(operator) = &mut self.steps[at].operator {
                let mut output = Output::default();
                let firing = operator.on_watermark(watermark, &mut output)?;
                self.take(at, output).await?;
                if firing == Firing::Done {
                    break;
                }
            }
            for next in self.steps[at].next.clone() {
                if let Next::Step(step) = next {
                    self.watermark_at(step, watermark).await?;
                }
            }
            Ok(())
        })
    }

    async fn take(&mut self, at: usize, output: Output) -> Result<()> {
        let Step { node, metrics, .. } = &self.steps[at];
        metrics.late.fetch_add(output.late.len() as u64, Ordering::Relaxed);
        metrics.rows_out.fetch_add(output.rows() as u64, Ordering::Relaxed);
        self.late.extend(output.late.into_iter().map(|row| (*node, row)));
        self.emit(at, output.batches).await
    }

    async fn emit(&mut self, at: usize, batches: Vec<RecordBatch>) -> Result<()> {
        for batch in batches {
            if batch.num_rows() == 0 {
                continue;
            }
            for next in self.steps[at].next.clone() {
                match next {
                    Next::Step(step) => self.step(step, batch.clone()).await?,
                    Next::Edge(edge) => self.edges[edge].batch(batch.clone()).await?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::stream::with_origin;
    use arrow::array::new_empty_array;
    use arrow::datatypes::Schema;

    /// Makes 100 rows of one, and refuses to be given more than fit a batch then.
    struct Copies;

    impl Operator for Copies {
        fn name(&self) -> &str {
            "copies"
        }

        fn process(&mut self, batch: RecordBatch, output: &mut Output) -> Result<()> {
            if batch.num_rows() * 100 > BATCH_ROWS_MAX {
                return Err(Error::internal("too many rows at once"));
            }
            output.batches.push(batch);
            Ok(())
        }

        fn copies_max(&self, _: &RecordBatch) -> usize {
            100
        }

        /// As many rows as the watermark says.
        fn on_watermark(&mut self, left: EventTime, output: &mut Output) -> Result<Firing> {
            output.batches.push(rows(left as usize));
            Ok(Firing::Done)
        }
    }

    fn rows(count: usize) -> RecordBatch {
        let schema = with_origin(&Schema::empty());
        let column = |field: &arrow::datatypes::FieldRef| match field.data_type() {
            arrow::datatypes::DataType::Int32 => Arc::new(arrow::array::Int32Array::from(vec![0; count])) as _,
            arrow::datatypes::DataType::Int64 => Arc::new(arrow::array::Int64Array::from(vec![0; count])) as _,
            other => new_empty_array(other),
        };
        RecordBatch::try_new(Arc::clone(&schema), schema.fields().iter().map(column).collect()).unwrap()
    }

    fn step(next: Vec<Next>) -> Step {
        Step { node: 0, operator: Some(Box::new(Copies)), state_key: "0".into(), metrics: Arc::default(), next }
    }

    #[tokio::test]
    async fn what_multiplies_rows_is_given_so_many_fewer_wherever_they_come_from() {
        let mut fragment = Fragment { steps: vec![step(vec![Next::Step(1)]), step(vec![])], ..Fragment::default() };
        fragment.process(rows(BATCH_ROWS_MAX)).await.unwrap();
        fragment.on_watermark(BATCH_ROWS_MAX as i64).await.unwrap();
        let read = |at: usize| fragment.steps[at].metrics.rows_in.load(Ordering::Relaxed);
        assert_eq!((read(0), read(1)), (BATCH_ROWS_MAX as u64, 2 * BATCH_ROWS_MAX as u64));
    }
}
