//! Window table functions: `TUMBLE`, `HOP`, `CUMULATE` and `SESSION` as a node of the logical plan, and which
//! columns are time attributes, and which the bounds of windows.
//!
//! A column is a time attribute if it is, through nothing but renaming, the `WATERMARK FOR` column of a
//! table or the `window_time` of a window. It is found by walking the plan down, never by metadata on
//! fields, which casts and functions would carry along.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DFSchemaRef, JoinType, Result as DfResult, TableReference};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, LogicalPlan, UserDefinedLogicalNodeCore, Window};

use crate::error::{Error, Result, Span};
use crate::plan::{WindowKind, WindowSpec};
use crate::sql::planner::constants;
use crate::sql::planner::context::Relation;
use crate::sql::planner::unnest::unnest_rows;
use crate::sql::planner::window_call::not_multiple;

/// Names of the columns a window function adds, in order.
pub(crate) const WINDOW_COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];
/// Names of the same columns of a window in `GROUP BY`: words that no query has for columns of its own by chance.
pub(crate) const GROUP_WINDOW_COLUMNS: [&str; 3] = ["start of window", "end of window", "time of window"];

/// Rows of the input, once per window they belong to, with the window's bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WindowTvf {
    pub(crate) input: Arc<LogicalPlan>,
    pub(crate) spec: WindowSpec,
    /// `PARTITION BY` of a session, as places in the input; `None`: by the keys of the `GROUP BY` over it.
    pub(crate) partition: Option<Vec<usize>>,
    /// Where the function is called.
    pub(crate) span: Option<Span>,
    schema: DFSchemaRef,
}

impl WindowTvf {
    pub(super) fn new(
        input: LogicalPlan,
        spec: WindowSpec,
        partition: Option<Vec<usize>>,
        span: Option<Span>,
    ) -> Result<Self> {
        let rowtime = input.schema().field(spec.rowtime).data_type().clone();
        let names = if partition.is_none() { GROUP_WINDOW_COLUMNS } else { WINDOW_COLUMNS };
        // a name that is there already stands for neither column: see `check_references`
        let kept = |field: &Arc<Field>| match names.contains(&field.name().as_str()) {
            true => Arc::new(field.as_ref().clone().with_name(of_input(field.name()))),
            false => Arc::clone(field),
        };
        let mut fields: Vec<(Option<TableReference>, Arc<Field>)> =
            input.schema().fields().iter().map(|field| (None, kept(field))).collect();
        let wall_clock = DataType::Timestamp(TimeUnit::Millisecond, None);
        for (name, data_type) in names.into_iter().zip([wall_clock.clone(), wall_clock, rowtime]) {
            fields.push((None, Arc::new(Field::new(name, data_type, false))));
        }
        let schema = DFSchema::new_with_metadata(fields, Default::default())?;
        Ok(Self { input: Arc::new(input), spec, partition, span, schema: Arc::new(schema) })
    }

    /// Whether the bounds of both windows are the same for the same times: kind, lengths and clock.
    pub(crate) fn same_windows(&self, other: &Self) -> bool {
        let zoned = |tvf: &Self| matches!(tvf.rowtime_type(), DataType::Timestamp(_, Some(_)));
        self.spec.kind == other.spec.kind && self.spec.offset_ms == other.spec.offset_ms && zoned(self) == zoned(other)
    }

    /// HOP whose windows do not begin and end together, which only group windows aggregate.
    ///
    /// # Errors
    /// `Sql` for such a HOP.
    pub(crate) fn check_aggregated(&self) -> Result<()> {
        match self.spec.kind {
            WindowKind::Hop { slide_ms, size_ms } if size_ms % slide_ms != 0 => {
                Err(not_multiple("HOP", size_ms, "slide", slide_ms).or_at(self.span))
            }
            _ => Ok(()),
        }
    }

    /// Whether a group window has become this.
    pub(crate) fn is_group_window(&self) -> bool {
        self.partition.is_none()
    }

    /// Whether the input has a column that is named as one of the window's.
    fn has_twice(&self, name: &str) -> bool {
        !self.is_group_window() && self.input.schema().fields().iter().any(|field| field.name() == name)
    }

