//! Joins of a stream with rows that the script itself gives: `t JOIN (VALUES (1, 'x'), (2, 'y')) AS v (id, name) ON …`,
//! `IN`, `NOT IN` and `EXISTS` of such rows.
//!
//! The rows are all known, so that nothing has to be kept: they are part of the plan. Where Flink writes a row of a LEFT
//! JOIN and takes it back when a constant comes, all constants have come before the first row. As after any join without
//! a window, a column is no event time behind it. `IN` that is no condition of its own (`k = 1 OR x IN (…)`) is a list.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, JoinType, Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::{Exists, InList, InSubquery};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, find_valid_equijoin_key_pair, split_conjunction};
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, Filter, Join, LogicalPlan, ScalarUDF, Subquery, lit};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use crate::connectors;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::CONSTANT_ROWS_MAX;
use crate::plan::{ConstantJoin, JoinKind, NodeKind, PlanExpr};
use crate::sql::places::span_of_columns;
use crate::sql::planner::expr::{Compiler, place, place_of, resolve};
use crate::sql::planner::join::equality;
use crate::sql::planner::lower::{Lowering, Stream, Used, is_volatile, stand_in};
use crate::sql::planner::values;
use crate::sql::planner::wording::in_sql_types;
use crate::sql::registry::Registry;

/// The constant rows of a join.
struct Side {
    rows: RecordBatch,
    of_left: bool,
    /// With the stream as the left side.
    kind: JoinKind,
}

/// Whether a join is one with constant rows, which needs no window.
pub(super) fn joins(join: &Join) -> bool {
    constant_side(join).is_ok_and(|side| side.is_some())
}

/// The constant side of a join whose other side decides when a row leaves.
///
/// # Errors
/// As [`rows`].
fn constant_side(join: &Join) -> Result<Option<Side>> {
    let right = |kind| Ok(rows(&join.right)?.map(|rows| Side { rows, of_left: false, kind }));
    let left = |kind| Ok(rows(&join.left)?.map(|rows| Side { rows, of_left: true, kind }));
    match join.join_type {
        JoinType::Inner => match right(JoinKind::Inner)? {
            Some(side) => Ok(Some(side)),
            None => left(JoinKind::Inner),
        },
        JoinType::Left => right(JoinKind::Left),
        JoinType::Right => left(JoinKind::Left),
        JoinType::LeftSemi => right(JoinKind::Semi),
        JoinType::LeftAnti => right(JoinKind::Anti),
        _ => Ok(None),
    }
}

/// Whether a query reads no table: it ends, whatever it computes.
pub(super) fn reads_no_table(plan: &LogicalPlan) -> bool {
    !plan.exists(|node| Ok(matches!(node, LogicalPlan::TableScan(_)))).unwrap_or(true)
}

/// Whether one side of a join is rows of constants, whatever the kind of the join.
pub(super) fn has_constant_side(join: &Join) -> bool {
    [&join.left, &join.right].into_iter().any(|side| rows(side).is_ok_and(|rows| rows.is_some()))
}

/// So many rows as can be in a plan.
///
/// # Errors
/// `Sql` if they are more than [`CONSTANT_ROWS_MAX`].
fn bounded(rows: RecordBatch) -> Result<RecordBatch> {
    match rows.num_rows() {
        count if count > CONSTANT_ROWS_MAX => {
            Err(Error::sql(format!("a join with {count} rows of constants, {CONSTANT_ROWS_MAX} are possible"))
                .detail("They are part of the plan.")
                .hint("write fewer"))
        }
        _ => Ok(rows),
    }
}

/// The rows of a query that reads no table; `None`: it reads one.
///
/// # Errors
/// `Sql` for a constant that cannot be computed.
fn rows(plan: &LogicalPlan) -> Result<Option<RecordBatch>> {
    let rows = match plan {
        LogicalPlan::Values(values) => values::constant_rows(values)?,
        LogicalPlan::EmptyRelation(empty) => {
            let count = RecordBatchOptions::new().with_row_count(Some(usize::from(empty.produce_one_row)));
            Some(RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &count)?)
        }
        LogicalPlan::SubqueryAlias(alias) => rows(&alias.input)?,
        LogicalPlan::Projection(projection) => match rows(&projection.input)? {
            Some(input) if !projection.expr.iter().any(is_volatile) => {
                Some(computed(&projection.expr, projection.input.schema(), &input)?)
            }
            _ => None,
        },
        LogicalPlan::Distinct(Distinct::All(input)) => rows(input)?.map(|rows| distinct(&rows)).transpose()?,
        LogicalPlan::Aggregate(aggregate) if aggregate.aggr_expr.is_empty() => match rows(&aggregate.input)? {
            Some(input) if !aggregate.group_expr.iter().any(|key| is_volatile(key) || is_sets(key)) => {
                Some(distinct(&computed(&aggregate.group_expr, aggregate.input.schema(), &input)?)?)
            }
            _ => None,
        },
        LogicalPlan::Filter(filter) => match rows(&filter.input)? {
            Some(input) if !is_volatile(&filter.predicate) => {
                let kept = computed(std::slice::from_ref(&filter.predicate), filter.input.schema(), &input)?;
                Some(filter_record_batch(&input, kept.column(0).as_boolean())?)
            }
            _ => None,
        },
        LogicalPlan::Union(union) => {
            let inputs = union.inputs.iter().map(|input| rows(input)).collect::<Result<Option<Vec<_>>>>()?;
            inputs.map(|inputs| together(&inputs)).transpose()?
        }
        _ => None,
    };
    Ok(rows)
}

