//! Rows in an order: Top-N and deduplication, which are a filter on the number that `ROW_NUMBER` gives, and `ORDER BY`
//! of event time.
//!
//! Numbers within a window become a `WindowRank`. Numbers in the order of event time are those of an `OVER`, and the
//! filter is an ordinary one. All others would be updated with every row.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::WindowFunctionParams;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Filter, LogicalPlan, Operator, Sort, Window};

use crate::error::{Error, Result};
use crate::plan::{self, NodeKind, SortKey, WindowKind, WindowRank};
use crate::sql::places::span_of_columns;
use crate::sql::planner::expr::{Compiler, place, place_of, resolve};
use crate::sql::planner::lower::{Lowering, Stream, Used};
use crate::sql::planner::window::{is_time_attribute, ranks_window, unaliased, window_column_of, window_key};
use crate::sql::types::flink_type;

/// A `ROW_NUMBER` below a filter.
#[derive(Clone, Copy)]
pub(super) struct Numbered<'a> {
    window: &'a Window,
    /// Place of the number in the filter's input.
    column: usize,
}

/// The number that rows of `plan` have by a `ROW_NUMBER` alone, unless an `OVER` gives it as they pass.
pub(super) fn numbered(plan: &LogicalPlan) -> Option<Numbered<'_>> {
    let (column, window) = number_column(plan)?;
    (ranks_window(window) || !by_time(window)).then_some(Numbered { window, column })
}

/// Whether column `index` of `plan` is the number that a `ROW_NUMBER` gives to the rows of a window.
pub(super) fn numbers_window(plan: &LogicalPlan, index: usize) -> bool {
    number_column(plan).is_some_and(|(column, window)| column == index && ranks_window(window))
}

fn number_column(plan: &LogicalPlan) -> Option<(usize, &Window)> {
    match plan {
        LogicalPlan::Window(window) => {
            params(window)?;
            Some((window.input.schema().fields().len(), window))
        }
        LogicalPlan::Projection(projection) => {
            let (below, window) = number_column(&projection.input)?;
            let is_number = |expr: &Expr| match unaliased(expr) {
                Expr::Column(column) => projection.input.schema().index_of_column(column).is_ok_and(|i| i == below),
                _ => false,
            };
            Some((projection.expr.iter().position(is_number)?, window))
        }
        LogicalPlan::SubqueryAlias(alias) => number_column(&alias.input),
        LogicalPlan::Filter(filter) => number_column(&filter.input),
        _ => None,
    }
}

/// The window of the one call of a node, if that is `ROW_NUMBER`.
fn params(window: &Window) -> Option<&WindowFunctionParams> {
    let [call] = &window.window_expr[..] else { return None };
    match unaliased(call) {
        Expr::WindowFunction(function) if function.fun.name() == "row_number" => Some(&function.params),
        _ => None,
    }
}

fn by_time(window: &Window) -> bool {
    let order = params(window).map_or(&[][..], |params| &params.order_by);
    matches!(order, [one] if one.asc && is_time(&window.input, &one.expr))
}

fn is_time(input: &LogicalPlan, expr: &Expr) -> bool {
    match unaliased(expr) {
        Expr::Column(column) => input.schema().index_of_column(column).is_ok_and(|i| is_time_attribute(input, i)),
        _ => false,
    }
}

/// The numbers a filter lets pass, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbers {
    first: u64,
    last: Option<u64>,
}

impl Numbers {
    fn at_least(&mut self, number: i64) {
        self.first = self.first.max(u64::try_from(number).unwrap_or(0));
    }

    fn at_most(&mut self, number: i64) {
        let number = u64::try_from(number).unwrap_or(0);
        self.last = Some(self.last.map_or(number, |last| last.min(number)));
    }

    /// Takes a condition on the number into account, if it is one.
    fn take(&mut self, condition: &Expr, is_number: &dyn Fn(&Expr) -> bool) -> bool {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return false };
        let (op, bound) = match (integer(right), integer(left), op.swap()) {
            (Some(bound), _, _) if is_number(left) => (*op, bound),
            (_, Some(bound), Some(op)) if is_number(right) => (op, bound),
            _ => return false,
        };
        match op {
            Operator::LtEq => self.at_most(bound),
            Operator::Lt => self.at_most(bound.saturating_sub(1)),
            Operator::GtEq => self.at_least(bound),
            Operator::Gt => self.at_least(bound.saturating_add(1)),
            Operator::Eq => {
                self.at_least(bound);
                self.at_most(bound);
            }
            _ => return false,
        }
        true
    }
}

fn integer(expr: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = expr else { return None };
    match value.cast_to(&DataType::Int64).ok()? {
        ScalarValue::Int64(value) => value,
        _ => None,
    }
}

/// Whether a filter lets nothing pass but the first row of each key in the order of event time.
pub(super) fn keeps_first(filter: &Filter) -> bool {
    let Some((column, _)) = number_column(&filter.input).filter(|(_, window)| by_time(window)) else { return false };
    let schema = filter.input.schema();
    let is_number = |expr: &Expr| match unaliased(expr) {
        Expr::Column(found) => schema.index_of_column(found).is_ok_and(|i| i == column),
        _ => false,
    };
    let mut numbers = Numbers { first: 1, last: None };
    for condition in split_conjunction(&filter.predicate) {
        numbers.take(condition, &is_number);
    }
    numbers == Numbers { first: 1, last: Some(1) }
}

