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
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore, Window};
use datafusion::sql::sqlparser::ast::{self, TableFactor};

use crate::error::{Error, Result, Span};
use crate::limits::WINDOWS_PER_ROW_MAX;
use crate::plan::{WindowKind, WindowSpec};
use crate::sql::planner::constants;
use crate::sql::planner::context::Relation;
use crate::sql::planner::errors::{from_parser, span_of};
use crate::sql::planner::interval::{self, Length};
use crate::sql::planner::unnest::unnest_rows;
use crate::time::length_text;

/// Names of the columns a window function adds, in order.
pub(crate) const WINDOW_COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];
/// Names of the same columns of a window in `GROUP BY`, which no query can write.
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
    fn new(input: LogicalPlan, spec: WindowSpec, partition: Option<Vec<usize>>, span: Option<Span>) -> Result<Self> {
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
fn is_proctime(plan: &LogicalPlan, index: usize) -> bool {
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

/// Plans window functions in `FROM`; everything else is DataFusion's.
#[derive(Debug)]
pub(crate) struct WindowTables;

impl RelationPlanner for WindowTables {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> DfResult<RelationPlanning> {
        let (call, alias) = match relation {
            TableFactor::TableFunction { expr: ast::Expr::Function(function), alias } => {
                (Call::of_function(&function)?, alias)
            }
            TableFactor::Table { name, alias, args: Some(args), .. } => {
                let span = span_of(&name);
                (Call::new(&name, args.args, span)?, alias)
            }
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        let tvf = call.plan(context)?;
        let plan = LogicalPlan::Extension(Extension { node: Arc::new(tvf) });
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

/// The window table functions.
const WINDOW_FUNCTIONS: [&str; 4] = ["TUMBLE", "HOP", "CUMULATE", "SESSION"];

/// Whether `name` (any case) is a window table function, supported or not.
pub(crate) fn is_window_function(name: &str) -> bool {
    WINDOW_FUNCTIONS.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// A call of a window function, its arguments by name.
struct Call {
    function: String,
    span: Option<Span>,
    args: Vec<(String, ast::Expr)>,
}

impl Call {
    fn of_function(function: &ast::Function) -> Result<Self> {
        let args = match &function.args {
            ast::FunctionArguments::List(list) => list.args.clone(),
            _ => Vec::new(),
        };
        Self::new(&function.name, args, span_of(function))
    }

    fn new(name: &ast::ObjectName, args: Vec<ast::FunctionArg>, span: Option<Span>) -> Result<Self> {
        let function = name.to_string().to_ascii_uppercase();
        let parameters: &[&str] = match function.as_str() {
            "TUMBLE" => &["DATA", "TIMECOL", "SIZE", "OFFSET"],
            "HOP" => &["DATA", "TIMECOL", "SLIDE", "SIZE", "OFFSET"],
            "CUMULATE" => &["DATA", "TIMECOL", "STEP", "SIZE", "OFFSET"],
            "SESSION" => &["DATA", "TIMECOL", "GAP"],
            _ => {
                return Err(Error::sql(format!("table function \"{function}\" is not supported"))
                    .or_at(span_of(name).or(span))
                    .hint("TUMBLE, HOP, CUMULATE and SESSION are supported in FROM")
                    .nearest(&function, WINDOW_FUNCTIONS));
            }
        };
        let usage = || {
            format!(
                "write {function}(TABLE t, DESCRIPTOR(ts), {})",
                match function.as_str() {
                    "HOP" => "INTERVAL 'slide' MINUTE, INTERVAL 'size' MINUTE",
                    "SESSION" => "INTERVAL 'gap' MINUTE",
                    "CUMULATE" => "INTERVAL 'step' MINUTE, INTERVAL 'size' HOUR",
                    _ => "INTERVAL '1' MINUTE",
                }
            )
        };
        let mut named: Vec<(String, ast::Expr)> = Vec::new();
        for (i, arg) in args.into_iter().enumerate() {
            let place = span_of(&arg).or(span);
            let (parameter, value) = match arg {
                ast::FunctionArg::Unnamed(value) => (parameters.get(i).map(|p| (*p).to_owned()), value),
                ast::FunctionArg::Named { name, arg, .. } => (Some(name.value.to_ascii_uppercase()), arg),
                ast::FunctionArg::ExprNamed { name, arg, .. } => (Some(name.to_string().to_ascii_uppercase()), arg),
            };
            let given = parameter.clone();
            let known = parameter.filter(|p| parameters.contains(&p.as_str()) && !named.iter().any(|(n, _)| n == p));
            let (Some(parameter), ast::FunctionArgExpr::Expr(value)) = (known, value) else {
                let what = match &given {
                    Some(name) => format!("{function} has no argument {name}"),
                    None => format!("{function} takes {} arguments at most", parameters.len()),
                };
                return Err(Error::sql(what).or_at(place).hint(usage()));
            };
            named.push((parameter, value));
        }
        let call = Self { function: function.clone(), span, args: named };
        let mut needed = parameters.iter().filter(|parameter| **parameter != "OFFSET");
        match needed.find(|p| call.arg(p).is_none()) {
            Some(missing) => {
                Err(Error::sql(format!("{function} misses its argument {missing}")).or_at(span).hint(usage()))
            }
            None => Ok(call),
        }
    }

    fn arg(&self, name: &str) -> Option<&ast::Expr> {
        self.args.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    fn error(&self, name: &str, message: impl Into<String>) -> Error {
        Error::sql(message).or_at(self.arg(name).and_then(span_of).or(self.span))
    }

    fn plan(&self, context: &mut dyn RelationPlannerContext) -> DfResult<WindowTvf> {
        let input = context.plan(self.data()?)?;
        let rowtime = self.rowtime(&input)?;
        let kind = self.kind()?;
        let offset_ms = match self.arg("OFFSET") {
            Some(_) => self.millis("OFFSET", true)?,
            None => 0,
        };
        let size_ms = match kind {
            WindowKind::Tumble { size_ms } => size_ms,
            WindowKind::Hop { slide_ms, .. } | WindowKind::GroupHop { slide_ms, .. } => slide_ms,
            WindowKind::Cumulate { step_ms, .. } => step_ms,
            WindowKind::Session { .. } | WindowKind::Attached { .. } => 1,
        };
        if matches!(kind, WindowKind::Tumble { .. }) && offset_ms.saturating_abs() >= size_ms {
            return Err(self.error("OFFSET", "the offset must be smaller than the size of the window").into());
        }
        let spec = WindowSpec { kind, offset_ms, rowtime, zone: None };
        let partition = self.partition(&input)?;
        let span = self.arg("SIZE").and_then(span_of).or(self.span);
        WindowTvf::new(input, spec, partition, span).map_err(|e| e.or_at(self.span).into())
    }

    /// Whether a group window has become this call.
    fn is_group_window(&self) -> bool {
        let Some(ast::Expr::Function(table)) = self.arg("DATA") else { return false };
        let ast::FunctionArguments::List(list) = &table.args else { return false };
        matches!(list.args.get(1), Some(ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard)))
    }

    /// The columns of `PARTITION BY`; `None` if a group window has become this call: it has the keys of its query.
    fn partition(&self, input: &LogicalPlan) -> Result<Option<Vec<usize>>> {
        if self.is_group_window() {
            return Ok(None);
        }
        let Some(ast::Expr::Function(table)) = self.arg("DATA") else { return Ok(Some(Vec::new())) };
        let ast::FunctionArguments::List(list) = &table.args else { return Ok(Some(Vec::new())) };
        let mut places = Vec::new();
        for key in list.args.iter().skip(1) {
            let ident = match key {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Identifier(ident))) => ident,
                _ => return Err(self.error("DATA", "PARTITION BY takes columns of the table")),
            };
            let name = &ident.value;
            let fields = input.schema().fields();
            let place = fields.iter().position(|field| field.name() == name).ok_or_else(|| {
                Error::sql(format!("column \"{name}\" not found in the table of {}", self.function))
                    .or_at(from_parser(ident.span).or(self.span))
                    .nearest(name, fields.iter().map(|field| field.name().as_str()))
            })?;
            places.push(place);
        }
        Ok(Some(places))
    }

    /// The windowed table: `TABLE t`, or a query in parentheses.
    fn data(&self) -> Result<TableFactor> {
        let wrong = || {
            self.error("DATA", format!("the first argument of {} must be a table", self.function))
                .hint("write TABLE t, or (SELECT …)")
        };
        match self.arg("DATA").ok_or_else(wrong)? {
            ast::Expr::Function(function) if function.name.to_string() == "__table_arg" => {
                let ast::FunctionArguments::List(list) = &function.args else { return Err(wrong()) };
                let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(table)), rest @ ..] = &list.args[..] else {
                    return Err(wrong());
                };
                if !rest.is_empty() && self.function != "SESSION" && !self.is_group_window() {
                    return Err(self
                        .error("DATA", format!("PARTITION BY is not possible in {}", self.function))
                        .hint("write the keys into GROUP BY"));
                }
                match table {
                    ast::Expr::Subquery(query) => Ok(derived(query)),
                    table => table_factor(table).ok_or_else(wrong),
                }
            }
            ast::Expr::Subquery(query) => Ok(derived(query)),
            table @ (ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_)) => {
                Err(wrong().hint(format!("write TABLE {table}")))
            }
            _ => Err(wrong()),
        }
    }

    /// Place of the `DESCRIPTOR` column, which must be a time attribute.
    fn rowtime(&self, input: &LogicalPlan) -> Result<usize> {
        let wrong = || {
            self.error("TIMECOL", format!("the second argument of {} must be DESCRIPTOR(column)", self.function))
                .hint("write DESCRIPTOR(ts)")
        };
        let ident = match self.arg("TIMECOL").ok_or_else(wrong)? {
            ast::Expr::Function(f) if f.name.to_string().eq_ignore_ascii_case("DESCRIPTOR") => match &f.args {
                ast::FunctionArguments::List(list) => match &list.args[..] {
                    [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Identifier(ident)))] => ident,
                    _ => return Err(wrong()),
                },
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        let fields = input.schema().fields();
        let place = from_parser(ident.span).or(self.span);
        let Some(index) = fields.iter().position(|f| f.name() == &ident.value) else {
            let names = fields.iter().map(|f| f.name().as_str());
            return Err(Error::sql(format!("column \"{}\" not found in the table of {}", ident.value, self.function))
                .or_at(place)
                .nearest(&ident.value, names));
        };
        if is_time_attribute(input, index) {
            return Ok(index);
        }
        let column = &ident.value;
        if is_proctime(input, index) {
            return Err(Error::sql(format!("column \"{column}\" is PROCTIME(), and its table goes by event time"))
                .or_at(place)
                .hint("use the column of WATERMARK FOR, or declare the table without it"));
        }
        Err(match fields[index].data_type() {
            DataType::Timestamp(..) => Error::sql(format!("column \"{column}\" is not an event-time column"))
                .detail("A window needs the column of WATERMARK FOR; a CAST or any expression over it makes it an ordinary column.")
                .hint(format!(
                    "declare it in CREATE TABLE: WATERMARK FOR {column} AS {column} - INTERVAL '5' SECOND"
                )),
            other => Error::sql(format!("column \"{column}\" is no time stamp"))
                .detail(format!("It has the type {}.", crate::sql::planner::expr::flink_type(other)))
                .hint(format!(
                    "add a computed column \"event_time AS TO_TIMESTAMP_LTZ({column}, 3)\" and WATERMARK FOR event_time to the table"
                )),
        }
        .or_at(place))
    }

    fn kind(&self) -> Result<WindowKind> {
        if self.function == "SESSION" {
            return Ok(WindowKind::Session { gap_ms: self.millis("GAP", false)? });
        }
        let size_ms = self.millis("SIZE", false)?;
        let part = |name: &str| -> Result<i64> {
            let part = self.millis(name, false)?;
            if size_ms % part != 0 && self.function != "HOP" {
                let place = self.arg("SIZE").and_then(span_of).or(self.span);
                return Err(not_multiple(&self.function, size_ms, &name.to_ascii_lowercase(), part).or_at(place));
            }
            if size_ms / part > WINDOWS_PER_ROW_MAX {
                let name = name.to_ascii_lowercase();
                let message =
                    format!("a row would be in {} windows, and {WINDOWS_PER_ROW_MAX} are the most", size_ms / part);
                let place = self.arg("SIZE").and_then(span_of).or(self.span);
                return Err(Error::sql(message).or_at(place).hint(format!("choose a larger {name} or a smaller size")));
            }
            Ok(part)
        };
        Ok(match self.function.as_str() {
            "HOP" if self.is_group_window() => WindowKind::GroupHop { slide_ms: part("SLIDE")?, size_ms },
            "HOP" => WindowKind::Hop { slide_ms: part("SLIDE")?, size_ms },
            "CUMULATE" => WindowKind::Cumulate { step_ms: part("STEP")?, size_ms },
            _ => WindowKind::Tumble { size_ms },
        })
    }

    /// An `INTERVAL` argument in ms; positive unless `signed`.
    fn millis(&self, name: &str, signed: bool) -> Result<i64> {
        let wrong = || {
            self.error(name, format!("the {} of a window must be an INTERVAL", name.to_ascii_lowercase()))
                .hint("write INTERVAL '30' SECOND, or INTERVAL '1' MINUTE")
        };
        let (interval, negated) = match self.arg(name) {
            Some(ast::Expr::Interval(interval)) => (interval, false),
            Some(ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr }) => match expr.as_ref() {
                ast::Expr::Interval(interval) => (interval, true),
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        match interval::parse(interval)? {
            Length::Millis(ms) if signed && negated => Ok(ms.saturating_neg()),
            Length::Millis(ms) if signed || ms > 0 && !negated => Ok(ms),
            Length::Millis(_) => {
                let part = name.to_ascii_lowercase();
                Err(self
                    .error(name, format!("the {part} of a window must be positive"))
                    .hint("write a length above 0, as in INTERVAL '1' MINUTE"))
            }
            Length::Months(_) => Err(self
                .error(name, "a window cannot be months or years long, because these differ in length")
                .hint("use INTERVAL '30' DAY")),
        }
    }
}

fn not_multiple(function: &str, size_ms: i64, part: &str, part_ms: i64) -> Error {
    let (size, length) = (length_text(size_ms), length_text(part_ms));
    Error::sql(format!("the size of the window ({size}) is not a multiple of its {part} ({length})"))
        .hint(format!("{part} comes first: {function}(TABLE t, DESCRIPTOR(ts), {part}, size)"))
}

fn derived(query: &ast::Query) -> TableFactor {
    TableFactor::Derived { lateral: false, subquery: Box::new(query.clone()), alias: None, sample: None }
}

fn table_factor(table: &ast::Expr) -> Option<TableFactor> {
    let idents = match table {
        ast::Expr::Identifier(ident) => vec![ident.clone()],
        ast::Expr::CompoundIdentifier(idents) => idents.clone(),
        _ => return None,
    };
    Some(TableFactor::Table {
        name: ast::ObjectName(idents.into_iter().map(ast::ObjectNamePart::Identifier).collect()),
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    })
}