/// The rows of several, one after the other, with the names of the first.
fn together(inputs: &[RecordBatch]) -> Result<RecordBatch> {
    let schema = inputs.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
    let named = inputs.iter().map(|rows| {
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&schema), rows.columns().to_vec(), &options)
    });
    Ok(concat_batches(&schema, &named.collect::<std::result::Result<Vec<_>, _>>()?)?)
}

/// The rows under the names that a query gives their columns.
fn named(rows: &RecordBatch, names: &DFSchema) -> Result<RecordBatch> {
    let fields = names.fields().iter().zip(rows.columns());
    let fields = fields.map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true));
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    Ok(RecordBatch::try_new_with_options(schema, rows.columns().to_vec(), &options)?)
}

/// Each row once, where it stood first.
fn distinct(rows: &RecordBatch) -> Result<RecordBatch> {
    let fields = rows.columns().iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let bytes = RowConverter::new(fields)?.convert_columns(rows.columns())?;
    let mut seen = BTreeSet::new();
    let first = (0..rows.num_rows()).map(|row| seen.insert(bytes.row(row).data())).collect::<Vec<_>>();
    Ok(filter_record_batch(rows, &BooleanArray::from(first))?)
}

fn is_sets(key: &Expr) -> bool {
    matches!(key, Expr::GroupingSet(_))
}

/// Expressions over constant rows.
///
/// # Errors
/// `Sql` for a constant that cannot be computed.
fn computed(exprs: &[Expr], names: &DFSchema, input: &RecordBatch) -> Result<RecordBatch> {
    let compiler = Compiler::bare(&input.schema())?;
    let places: Vec<Expr> = (0..input.num_columns()).map(place).collect();
    let column = |expr: &Expr| {
        let compiled = compiler.expr(&resolve(expr, names, &places)?)?;
        let value = compiled.expr.evaluate(input).and_then(|value| value.into_array(input.num_rows()));
        // no row is to be mended: the script is wrong
        value.map_err(|e| Error::from(e).reworded(in_sql_types).of_kind(ErrorKind::Sql))
    };
    let columns = exprs.iter().map(column).collect::<Result<Vec<_>>>()?;
    let fields: Vec<Field> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| Field::new(format!("c{i}"), column.data_type().clone(), true))
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(input.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}

/// What a pair of rows has to meet, in terms of both sides of the join as it is written.
struct Condition {
    /// Equal expressions of the stream and of the constants.
    keys: Vec<(Expr, Expr)>,
    /// The one key may be equal where it is NULL, too.
    unknown_joins: bool,
    rest: Vec<Expr>,
}

impl Condition {
    fn of(join: &Join, of_left: bool) -> Result<Self> {
        let mut condition = Self { keys: Vec::new(), unknown_joins: false, rest: Vec::new() };
        let pairs = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
        let mut parts = pairs.chain(join.filter.iter().flat_map(split_conjunction).cloned());
        // the comparison of NOT IN comes first; other parts are conditions of its subquery
        let compared = if join.null_aware { parts.next() } else { None };
        for part in parts {
            match key(join, of_left, &part)? {
                Some(key) => condition.keys.push(key),
                None => condition.rest.push(part),
            }
        }
        let Some(compared) = compared else { return Ok(condition) };
        match key(join, of_left, &compared)?.filter(|_| condition.keys.is_empty()) {
            Some(key) => {
                condition.keys.push(key);
                condition.unknown_joins = true;
            }
            // what is neither true nor false rules a row out, too
            None => condition.rest.push(Expr::IsNotFalse(Box::new(compared))),
        }
        Ok(condition)
    }
}

