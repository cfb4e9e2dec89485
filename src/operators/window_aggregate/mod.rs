//! `GROUP BY window_start, window_end, keys`: two operators with an exchange between them.
//!
//! [`LocalWindowAggregate`] runs per source partition and keeps *panes*: partial results of one slice,
//! for rows that can first join the window `from_end`. [`GlobalWindowAggregate`] runs per hash of the
//! keys, collects the panes of all partitions and merges those of a window when the watermark passes
//! its end. Lateness is decided in the first, from the row's own watermark; the second merges in the
//! order (slice, first window, partition). So a result is a function of the input log alone, but for what depends on the
//! order of rows that several instances of an operator before it have made of one partition.
//!
//! ```text
//! rows of one partition ─► pane (from_end, slice_end) ──watermark ≥ from_end−1──► partials
//! partials of all partitions ─► piece (slice_end, from_end, partition) ──watermark ≥ E−1──► window E
//! ```

mod global;
mod local;
#[cfg(test)]
mod tests;

pub use global::GlobalWindowAggregate;
pub use local::LocalWindowAggregate;

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;

use super::accumulate::GroupSpec;
use super::columns::row_times;
use super::windows::{Slices, WindowClock};
use crate::error::Result;
use crate::plan::{WindowAggregate, WindowKind};
use crate::stream::with_origin;

/// Name in errors, metrics and the ledger.
const NAME: &str = "window_aggregate";

/// What both halves know of the query.
#[derive(Debug)]
struct WindowQuery {
    /// Windows, slices and the watermarks they are compared with are in its time.
    clock: WindowClock,
    slices: Slices,
    rowtime: usize,
    /// Place of the end of their window in rows that come with one.
    attached: Option<usize>,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    groups: Arc<GroupSpec>,
    /// Of partials: keys, states, `slice_end`, `from_end`, origin columns.
    partial: SchemaRef,
}

impl WindowQuery {
    fn new(plan: &WindowAggregate, input: &SchemaRef) -> Result<Self> {
        let keys: Vec<Arc<dyn PhysicalExpr>> = plan.keys.iter().map(|key| Arc::clone(&key.expr)).collect();
        let fields = keys
            .iter()
            .enumerate()
            .map(|(i, key)| Ok(Arc::new(Field::new(format!("key{i}"), key.data_type(input)?, true)) as FieldRef))
            .collect::<Result<Vec<_>>>()?;
        let groups = Arc::new(GroupSpec::new(fields, &plan.aggregates)?);
        let mut partial = groups.partial.clone();
        for name in ["slice_end", "from_end"] {
            partial.push(Arc::new(Field::new(name, DataType::Int64, false)));
        }
        Ok(Self {
            clock: WindowClock::new(plan.window.zone),
            slices: Slices::new(&plan.window)?,
            rowtime: plan.window.rowtime,
            attached: match plan.window.kind {
                WindowKind::Attached { end } => Some(end),
                _ => None,
            },
            keys,
            groups,
            partial: with_origin(&Schema::new(partial)),
        })
    }

    /// By which time of the clock each row finds its windows: that of the row, or the last of its window.
    fn times(&self, batch: &RecordBatch, event_times: &Int64Array) -> Result<Int64Array> {
        Ok(match self.attached {
            Some(end) => row_times(batch, end)?.unary(|end| end.saturating_sub(1)),
            None => self.clock.times(event_times.clone()),
        })
    }

    /// Place of `slice_end` in a partial; `from_end` follows.
    fn slice_end_column(&self) -> usize {
        self.groups.partial.len()
    }
}
