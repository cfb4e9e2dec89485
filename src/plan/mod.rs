//! The waist of the hourglass: what a script means, as plain data.
//!
//! `sql` builds a [`StreamPlan`], `runtime` runs it, `explain` prints it; neither half knows the other.
//! Nodes stand in topological order; an edge is a node's place in another node's `inputs`. Equal
//! subtrees are one node ([`PlanBuilder::add`]), so INSERTs of one statement set share their source.

mod difference;
pub mod explain;

pub use self::difference::difference;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;

use crate::table::TableSpec;
use crate::time::zone::Zone;

/// A compiled expression and the text a person would write for it.
#[derive(Debug, Clone)]
pub struct PlanExpr {
    /// Evaluates over the columns of the node's input.
    pub expr: Arc<dyn PhysicalExpr>,
    /// For `explain` and the fingerprint.
    pub text: String,
}

/// A compiled aggregate call, and its `FILTER (WHERE …)`.
#[derive(Debug, Clone)]
pub struct PlanAggregate {
    /// The function with its arguments over the columns of the node's input.
    pub call: Arc<AggregateFunctionExpr>,
    /// Rows it counts.
    pub filter: Option<Arc<dyn PhysicalExpr>>,
    /// For `explain` and the fingerprint.
    pub text: String,
}

/// One job: the sinks of one INSERT, of one statement set, or of a final SELECT.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    /// In topological order.
    pub nodes: Vec<Node>,
    /// What `SET` said.
    pub settings: Settings,
}

/// Place of a node in [`StreamPlan::nodes`].
pub type NodeId = usize;

/// One step of the plan.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it does.
    pub kind: NodeKind,
    /// Nodes it reads, each before it in the plan.
    pub inputs: Vec<NodeId>,
    /// Its columns, without the origin columns.
    pub schema: SchemaRef,
}

/// What a node does. The compiler asks every `match` for a new one.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// Reads a table, one task per partition.
    Source(Source),
    /// Filters, then projects, row by row.
    Calc(Calc),
    /// A row for each element of a collection.
    Unnest(Unnest),
    /// Joins rows with rows that the script itself gives.
    ConstantJoin(ConstantJoin),
    /// Puts rows into windows: one copy per window, with its bounds.
    WindowAssign(WindowAssign),
    /// Groups by window and keys; rows leave when the watermark passes the window's end.
    WindowAggregate(WindowAggregate),
    /// Lets rows go in the order of their event time.
    Sort(Sort),
    /// The first rows of each window and key in an order (Top-N, deduplication); they leave as those of an aggregate.
    WindowRank(WindowRank),
    /// Joins rows of the same window; they leave as those of an aggregate.
    WindowJoin(WindowJoin),
    /// One output row per input row, with aggregates over the rows before it.
    OverAggregate(OverAggregate),
    /// Rows of all inputs; their schemas are equal.
    Union,
    /// Writes to a table.
    Sink(Sink),
}

/// Reading a table: the connector delivers `table.source_schema()`, `columns` makes the declared columns of it.
#[derive(Debug, Clone)]
pub struct Source {
    /// The table.
    pub table: Arc<TableSpec>,
    /// One expression per declared column, over `table.source_schema()`.
    pub columns: Vec<PlanExpr>,
    /// `WATERMARK FOR`, if the table has one; else that of its `PROCTIME()` column.
    pub watermark: Option<WatermarkSpec>,
    /// Place of the column `AS PROCTIME()`: the source stamps it with the time at which it takes a row.
    pub proctime: Option<usize>,
}

impl Source {
    /// Whether event time is the time at which rows are taken.
    pub fn goes_by_the_clock(&self) -> bool {
        self.watermark.as_ref().is_some_and(|watermark| Some(watermark.rowtime) == self.proctime)
    }
}

/// `WATERMARK FOR rowtime AS expr`.
#[derive(Debug, Clone)]
pub struct WatermarkSpec {
    /// Place of the event-time column among the declared columns.
    pub rowtime: usize,
    /// The watermark a row stands for, over the declared columns.
    pub expr: PlanExpr,
    /// A partition silent for so long no longer holds back the others; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// A time stamp further ahead of the record's own goes to the ledger; `None`: no such guard.
    pub max_future_skew: Option<Duration>,
}

/// `WHERE` and `SELECT`, row by row.
#[derive(Debug, Clone)]
pub struct Calc {
    /// Rows kept: those for which it is true.
    pub predicate: Option<PlanExpr>,
    /// One per output column, over the input's columns.
    pub projection: Vec<PlanExpr>,
}