impl Lowering<'_> {
    pub(super) fn rank(&mut self, filter: &Filter, numbered: Numbered<'_>, used: &Used) -> Result<Stream> {
        let schema = filter.input.schema();
        let is_number = |expr: &Expr| match unaliased(expr) {
            Expr::Column(column) => schema.index_of_column(column).is_ok_and(|i| i == numbered.column),
            _ => false,
        };
        let mut numbers = Numbers { first: 1, last: None };
        let rest: Vec<Expr> = split_conjunction(&filter.predicate)
            .into_iter()
            .filter(|condition| !numbers.take(condition, &is_number))
            .cloned()
            .collect();
        if !ranks_window(numbered.window) {
            let params = params(numbered.window);
            let keys = params.map_or(&[][..], |params| &params.partition_by);
            let bound = keys.iter().find(|key| is_bound_of_group_window(&numbered.window.input, key));
            if let Some(bound) = bound {
                return Err(of_group_window().or_at(span_of_columns([bound])));
            }
            let order =
                params.into_iter().flat_map(|p| p.partition_by.iter().chain(p.order_by.iter().map(|o| &o.expr)));
            return Err(updating().or_at(span_of_columns(order)));
        }
        let last = numbers.last.ok_or_else(|| {
            Error::sql("a Top-N needs an upper bound for the number")
                .or_at(span_of_columns([&filter.predicate]))
                .hint("filter by it: WHERE rn <= 3")
        })?;
        let range = (numbers.first, last);
        let stream = self.ranked(&filter.input, range, &used.and(schema, &rest))?;
        match conjunction(rest) {
            Some(predicate) => self.filter(stream, &predicate, &filter.input),
            None => Ok(stream),
        }
    }

    /// A plan down to its `ROW_NUMBER`, of which the numbers from `range.0` to `range.1` are made.
    fn ranked(&mut self, plan: &LogicalPlan, range: (u64, u64), used: &Used) -> Result<Stream> {
        match plan {
            LogicalPlan::Projection(projection) => {
                let stream = self.ranked(&projection.input, range, &used.below(projection))?;
                self.project(stream, projection, used)
            }
            LogicalPlan::SubqueryAlias(alias) => self.ranked(&alias.input, range, used),
            LogicalPlan::Filter(filter) => {
                let below = used.and(filter.input.schema(), [&filter.predicate]);
                let stream = self.ranked(&filter.input, range, &below)?;
                self.filter(stream, &filter.predicate, &filter.input)
            }
            LogicalPlan::Window(window) => self.window_rank(window, range, used),
            _ => Err(Error::internal("a number without its ROW_NUMBER")),
        }
    }

    fn window_rank(&mut self, window: &Window, (first, last): (u64, u64), used: &Used) -> Result<Stream> {
        let names = window.input.schema();
        let params = params(window).ok_or_else(|| Error::internal("a number without its ROW_NUMBER"))?;
        let width = names.fields().len();
        let read = match used {
            Used::All => Used::All,
            Used::Some(used) => Used::Some(used.iter().copied().filter(|i| *i < width).collect()),
        };
        let of_order = params.partition_by.iter().chain(params.order_by.iter().map(|sort| &sort.expr));
        let read = read.and(names, of_order);
        let stream = self.lower_used(&window.input, &read)?;
        let stream = self.keep(stream, names, &read)?;
        let input = self.schema(&stream);
        let compiler = Compiler::new(&input)?;
        let (mut bounds, mut keys, mut of) = ([None; 2], Vec::new(), None);
        for key in &params.partition_by {
            let resolved = resolve(key, names, &stream.columns)?;
            match window_column_of(&window.input, key) {
                Some((which @ (0 | 1), tvf)) => {
                    bounds[which] = place_of(&resolved);
                    of = Some(tvf);
                }
                Some(_) => {}
                None => keys.push(compiler.expr(&resolved)?),
            }
        }
        let (Some(end), Some(tvf)) = (bounds[1], of) else { return Err(updating()) };
        let mut order = Vec::new();
        for sort in &params.order_by {
            check_order(&sort.expr, names)?;
            let expr = compiler.expr(&resolve(&sort.expr, names, &stream.columns)?)?;
            order.push(SortKey { expr, descending: !sort.asc, nulls_first: sort.nulls_first });
        }
        let one_by_time = matches!(&params.order_by[..], [one] if is_time(&window.input, &one.expr)) && last == 1;
        let latest = one_by_time && params.order_by.iter().all(|one| !one.asc);
        // Flink's rank tells windows apart by their end alone: sessions of other keys that end together are one
        // partition. Its deduplication looks at both.
        let sessions = matches!(tvf.spec.kind, WindowKind::Session { .. }) && !one_by_time;
        let kind = NodeKind::WindowRank(WindowRank {
            window_start: bounds[0].filter(|_| !sessions).unwrap_or(end),
            window_end: end,
            rowtime: stream.rowtime,
            zone: self.zone(tvf)?,
            keys,
            order,
            latest_first: latest && first <= 1,
            first,
            last,
        });
        let mut fields: Vec<Field> = input.fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.push(Field::new(ROW_NUMBER, DataType::Int64, false));
        let number = place(fields.len() - 1);
        let ranked = self.node(kind, vec![stream.node], &Arc::new(Schema::new(fields)));
        Ok(Stream { columns: stream.columns.into_iter().chain([number]).collect(), ..ranked })
    }
}

