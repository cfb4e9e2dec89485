//! Operators: synchronous and deterministic. No I/O, no clock, no await, no spawn; same elements in,
//! same elements out, whatever the batches.
//!
//! A chain of operators runs in one task. An aggregate over windows is two operators: the first half
//! runs where the rows are read and sees one partition's own watermark; the second half merges the
//! partials of all partitions when a window fires.
//!
//! What the operators count on, and the runtime keeps:
//! - a task passes a watermark to its chain before it forwards it, so whatever a partition completes at
//!   `w` reaches the other side of the exchange before `w` does;
//! - a partition whose watermark is lifted by others (it was idle, or is new) is lifted as a whole:
//!   [`watermark::WatermarkAssigner::raise`], then its chain, then the edge;
//! - all instances of a keyed operator have seen the same watermarks when a barrier passes.

mod accumulate;
mod columns;
mod keys;
mod lateness;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub mod calc;
pub mod constant_join;
pub mod over_aggregate;
pub mod session;
pub mod sort;
pub mod unnest;
mod waiting;
pub mod watermark;
pub mod window_aggregate;
pub mod window_assign;
pub mod window_rows;
mod windows;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

use crate::error::Result;
use crate::plan::{Node, NodeKind, PlanExpr, WindowJoin};
use crate::stream::LateRow;
use crate::time::EventTime;

/// Where an operator puts what it makes.
#[derive(Debug, Default)]
pub struct Output {
    /// Batches in order, each with its origin columns.
    pub batches: Vec<RecordBatch>,
    /// Rows that came too late for the operator.
    pub late: Vec<LateRow>,
}

impl Output {
    /// Rows in `batches`.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// How far an operator got with what a watermark completes.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firing {
    /// All of it has left.
    Done,
    /// A batch or more is ready, and there is more: to be called again with the same watermark.
    More,
}

/// How much of its state an operator writes at a barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    /// All of it.
    Full,
    /// What changed since the last snapshot of either sort.
    Changes,
}

/// One step of a chain.
///
/// # Contract
/// Results depend on the rows and their origin columns only, never on how rows are cut into batches or
/// on when a watermark arrives relative to rows it does not concern. Watermarks never fall. An operator
/// forwards nothing but rows: the task forwards watermarks and barriers after it.
pub trait Operator: Send {
    /// Name for errors, metrics and the ledger: `window_aggregate`, `over_aggregate`, ….
    fn name(&self) -> &str;

    /// Takes a batch (node columns, then origin columns).
    ///
    /// # Errors
    /// `Data` if a value cannot be computed; `Internal` for a broken invariant.
    fn process(&mut self, batch: RecordBatch, output: &mut Output) -> Result<()>;

    /// Most rows that one row of a batch becomes: so many fewer are given to [`Operator::process`] at a time.
    fn copies_max(&self, _batch: &RecordBatch) -> usize {
        1
    }

    /// Event time has passed `watermark`: what is complete leaves, in a defined order. An operator whose results are
    /// more than its state (a row is in many windows, a join pairs rows) lets them go by the batch: [`Firing::More`].
    ///
    /// # Errors
    /// As [`Operator::process`].
    fn on_watermark(&mut self, _watermark: EventTime, _output: &mut Output) -> Result<Firing> {
        Ok(Firing::Done)
    }

    /// Writes state as Arrow batches; their schemas may differ from one another. Called at every barrier.
    ///
    /// # Errors
    /// `Internal` for a broken invariant.
    fn snapshot(&mut self, _how: Snapshot) -> Result<Vec<RecordBatch>> {
        Ok(Vec::new())
    }

    /// Takes one snapshot back. Called before the first row, once per stored snapshot in the order they
    /// were written, a full one first. The snapshots of *all* instances of the operator are given to
    /// each instance; `owns` says whether a row of keys is this instance's.
    ///
    /// # Errors
    /// `State` if the batches do not fit.
    fn restore(&mut self, _snapshot: Vec<RecordBatch>, _owns: &KeyFilter) -> Result<()> {
        Ok(())
    }

    /// Bytes of state held.
    fn state_bytes(&self) -> usize {
        0
    }
}

/// Which keys belong to one of several parallel instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFilter {
    /// This instance.
    pub instance: usize,
    /// How many there are.
    pub instances: usize,
}

impl KeyFilter {
    /// Every key: the only instance.
    pub const ALL: Self = Self { instance: 0, instances: 1 };

    /// Whether a key with this hash ([`hash_keys`]) belongs here.
    pub fn owns(&self, hash: u64) -> bool {
        self.instances <= 1 || hash % self.instances as u64 == self.instance as u64
    }
}

/// Hashes of rows of key columns, `[n]`; the same in every process, so that an exchange and a restore agree.
///
/// # Errors
/// `Internal` for a type that cannot be hashed.
pub fn hash_keys(columns: &[arrow::array::ArrayRef], rows: usize) -> Result<Vec<u64>> {
    use datafusion::common::hash_utils::{RandomState, create_hashes};
    let mut hashes = vec![0; rows];
    if !columns.is_empty() {
        let columns: Vec<_> = columns.iter().map(keys::bits_of_key).collect();
        create_hashes(&columns, &RandomState::with_seed(0x5eed), &mut hashes)?;
    }
    Ok(hashes)
}