/// `UNNEST`: columns of the row, then those of the element. The element of an array of rows has their fields, that of
/// a map key and value, any other one column.
#[derive(Debug, Clone)]
pub struct Unnest {
    /// An array or a map, over the input's columns.
    pub collection: PlanExpr,
    /// Places of the input's columns that stay.
    pub kept: Vec<usize>,
    /// A row without elements stays, with NULLs.
    pub outer: bool,
    /// The last column is the number of the element, from 1.
    pub ordinality: bool,
}

/// A join with rows that the plan holds. Output columns: those of the input that stay; of a kind that pairs rows, those
/// of the constants, too.
#[derive(Debug, Clone)]
pub struct ConstantJoin {
    /// Which rows leave; the input is the left side: `Inner`, `Left`, `Semi` or `Anti`.
    pub kind: JoinKind,
    /// The constants.
    pub rows: RecordBatch,
    /// For the fingerprint: other rows have another name.
    pub name: String,
    /// Places of the input's columns that stay.
    pub kept: Vec<usize>,
    /// Values that must be equal, none of them NULL: over the input's columns, and over those of the constants.
    pub keys: Vec<(PlanExpr, PlanExpr)>,
    /// `NOT IN`, of one key: where it is NULL on either side, the rows may be equal.
    pub unknown_joins: bool,
    /// Further condition, over the columns that stay and those of the constants.
    pub condition: Option<PlanExpr>,
}

/// How rows are put into windows. All times are ms; windows are aligned to 1970-01-01 plus `offset_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowKind {
    /// One window of `size_ms`.
    Tumble {
        /// Length.
        size_ms: i64,
    },
    /// Windows of `size_ms`, a new one every `slide_ms`.
    Hop {
        /// Distance between two starts.
        slide_ms: i64,
        /// Length.
        size_ms: i64,
    },
    /// HOP in GROUP BY: windows like those of [`WindowKind::Hop`], whose partials are merged from their start on.
    GroupHop {
        /// Distance between two starts.
        slide_ms: i64,
        /// Length.
        size_ms: i64,
    },
    /// Windows that grow by `step_ms` up to `size_ms`, a multiple of `step_ms`.
    Cumulate {
        /// Growth.
        step_ms: i64,
        /// Largest length.
        size_ms: i64,
    },
    /// Rows of a key with less than `gap_ms` between them, or exactly that.
    Session {
        /// Silence that ends a window.
        gap_ms: i64,
    },
    /// Rows have a window already.
    Attached {
        /// Place of its end.
        end: usize,
    },
}

/// A window over an event-time column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSpec {
    /// Kind and lengths.
    pub kind: WindowKind,
    /// Shift of the alignment.
    pub offset_ms: i64,
    /// Place of the event-time column in the input.
    pub rowtime: usize,
    /// By whose clock windows begin and end: the session's for `TIMESTAMP_LTZ`; `None` if it is UTC, and for `TIMESTAMP`.
    pub zone: Option<Zone>,
}

/// A window table function that is not aggregated. Output columns: those of the input, then start, end and time.
#[derive(Debug, Clone)]
pub struct WindowAssign {
    /// The window; no session.
    pub window: WindowSpec,
}

/// `ROW_NUMBER() OVER (PARTITION BY window_start, window_end, keys ORDER BY order) BETWEEN first AND last`.
/// Output columns: those of the input, then the number.
#[derive(Debug, Clone)]
pub struct WindowRank {
    /// Place of the start of a row's window in the input.
    pub window_start: usize,
    /// Place of its end.
    pub window_end: usize,
    /// Place of the event time of rows that may be late; `None`: they were made by a window.
    pub rowtime: Option<usize>,
    /// By whose clock windows end, as in [`WindowSpec::zone`].
    pub zone: Option<Zone>,
    /// `PARTITION BY`, without the window.
    pub keys: Vec<PlanExpr>,
    /// `ORDER BY`.
    pub order: Vec<SortKey>,
    /// Of rows that are equal in it, the one that came last stands first: deduplication that keeps the last row.
    pub latest_first: bool,
    /// Lowest number kept, from 1.
    pub first: u64,
    /// Highest number kept.
    pub last: u64,
}

/// `ORDER BY` event time. Output columns: those of the input.
#[derive(Debug, Clone)]
pub struct Sort {
    /// Place of the event-time column in the input.
    pub rowtime: usize,
    /// Among rows of one moment.
    pub order: Vec<SortKey>,
}

/// One column of an order.
#[derive(Debug, Clone)]
pub struct SortKey {
    /// Over the columns of the node's input.
    pub expr: PlanExpr,
    /// `DESC`.
    pub descending: bool,
    /// `NULLS FIRST`.
    pub nulls_first: bool,
}

