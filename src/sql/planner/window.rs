//! Window table functions: `TUMBLE`, `HOP` and `CUMULATE` as a node of the logical plan, and which
//! columns are time attributes.
//!
//! A column is a time attribute if it is, through nothing but renaming, the `WATERMARK FOR` column of a
//! table or the `window_time` of a window. It is found by walking the plan down, never by metadata on
//! fields, which casts and functions would carry along.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{Column, DFSchema, DFSchemaRef, DataFusionError, Result as DfResult, TableReference};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::sql::sqlparser::ast::{self, TableFactor};

use crate::error::{Error, Result, Span};
use crate::plan::{WindowKind, WindowSpec};
use crate::sql::planner::context::Relation;
use crate::sql::planner::errors::{from_parser, span_of};
use crate::sql::planner::interval::{self, Length};
use crate::sql::planner::unnest::unnest_rows;

/// Names of the columns a window function adds, in order.
pub(crate) const WINDOW_COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

/// Rows of the input, once per window they belong to, with the window's bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WindowTvf {
    pub(crate) input: Arc<LogicalPlan>,
    pub(crate) spec: WindowSpec,
    schema: DFSchemaRef,
}

impl WindowTvf {
    fn new(input: LogicalPlan, spec: WindowSpec) -> Result<Self> {
        let rowtime = input.schema().field(spec.rowtime).data_type().clone();
        let mut fields: Vec<(Option<TableReference>, Arc<Field>)> =
            input.schema().fields().iter().map(|f| (None, Arc::clone(f))).collect();
        if let Some(clash) = WINDOW_COLUMNS.iter().find(|name| fields.iter().any(|(_, f)| f.name() == **name)) {
            return Err(Error::sql(format!("the input of the window function has a column \"{clash}\" already"))
                .hint(format!("rename it in the inner query: SELECT {clash} AS inner_{clash}, …")));
        }
        let wall_clock = DataType::Timestamp(TimeUnit::Millisecond, None);
        for (name, data_type) in WINDOW_COLUMNS.into_iter().zip([wall_clock.clone(), wall_clock, rowtime]) {
            fields.push((None, Arc::new(Field::new(name, data_type, false))));
        }
        let schema = DFSchema::new_with_metadata(fields, Default::default())?;
        Ok(Self { input: Arc::new(input), spec, schema: Arc::new(schema) })
    }
}

impl std::hash::Hash for WindowTvf {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.input.hash(state);
        self.spec.to_string().hash(state);
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
            Some(input) => Ok(Self::new(input, self.spec)?),
            None => Err(Error::internal("a window function without input").into()),
        }
    }
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
        LogicalPlan::Union(u) => u.inputs.iter().all(|input| is_time_attribute(input, index)),
        LogicalPlan::Window(w) => index < w.input.schema().fields().len() && is_time_attribute(&w.input, index),
        LogicalPlan::Aggregate(a) => a.group_expr.get(index).is_some_and(|expr| match unaliased(expr) {
            Expr::Column(column) => is_window_column(&a.input, column, 2),
            _ => false,
        }),
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

/// Whether `column` of `plan` is, through nothing but renaming, column `which` of a window function.
fn is_window_column(plan: &LogicalPlan, column: &Column, which: usize) -> bool {
    let Ok(index) = plan.schema().index_of_column(column) else { return false };
    window_column(plan, index) == Some(which)
}