/// Equal expressions of the stream and of the constants, if that is what a part of a condition says, and if a hash can tell.
fn key(join: &Join, of_left: bool, part: &Expr) -> Result<Option<(Expr, Expr)>> {
    let Some((one, other)) = equality(part) else { return Ok(None) };
    let (left, right) = (join.left.schema(), join.right.schema());
    let pair = find_valid_equijoin_key_pair(one, other, left, right)?.filter(|(one, other)| {
        let (one, other) = (one.get_type(left).ok(), other.get_type(right).ok());
        one == other && one.as_ref().is_some_and(is_hashed)
    });
    Ok(pair.map(|(one, other)| if of_left { (other, one) } else { (one, other) }))
}

/// Whether values of a type are equal if their bytes are.
fn is_hashed(data_type: &DataType) -> bool {
    data_type.is_primitive()
        || matches!(data_type, DataType::Boolean | DataType::Utf8 | DataType::Binary | DataType::FixedSizeBinary(_))
}

impl Lowering<'_> {
    /// `SELECT DISTINCT`, or GROUP BY without aggregates, of rows of constants; `None`: it is none.
    pub(super) fn constant_groups(&mut self, plan: &LogicalPlan) -> Result<Option<Stream>> {
        let Some(rows) = rows(plan)? else { return Ok(None) };
        let rows = named(&rows, plan.schema())?;
        let kind = NodeKind::Source(values::source(&rows)?);
        Ok(Some(self.node(kind, Vec::new(), &rows.schema())))
    }

    /// A join with rows of constants; `None`: it is none.
    pub(super) fn constant_join(&mut self, join: &Join, used: &Used) -> Result<Option<Stream>> {
        let Some(Side { rows, of_left, kind }) = constant_side(join)? else { return Ok(None) };
        let rows = bounded(rows)?;
        let condition = Condition::of(join, of_left)?;
        let constants = if of_left { join.left.schema() } else { join.right.schema() };
        let rows = named(&rows, constants)?;
        let names = join.left.schema().join(join.right.schema())?;
        let middle = join.left.schema().fields().len();
        let (streamed, constant) = match of_left {
            true => (middle..names.fields().len(), 0),
            false => (0..middle, middle),
        };
        let both: BTreeSet<usize> = (0..names.fields().len()).filter(|column| used.has(*column)).collect();
        let stays = Used::Some(both).and(&names, &condition.rest);
        let read = stays.and(&names, condition.keys.iter().map(|(value, _)| value));
        let of = |used: &Used| -> Vec<usize> { streamed.clone().filter(|column| used.has(*column)).collect() };
        let (stays, read) = (of(&stays), of(&read));
        let below = Used::Some(read.iter().map(|column| column - streamed.start).collect());
        let side = if of_left { &join.right } else { &join.left };
        let stream = self.lower_used(side, &below)?;
        let stream = self.keep(stream, side.schema(), &below)?;
        let input = self.schema(&stream);
        let mut columns = vec![stand_in(); names.fields().len()];
        for column in &read {
            columns[*column] = stream.columns[column - streamed.start].clone();
        }
        let (over_input, over_rows) = (Compiler::new(&input)?, Compiler::bare(&rows.schema())?);
        let places: Vec<Expr> = (0..rows.num_columns()).map(place).collect();
        let keys = condition.keys.iter().map(|(value, constant)| -> Result<(PlanExpr, PlanExpr)> {
            let value = over_input.expr(&resolve(value, &names, &columns)?)?;
            Ok((value, over_rows.expr(&resolve(constant, constants, &places)?)?))
        });
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let kept: Vec<usize> = stays.iter().filter_map(|column| place_of(&columns[*column])).collect();
        let mut fields: Vec<Field> = kept.iter().map(|place| input.field(*place).clone()).collect();
        fields.extend(rows.schema().fields().iter().map(|field| field.as_ref().clone()));
        columns = vec![stand_in(); names.fields().len()];
        for (at, column) in stays.iter().copied().chain(constant..constant + rows.num_columns()).enumerate() {
            columns[column] = place(at);
        }
        let pair: SchemaRef = Arc::new(Schema::new(fields.clone()));
        let rest = condition.rest.iter().map(|part| resolve(part, &names, &columns)).collect::<Result<Vec<_>>>()?;
        let on = conjunction(rest).map(|rest| Compiler::new(&pair)?.expr(&rest)).transpose()?;
        if matches!(kind, JoinKind::Semi | JoinKind::Anti) {
            fields.truncate(kept.len());
            columns.truncate(middle);
        }
        let name = connectors::values::table(&rows)?.name;
        let unknown_joins = condition.unknown_joins;
        let joined = ConstantJoin { kind, rows, name, kept, keys, unknown_joins, condition: on };
        let node = self.node(NodeKind::ConstantJoin(joined), vec![stream.node], &Arc::new(Schema::new(fields)));
        Ok(Some(Stream { columns, ..node }))
    }
}