/// A join of rows of the same window. Its one input is the union of both sides: which side a row is of, its window and
/// event time, the keys, the columns of the left side and those of the right side, the other side's being NULL.
#[derive(Debug, Clone)]
pub struct WindowJoin {
    /// Which rows leave.
    pub kind: JoinKind,
    /// By whose clock windows end, as in [`WindowSpec::zone`].
    pub zone: Option<Zone>,
    /// Number of key columns; rows join where they are equal and none is NULL.
    pub keys: usize,
    /// Number of columns of the left side.
    pub left: usize,
    /// Further condition, over the columns of both sides.
    pub condition: Option<PlanExpr>,
}

impl WindowJoin {
    /// Place of the input's column that is true for rows of the left side.
    pub const SIDE: usize = 0;
    /// Place of the start of a row's window.
    pub const WINDOW_START: usize = 1;
    /// Place of its end.
    pub const WINDOW_END: usize = 2;
    /// Place of a row's event time.
    pub const ROWTIME: usize = 3;
    /// Place of the first key.
    pub const KEYS: usize = 4;
}

/// Which rows of two sides leave a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    /// Pairs.
    Inner,
    /// Pairs, and rows of the left side without one.
    Left,
    /// Pairs, and rows of the right side without one.
    Right,
    /// Pairs, and rows of either side without one.
    Full,
    /// Rows of the left side that are in a pair.
    Semi,
    /// Rows of the left side that are in none.
    Anti,
}

/// `GROUP BY window_start, window_end, keys` over a window table function.
#[derive(Debug, Clone)]
pub struct WindowAggregate {
    /// The window.
    pub window: WindowSpec,
    /// Group keys other than the window.
    pub keys: Vec<PlanExpr>,
    /// Aggregates.
    pub aggregates: Vec<PlanAggregate>,
    /// What each output column is.
    pub output: Vec<WindowOutput>,
}

/// A column of a window aggregate's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowOutput {
    /// First instant of the window.
    Start,
    /// First instant after the window.
    End,
    /// Last ms of the window: an event-time column again.
    Time,
    /// A group key, by place.
    Key(usize),
    /// An aggregate, by place.
    Aggregate(usize),
}

/// `f(…) OVER (PARTITION BY keys ORDER BY rowtime frame)`; all calls of a node share the window.
/// Output columns: those of the input, then one per call.
#[derive(Debug, Clone)]
pub struct OverAggregate {
    /// `PARTITION BY`.
    pub keys: Vec<PlanExpr>,
    /// Place of the event-time column in the input.
    pub rowtime: usize,
    /// Rows each result covers.
    pub frame: OverFrame,
    /// Only the first row of each key is wanted: then a row at the watermark still counts, as in Flink's
    /// deduplication, where an unbounded OVER finds it late.
    pub keeps_first: bool,
    /// The calls.
    pub aggregates: Vec<PlanAggregate>,
}

/// Lower bound of a frame that ends at the current row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverFrame {
    /// The row and so many before it; `None`: all before it.
    Rows(Option<u64>),
    /// Rows not older than so many ms before the row, rows of its own time included; `None`: all of them.
    Range(Option<i64>),
}

/// Writing to a table. The input's columns are `table.sink_schema()`.
#[derive(Debug, Clone)]
pub struct Sink {
    /// The table.
    pub table: Arc<TableSpec>,
    /// Places of columns that may be NULL in the input and not in the table: rows with one are left out and counted.
    pub required: Vec<usize>,
}

/// What `SET` said, typed.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `pipeline.name`.
    pub pipeline_name: Option<String>,
    /// `execution.checkpointing.interval`.
    pub checkpoint_interval: Duration,
    /// `parallelism.default`, or `None`: as many as the machine has cores.
    pub parallelism: Option<usize>,
    /// `table.local-time-zone`.
    pub time_zone: String,
    /// `table.exec.source.idle-timeout`.
    pub idle_timeout: Option<Duration>,
    /// `streamer.max-future-skew`.
    pub max_future_skew: Option<Duration>,
    /// `table.exec.sink.not-null-enforcer`.
    pub not_null: NotNullRule,
    /// `table.exec.sink.type-length-enforcer`.
    pub lengths: LengthRule,
}

/// What becomes of a row with NULL for a column of a sink that is NOT NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotNullRule {
    /// It stops the job.
    Error,
    /// It is left out, and counted.
    Drop,
}

/// What becomes of a value that has not the length its column of a sink declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthRule {
    /// It is written as it is.
    Ignore,
    /// It is cut or filled up.
    TrimPad,
    /// It stops the job.
    Error,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pipeline_name: None,
            checkpoint_interval: Duration::from_secs(1),
            parallelism: None,
            time_zone: "UTC".into(),
            idle_timeout: None,
            max_future_skew: Some(crate::limits::FUTURE_SKEW_DEFAULT),
            not_null: NotNullRule::Error,
            lengths: LengthRule::Ignore,
        }
    }
}

