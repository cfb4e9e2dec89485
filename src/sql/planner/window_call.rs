//! TUMBLE, HOP, CUMULATE and SESSION in FROM: a call with its arguments, read and checked.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Extension, LogicalPlan};
use datafusion::sql::sqlparser::ast::{self, TableFactor};

use crate::error::{Error, Result, Span};
use crate::limits::WINDOWS_PER_ROW_MAX;
use crate::plan::{WindowKind, WindowSpec};
use crate::sql::interval::{self, Length};
use crate::sql::places::{from_parser, span_of};
use crate::sql::planner::window::{WindowTvf, is_proctime, is_time_attribute};
use crate::time::length_text;

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
                .detail(format!("It has the type {}.", crate::sql::types::flink_type(other)))
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

pub(super) fn not_multiple(function: &str, size_ms: i64, part: &str, part_ms: i64) -> Error {
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