/// `IN` and `EXISTS` of constant rows as values: a list, or what is known. Those that are conditions of their own stay,
/// and become joins.
#[derive(Debug)]
pub(super) struct ConstantsAsValues {
    /// Tells whether numbers with a point are the same, as keys are.
    equal: Option<Arc<ScalarUDF>>,
}

impl ConstantsAsValues {
    pub(super) fn new(registry: &Registry) -> Self {
        Self { equal: registry.scalar("total_equal").cloned() }
    }
}

impl OptimizerRule for ConstantsAsValues {
    fn name(&self) -> &str {
        "constants_as_values"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> DfResult<Transformed<LogicalPlan>> {
        if let LogicalPlan::Filter(filter) = plan {
            let mut changed = false;
            let parts = split_conjunction(&filter.predicate).into_iter().map(|part| {
                if is_condition(part) {
                    return Ok(part.clone());
                }
                let value = part.clone().transform_up(|part| self.as_value(part))?;
                changed |= value.transformed;
                Ok(value.data)
            });
            let parts = parts.collect::<DfResult<Vec<_>>>()?;
            let Some(predicate) = conjunction(parts).filter(|_| changed) else {
                return Ok(Transformed::no(LogicalPlan::Filter(filter)));
            };
            return Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?)));
        }
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let saved = names.save(&expr);
            let value = expr.transform_up(|part| self.as_value(part))?;
            Ok(value.update_data(|expr| saved.restore(expr)))
        })
    }
}

/// Whether a condition is an `IN` or `EXISTS`, negated or not, and nothing else.
fn is_condition(part: &Expr) -> bool {
    match part {
        Expr::InSubquery(_) | Expr::Exists(_) => true,
        Expr::Not(inner) => is_condition(inner),
        _ => false,
    }
}

/// Refuses `IN` and `EXISTS` that stand for values, and that constants do not answer.
///
/// # Errors
/// `Sql` if there is one.
pub(super) fn check_values(exprs: &[Expr]) -> Result<()> {
    if exprs.iter().any(|expr| expr.exists(|part| Ok(is_condition(part))).unwrap_or(true)) {
        return Err(Error::sql("IN and EXISTS that read columns of the query around them are possible in WHERE only")
            .hint("write the condition into WHERE, in a query for each of its answers"));
    }
    Ok(())
}

impl ConstantsAsValues {
    fn as_value(&self, expr: Expr) -> DfResult<Transformed<Expr>> {
        match &expr {
            Expr::InSubquery(InSubquery { expr: value, subquery, negated }) => {
                let Some(rows) = of_subquery(subquery)? else { return Ok(Transformed::no(expr)) };
                let rows = bounded(rows).map_err(|error| error.or_at(span_of_columns([value.as_ref()])))?;
                let Some(column) = rows.columns().first() else { return Ok(Transformed::no(expr)) };
                let list = (0..rows.num_rows()).map(|row| Ok(lit(ScalarValue::try_from_array(column, row)?)));
                let list = list.collect::<DfResult<Vec<_>>>()?;
                Ok(Transformed::yes(self.is_in(value, list, *negated)))
            }
            Expr::Exists(Exists { subquery, negated }) => Ok(match of_subquery(subquery)? {
                Some(rows) => Transformed::yes(lit((rows.num_rows() > 0) != *negated)),
                None => Transformed::no(expr),
            }),
            _ => Ok(Transformed::no(expr)),
        }
    }

    fn is_in(&self, value: &Expr, list: Vec<Expr>, negated: bool) -> Expr {
        if list.is_empty() {
            return lit(negated);
        }
        let approximate = matches!(list.first(), Some(Expr::Literal(ScalarValue::Float64(_), _)));
        match self.equal.as_ref().filter(|_| approximate) {
            Some(equal) => {
                let found = any_equal(equal, value, &list);
                if negated { Expr::Not(Box::new(found)) } else { found }
            }
            None => Expr::InList(InList::new(Box::new(value.clone()), list, negated)),
        }
    }
}

/// Whether a value is one of a list; halves of the list on both sides of an OR are as deep as they must be.
fn any_equal(equal: &Arc<ScalarUDF>, value: &Expr, list: &[Expr]) -> Expr {
    match list {
        [] => lit(false),
        [one] => equal.call(vec![value.clone(), one.clone()]),
        more => {
            let (one, other) = more.split_at(more.len() / 2);
            any_equal(equal, value, one).or(any_equal(equal, value, other))
        }
    }
}

/// The rows of a subquery that reads neither a table nor the query around it.
fn of_subquery(subquery: &Subquery) -> Result<Option<RecordBatch>> {
    if subquery.outer_ref_columns.is_empty() { rows(&subquery.subquery) } else { Ok(None) }
}