/// Adds nodes to a plan, each distinct one once.
#[derive(Debug, Default)]
pub struct PlanBuilder {
    nodes: Vec<Node>,
}

impl PlanBuilder {
    /// The place of `node`: an equal one's, if there is one already. Sinks are never merged.
    pub fn add(&mut self, node: Node) -> NodeId {
        let same = |other: &Node| {
            !matches!(node.kind, NodeKind::Sink(_))
                && other.inputs == node.inputs
                && other.schema == node.schema
                && other.kind.to_string() == node.kind.to_string()
        };
        if let Some(id) = self.nodes.iter().position(same) {
            return id;
        }
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The node at `id`.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// The finished plan.
    pub fn finish(self, settings: Settings) -> StreamPlan {
        StreamPlan { nodes: self.nodes, settings }
    }
}

impl StreamPlan {
    /// The nodes that read tables, in plan order: a source's place here is its number in [`crate::stream::PartitionId`].
    pub fn sources(&self) -> impl Iterator<Item = (NodeId, &Source)> {
        self.nodes.iter().enumerate().filter_map(|(id, n)| match &n.kind {
            NodeKind::Source(s) => Some((id, s)),
            _ => None,
        })
    }

    /// The nodes that write tables, in plan order.
    pub fn sinks(&self) -> impl Iterator<Item = (NodeId, &Sink)> {
        self.nodes.iter().enumerate().filter_map(|(id, n)| match &n.kind {
            NodeKind::Sink(s) => Some((id, s)),
            _ => None,
        })
    }

    /// Nodes that read `id`.
    pub fn consumers(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().enumerate().filter(move |(_, n)| n.inputs.contains(&id)).map(|(at, _)| at)
    }

    /// Whether every source ends by itself is for the connectors to say; this is whether the plan keeps
    /// state, so that an earlier state must fit.
    pub fn stateful(&self) -> bool {
        self.nodes.iter().any(|n| n.kind.exchange() != Exchange::None && !matches!(n.kind, NodeKind::Sink(_)))
    }
}

/// How rows are spread over the tasks of the node they go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// The node runs where its input does.
    None,
    /// All rows go to one task.
    Single,
    /// By hash of these keys, for `explain`.
    Hash(String),
}

impl WindowKind {
    /// Whether windows end with silence.
    pub fn is_session(&self) -> bool {
        matches!(self, Self::Session { .. })
    }

    /// Most windows one row can be in.
    pub fn windows_max(&self) -> u64 {
        let (size, slice) = match *self {
            Self::Hop { slide_ms, size_ms } | Self::GroupHop { slide_ms, size_ms } => (size_ms, slide_ms),
            Self::Cumulate { step_ms, size_ms } => (size_ms, step_ms),
            Self::Tumble { .. } | Self::Session { .. } | Self::Attached { .. } => (1, 1),
        };
        u64::try_from(size).ok().zip(u64::try_from(slice).ok().filter(|n| *n > 0)).map_or(1, |(a, b)| a.div_ceil(b))
    }
}

impl NodeKind {
    /// Whether rows that leave are others than those that came, which are never late again: a window's, or those of
    /// ORDER BY, which have no event time any more.
    pub fn makes_rows(&self) -> bool {
        matches!(self, Self::WindowAggregate(_) | Self::WindowRank(_) | Self::WindowJoin(_) | Self::Sort(_))
    }

    /// How rows come to the node.
    pub fn exchange(&self) -> Exchange {
        let by = |keys: String| if keys.is_empty() { Exchange::Single } else { Exchange::Hash(keys) };
        match self {
            Self::WindowAggregate(w) => by(List(&w.keys).to_string()),
            Self::OverAggregate(o) => by(List(&o.keys).to_string()),
            Self::WindowRank(r) => by(List(&r.keys).to_string()),
            Self::WindowJoin(j) => by((0..j.keys).map(|i| format!("key{i}")).collect::<Vec<_>>().join(", ")),
            Self::Sort(_) | Self::Sink(_) => Exchange::Single,
            Self::Source(_) | Self::Calc(_) | Self::Unnest(_) | Self::ConstantJoin(_) => Exchange::None,
            Self::WindowAssign(_) | Self::Union => Exchange::None,
        }
    }
}

/// Prints a list with commas.
pub(crate) struct List<'a, T>(pub(crate) &'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, item) in self.0.iter().enumerate() {
            write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Display for PlanExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for PlanAggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