impl Lowering<'_> {
    pub(super) fn sort(&mut self, sort: &Sort) -> Result<Stream> {
        let names = sort.input.schema();
        let place_in_script = || span_of_columns(sort.expr.iter().map(|key| &key.expr));
        match &sort.expr[..] {
            [first, ..] if first.asc && is_time(&sort.input, &first.expr) && sort.fetch.is_none() => {}
            _ => {
                return Err(Error::sql("ORDER BY is not supported on streams, but of event time first and ascending")
                    .or_at(place_in_script())
                    .detail("Any other order needs all rows, and a stream has no end.")
                    .hint("write the rows to a table and query that with \"streamer sql\""));
            }
        }
        sort.expr.iter().try_for_each(|key| check_order(&key.expr, names))?;
        let stream = self.lower(&sort.input)?;
        let mut stream = self.attach(stream)?;
        let keys =
            sort.expr.iter().map(|key| resolve(&key.expr, names, &stream.columns)).collect::<Result<Vec<_>>>()?;
        let width = stream.columns.len();
        stream.columns.extend(keys);
        let order_names: Vec<String> = (0..sort.expr.len()).map(|i| format!("$order{i}")).collect();
        let columns = names.fields().iter().map(|f| f.name().as_str()).chain(order_names.iter().map(String::as_str));
        let stream = self.calc(stream, &columns.collect::<Vec<_>>())?;
        let input = self.schema(&stream);
        let compiler = Compiler::new(&input)?;
        let mut order = Vec::new();
        for (i, key) in sort.expr.iter().enumerate().skip(1) {
            let expr = compiler.expr(&place(width + i))?;
            order.push(SortKey { expr, descending: !key.asc, nulls_first: key.nulls_first });
        }
        let mut sorted = self.node(NodeKind::Sort(plan::Sort { rowtime: width, order }), vec![stream.node], &input);
        sorted.columns.truncate(width);
        Ok(sorted)
    }
}

/// Whether rows can be put in the order of an expression.
///
/// # Errors
/// `Sql` for a type with a MAP, which has no order in Flink either.
fn check_order(expr: &Expr, schema: &DFSchema) -> Result<()> {
    fn ordered(data_type: &DataType) -> bool {
        match data_type {
            DataType::Map(..) => false,
            DataType::List(item) => ordered(item.data_type()),
            DataType::Struct(fields) => fields.iter().all(|field| ordered(field.data_type())),
            _ => true,
        }
    }
    let data_type = expr.get_type(schema)?;
    if ordered(&data_type) {
        return Ok(());
    }
    Err(Error::sql(format!("ORDER BY does not take {}", flink_type(&data_type))).or_at(span_of_columns([expr])).hint(
        "order by a number, a text, a time, a BOOLEAN, or an ARRAY or ROW of these; of a MAP take a value: m['key']",
    ))
}

/// Name of the number in a node.
const ROW_NUMBER: &str = "row_number";

/// Whether an expression over `plan` is, through nothing but renaming, the start or the end of a group window.
fn is_bound_of_group_window(plan: &LogicalPlan, expr: &Expr) -> bool {
    let Expr::Column(column) = unaliased(expr) else { return false };
    let Ok(index) = plan.schema().index_of_column(column) else { return false };
    match plan {
        LogicalPlan::Projection(p) => p.expr.get(index).is_some_and(|expr| is_bound_of_group_window(&p.input, expr)),
        LogicalPlan::SubqueryAlias(a) => {
            is_bound_of_group_window(&a.input, &Expr::from(a.input.schema().qualified_field(index)))
        }
        LogicalPlan::Filter(f) => is_bound_of_group_window(&f.input, expr),
        LogicalPlan::Aggregate(a) => {
            window_key(a, index).is_some_and(|(which, tvf)| which < 2 && tvf.is_group_window())
        }
        _ => false,
    }
}

/// A Top-N of the results of a group window.
fn of_group_window() -> Error {
    Error::sql("a Top-N over the start and end of a group window is not supported")
        .detail("In the result of GROUP BY TUMBLE(…) they are plain time stamps: the Top-N would be updated with every row.")
        .hint("write the window as a table function: FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, and PARTITION BY window_start, window_end")
}

/// A Top-N whose result would change with every row.
fn updating() -> Error {
    Error::sql("a Top-N outside a window is not supported yet")
        .detail("Its result would be updated with every row.")
        .hint("number the rows of windows: ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY x DESC); or the first rows in time: ORDER BY ts")
}