/// Which of [`WINDOW_COLUMNS`] column `index` of `plan` is.
fn window_column(plan: &LogicalPlan, index: usize) -> Option<usize> {
    match plan {
        LogicalPlan::Projection(p) => match unaliased(p.expr.get(index)?) {
            Expr::Column(column) => window_column(&p.input, p.input.schema().index_of_column(column).ok()?),
            _ => None,
        },
        LogicalPlan::SubqueryAlias(a) => window_column(&a.input, index),
        LogicalPlan::Filter(f) => window_column(&f.input, index),
        _ => match unnest_rows(plan) {
            Some(unnest) => window_column(&unnest.input, index),
            None => index.checked_sub(window_tvf(plan)?.input.schema().fields().len()),
        },
    }
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

/// Whether `name` (any case) is a window table function, supported or not.
pub(crate) fn is_window_function(name: &str) -> bool {
    ["TUMBLE", "HOP", "CUMULATE", "SESSION"].iter().any(|known| known.eq_ignore_ascii_case(name))
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
            "SESSION" => {
                return Err(Error::sql("the window table function SESSION is not supported yet")
                    .or_at(span)
                    .hint("TUMBLE, HOP and CUMULATE are supported"));
            }
            _ => {
                return Err(Error::sql(format!("table function \"{function}\" is not supported"))
                    .or_at(span)
                    .hint("TUMBLE, HOP and CUMULATE are supported in FROM"));
            }
        };
        let usage = || {
            format!(
                "write {function}(TABLE t, DESCRIPTOR(ts), {})",
                match function.as_str() {
                    "HOP" => "INTERVAL 'slide' MINUTE, INTERVAL 'size' MINUTE",
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
            let known = parameter.filter(|p| parameters.contains(&p.as_str()) && !named.iter().any(|(n, _)| n == p));
            let (Some(parameter), ast::FunctionArgExpr::Expr(value)) = (known, value) else {
                return Err(Error::sql(format!("{function} has no such argument")).or_at(place).hint(usage()));
            };
            named.push((parameter, value));
        }
        let call = Self { function: function.clone(), span, args: named };
        let optional = parameters.len() - 1;
        match parameters[..optional].iter().find(|p| call.arg(p).is_none()) {
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
            WindowKind::Hop { slide_ms, .. } => slide_ms,
            WindowKind::Cumulate { step_ms, .. } => step_ms,
        };
        if matches!(kind, WindowKind::Tumble { .. }) && offset_ms.saturating_abs() >= size_ms {
            return Err(self.error("OFFSET", "the offset must be smaller than the size of the window").into());
        }
        let spec = WindowSpec { kind, offset_ms, rowtime, zone: None };
        WindowTvf::new(input, spec).map_err(|e| e.or_at(self.span).into())
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
                if !rest.is_empty() {
                    return Err(self
                        .error("DATA", format!("PARTITION BY is not possible in {}", self.function))
                        .hint("write the keys into GROUP BY"));
                }
                table_factor(table).ok_or_else(wrong)
            }
            ast::Expr::Subquery(query) => {
                Ok(TableFactor::Derived { lateral: false, subquery: query.clone(), alias: None, sample: None })
            }
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
        Err(match fields[index].data_type() {
            DataType::Timestamp(..) => Error::sql(format!("column \"{column}\" is not an event-time column"))
                .detail("A window needs the column of WATERMARK FOR; a CAST or any expression over it makes it an ordinary column.")
                .hint(format!(
                    "declare it in CREATE TABLE: WATERMARK FOR {column} AS {column} - INTERVAL '5' SECOND"
                )),
            other => Error::sql(format!("column \"{column}\" is no time stamp"))
                .detail(format!("It has the type {}.", crate::sql::planner::expr::flink_type(other)))
                .hint(format!(
                    "add a computed column \"ts AS TO_TIMESTAMP_LTZ({column}, 3)\" and WATERMARK FOR ts to the table"
                )),
        }
        .or_at(place))
    }

    fn kind(&self) -> Result<WindowKind> {
        let size_ms = self.millis("SIZE", false)?;
        let part = |name: &str| -> Result<i64> {
            let part = self.millis(name, false)?;
            if size_ms % part != 0 {
                return Err(self
                    .error(
                        "SIZE",
                        format!(
                            "the size of the window ({size_ms} ms) is not a multiple of its {} ({part} ms)",
                            name.to_ascii_lowercase()
                        ),
                    )
                    .hint(format!(
                        "{0} comes first: {1}(TABLE t, DESCRIPTOR(ts), {0}, size)",
                        name.to_ascii_lowercase(),
                        self.function
                    )));
            }
            Ok(part)
        };
        Ok(match self.function.as_str() {
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
        let Some(ast::Expr::Interval(interval)) = self.arg(name) else { return Err(wrong()) };
        match interval::parse(interval)? {
            Length::Millis(ms) if signed || ms > 0 => Ok(ms),
            Length::Millis(_) => {
                Err(self.error(name, format!("the {} of a window must be positive", name.to_ascii_lowercase())))
            }
            Length::Months(_) => Err(self
                .error(name, "a window cannot be months or years long, because these differ in length")
                .hint("use INTERVAL '30' DAY")),
        }
    }
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

/// An error of ours that went through DataFusion.
pub(crate) fn ours(error: &DataFusionError) -> Option<&Error> {
    match error {
        DataFusionError::External(e) => e.downcast_ref(),
        DataFusionError::Context(_, e) | DataFusionError::Diagnostic(_, e) => ours(e),
        DataFusionError::Collection(all) => all.iter().find_map(ours),
        _ => None,
    }
}