    /// Type of the event time.
    pub(crate) fn rowtime_type(&self) -> &DataType {
        self.input.schema().field(self.spec.rowtime).data_type()
    }
}

impl std::hash::Hash for WindowTvf {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.input.hash(state);
        self.spec.to_string().hash(state);
        self.partition.hash(state);
    }
}

impl PartialOrd for WindowTvf {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.spec.to_string().partial_cmp(&other.spec.to_string())
    }
}

impl UserDefinedLogicalNodeCore for WindowTvf {
    fn name(&self) -> &str {
        "WindowTvf"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WindowTvf: {}", self.spec)
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        match inputs.into_iter().next() {
            Some(input) => Ok(Self::new(input, self.spec, self.partition.clone(), self.span)?),
            None => Err(Error::internal("a window function without input").into()),
        }
    }
}

/// The name of an input's column beside a window's column of the same name.
fn of_input(name: &str) -> String {
    format!("{name} of the input")
}

/// Refuses names that stand for two columns: one of the window, one of its input. Those that nobody asks for may be.
///
/// # Errors
/// `Sql` for the first such name.
pub(crate) fn check_references(plan: &LogicalPlan) -> Result<()> {
    fn below(plan: &LogicalPlan) -> Option<&WindowTvf> {
        match plan {
            LogicalPlan::SubqueryAlias(alias) => below(&alias.input),
            LogicalPlan::Filter(filter) => below(&filter.input),
            other => window_tvf(other),
        }
    }
    let mut found = None;
    // the closure never fails, so neither does the walk
    drop(plan.apply_with_subqueries(|node| {
        let asked: Vec<Expr> = node.expressions();
        let asked: Vec<&str> = asked.iter().flat_map(Expr::column_refs).map(|column| column.name.as_str()).collect();
        for tvf in node.inputs().into_iter().filter_map(below) {
            let mut twice = WINDOW_COLUMNS.into_iter().filter(|name| tvf.has_twice(name));
            let name = twice.find(|name| asked.iter().any(|asked| asked == name || *asked == of_input(name)));
            found = name.zip(Some(tvf.span));
        }
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    }));
    let Some((name, span)) = found else { return Ok(()) };
    Err(Error::sql(format!("column \"{name}\" is ambiguous: the input of the window has one already"))
        .or_at(span)
        .hint(format!("rename it in the inner query: SELECT {name} AS inner_{name}, …")))
}

/// The window node, if `plan` is one.
pub(crate) fn window_tvf(plan: &LogicalPlan) -> Option<&WindowTvf> {
    match plan {
        LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
        _ => None,
    }
}

/// Whether column `index` of `plan` is a time attribute.
pub(crate) fn is_time_attribute(plan: &LogicalPlan, index: usize) -> bool {
    let through = |input: &LogicalPlan, expr: &Expr| match unaliased(expr) {
        Expr::Column(column) => input.schema().index_of_column(column).is_ok_and(|i| is_time_attribute(input, i)),
        _ => false,
    };
    match plan {
        LogicalPlan::TableScan(scan) => {
            scan.source.downcast_ref::<Relation>().is_some_and(|table| table.rowtime == Some(index))
        }
        LogicalPlan::Projection(p) => p.expr.get(index).is_some_and(|expr| through(&p.input, expr)),
        LogicalPlan::SubqueryAlias(a) => is_time_attribute(&a.input, index),
        LogicalPlan::Filter(f) => is_time_attribute(&f.input, index),
        LogicalPlan::Sort(s) => is_time_attribute(&s.input, index),
        LogicalPlan::Union(u) => u.inputs.iter().all(|input| is_time_attribute(input, index)),
        // Rows that a window has made are older than the watermark but for the time of the window itself.
        LogicalPlan::Window(w) if ranks_window(w) => {
            window_column(&w.input, index).is_some_and(|(which, _)| which == 2)
        }
        LogicalPlan::Join(_) => window_column(plan, index).is_some_and(|(which, _)| which == 2),
        LogicalPlan::Window(w) => index < w.input.schema().fields().len() && is_time_attribute(&w.input, index),
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => {
            window_column(plan, index).is_some_and(|(which, _)| which == 2)
        }
        _ => match (window_tvf(plan), unnest_rows(plan)) {
            (Some(tvf), _) => {
                let columns = tvf.input.schema().fields().len();
                index == columns + 2 || (index < columns && is_time_attribute(&tvf.input, index))
            }
            (_, Some(unnest)) => {
                index < unnest.input.schema().fields().len() && is_time_attribute(&unnest.input, index)
            }
            _ => false,
        },
    }
}