/// The operator of a node that needs no exchange: it runs in the chain of the task that makes its input.
///
/// # Errors
/// `Internal` if node and expressions do not fit.
pub fn chained(node: &Node) -> Result<Option<Box<dyn Operator>>> {
    Ok(match &node.kind {
        NodeKind::Calc(calc) => Some(Box::new(calc::CalcOperator::new(calc, &node.schema))),
        NodeKind::Unnest(unnest) => Some(Box::new(unnest::UnnestOperator::new(unnest, &node.schema))),
        NodeKind::ConstantJoin(join) => Some(Box::new(constant_join::ConstantJoinOperator::new(join, &node.schema)?)),
        NodeKind::WindowAssign(assign) => {
            Some(Box::new(window_assign::WindowAssignOperator::new(assign, &node.schema)?))
        }
        _ => None,
    })
}

/// The half of a node that runs in the task its input comes from, before the exchange. `input` is
/// the schema of the node's input, without origin columns.
///
/// It stands behind a source partition or behind an instance of a keyed operator; each stored snapshot is given
/// back to exactly one instance, with [`KeyFilter::ALL`].
///
/// # Errors
/// `Internal` if node and expressions do not fit, `Sql` for a function that cannot run per group.
pub fn local(node: &Node, input: &SchemaRef) -> Result<Option<Box<dyn Operator>>> {
    Ok(match &node.kind {
        NodeKind::WindowAggregate(window) if !window.window.kind.is_session() => {
            Some(Box::new(window_aggregate::LocalWindowAggregate::new(window, input)?))
        }
        _ => None,
    })
}

/// The half of a node that runs after the exchange by key, in as many instances as wanted. `input` is
/// the schema of the node's input, without origin columns.
///
/// # Errors
/// As [`local`].
pub fn keyed(node: &Node, input: &SchemaRef) -> Result<Option<Box<dyn Operator>>> {
    Ok(match &node.kind {
        NodeKind::WindowAggregate(window) if window.window.kind.is_session() => {
            Some(Box::new(session::SessionAggregate::new(window, input, &node.schema)?))
        }
        NodeKind::WindowAggregate(window) => {
            Some(Box::new(window_aggregate::GlobalWindowAggregate::new(window, input, &node.schema)?))
        }
        NodeKind::WindowRank(rank) => Some(Box::new(window_rows::WindowRows::rank(rank, input, &node.schema)?)),
        NodeKind::Sort(sort) => Some(Box::new(sort::SortOperator::new(sort, input, &node.schema)?)),
        NodeKind::WindowJoin(join) => Some(Box::new(window_rows::WindowRows::join(join, input, &node.schema)?)),
        NodeKind::OverAggregate(over) => {
            Some(Box::new(over_aggregate::OverAggregateOperator::new(over, input, &node.schema)?))
        }
        _ => None,
    })
}

/// How the rows that enter the [`keyed`] half of a node are spread over its instances; `None` if it has
/// no such half.
///
/// # Errors
/// As [`local`].
pub fn route(node: &Node, _input: &SchemaRef) -> Result<Option<KeySelector>> {
    let exprs = |keys: &[PlanExpr]| keys.iter().map(|key| Arc::clone(&key.expr)).collect();
    let keys = match &node.kind {
        NodeKind::WindowAggregate(window) if window.window.kind.is_session() => exprs(&window.keys),
        // The partials of the first half start with the key columns.
        NodeKind::WindowAggregate(window) => places(0..window.keys.len()),
        NodeKind::OverAggregate(over) => exprs(&over.keys),
        NodeKind::WindowRank(rank) => exprs(&rank.keys),
        NodeKind::WindowJoin(join) => join_keys(join),
        NodeKind::Sort(_) => Vec::new(),
        _ => return Ok(None),
    };
    Ok(Some(KeySelector { keys }))
}

fn join_keys(join: &WindowJoin) -> Vec<Arc<dyn PhysicalExpr>> {
    places(WindowJoin::KEYS..WindowJoin::KEYS + join.keys)
}

/// Columns by place.
fn places(places: std::ops::Range<usize>) -> Vec<Arc<dyn PhysicalExpr>> {
    places.map(|place| Arc::new(Column::new("key", place)) as _).collect()
}

/// The key columns of rows on their way to a keyed operator.
#[derive(Debug, Clone)]
pub struct KeySelector {
    keys: Vec<Arc<dyn PhysicalExpr>>,
}

impl KeySelector {
    /// Hashes of the keys of the rows, `[n]`, for [`KeyFilter::owns`]; 0 if there are no keys: all rows
    /// go to the first instance.
    ///
    /// # Errors
    /// `Data` if a key cannot be computed.
    pub fn hashes(&self, batch: &RecordBatch) -> Result<Vec<u64>> {
        hash_keys(&columns::evaluate_all(&self.keys, batch)?, batch.num_rows())
    }
}