/// Whether column `index` of `plan` is, through nothing but renaming, the `PROCTIME()` column of a table.
pub(super) fn is_proctime(plan: &LogicalPlan, index: usize) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let table = scan.source.downcast_ref::<Relation>().and_then(|relation| relation.table.as_ref());
            table.is_some_and(|table| table.proctime == Some(index))
        }
        LogicalPlan::Projection(p) => match p.expr.get(index).map(unaliased) {
            Some(Expr::Column(column)) => {
                p.input.schema().index_of_column(column).is_ok_and(|i| is_proctime(&p.input, i))
            }
            _ => false,
        },
        LogicalPlan::SubqueryAlias(a) => is_proctime(&a.input, index),
        LogicalPlan::Filter(f) => is_proctime(&f.input, index),
        _ => false,
    }
}

/// Which of [`WINDOW_COLUMNS`] column `index` of `plan` is, through nothing but renaming and what keeps windows, and
/// of which function.
pub(crate) fn window_column(plan: &LogicalPlan, index: usize) -> Option<(usize, &WindowTvf)> {
    match plan {
        LogicalPlan::Projection(p) => window_column_of(&p.input, p.expr.get(index)?),
        LogicalPlan::SubqueryAlias(a) => window_column(&a.input, index),
        LogicalPlan::Filter(f) => window_column(&f.input, index),
        LogicalPlan::Distinct(Distinct::All(input)) => window_column(input, index),
        LogicalPlan::Window(w) if ranks_window(w) => window_column(&w.input, index),
        // start and end of a group window are plain time stamps in its result
        LogicalPlan::Aggregate(a) => window_key(a, index).filter(|(which, tvf)| *which == 2 || !tvf.is_group_window()),
        LogicalPlan::Join(j) if constants::joins(j) => None,
        LogicalPlan::Join(j) => {
            let left = j.left.schema().fields().len();
            // the window of a row without a partner is NULL on the other side
            let (of_left, of_right) = match j.join_type {
                JoinType::Inner => (true, true),
                JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => (true, false),
                JoinType::Right => (false, true),
                _ => (false, false),
            };
            match index.checked_sub(left) {
                None if of_left => window_column(&j.left, index),
                Some(index) if of_right => window_column(&j.right, index),
                _ => None,
            }
        }
        LogicalPlan::TableScan(_) | LogicalPlan::Union(_) => None,
        _ => match unnest_rows(plan) {
            Some(unnest) => {
                (index < unnest.input.schema().fields().len()).then(|| window_column(&unnest.input, index)).flatten()
            }
            None => {
                let tvf = window_tvf(plan)?;
                index.checked_sub(tvf.input.schema().fields().len()).map(|which| (which, tvf))
            }
        },
    }
}

/// Which of [`WINDOW_COLUMNS`] a key of an aggregation is.
pub(crate) fn window_key(aggregate: &Aggregate, index: usize) -> Option<(usize, &WindowTvf)> {
    window_column_of(&aggregate.input, grouping_set_to_exprlist(&aggregate.group_expr).ok()?.get(index)?)
}

/// [`window_column`] of an expression over `plan`.
pub(crate) fn window_column_of<'a>(plan: &'a LogicalPlan, expr: &Expr) -> Option<(usize, &'a WindowTvf)> {
    match unaliased(expr) {
        Expr::Column(column) => window_column(plan, plan.schema().index_of_column(column).ok()?),
        _ => None,
    }
}

/// Whether a window function numbers the rows of each window of a window table function.
pub(crate) fn ranks_window(window: &Window) -> bool {
    window.window_expr.iter().all(|expr| match unaliased(expr) {
        Expr::WindowFunction(function) => {
            let ends = |key: &Expr| window_column_of(&window.input, key).is_some_and(|(which, _)| which == 1);
            function.fun.name() == "row_number" && function.params.partition_by.iter().any(ends)
        }
        _ => false,
    })
}

/// `expr` without its alias.
pub(crate) fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}
