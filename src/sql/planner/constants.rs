//! Joins of a stream with rows that the script itself gives: `t JOIN (VALUES (1, 'x'), (2, 'y')) AS v (id, name) ON …`.
//!
//! The rows are all known, so that nothing has to be kept: they become an array that is a constant, each row of the stream
//! is unnested with it, and the condition is a filter. `IN` and `EXISTS` are a filter with the condition of every row. As
//! after any join without a window, a column is no event time behind it.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, ListArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::common::{DFSchema, JoinType, ScalarValue};
use datafusion::logical_expr::utils::{conjunction, disjunction, split_conjunction};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, lit};

use crate::error::{Error, ErrorKind, Result};
use crate::plan::{NodeKind, Unnest};
use crate::sql::planner::expr::{Compiler, place, place_of, resolve};
use crate::sql::planner::lower::{Lowering, Stream, Used, stand_in};
use crate::sql::planner::values;
use crate::sql::planner::wording::in_sql_types;

/// Rows of constants that a stream can be joined with: each row of the stream is paired with all.
const ROWS_MAX: usize = 100;

/// Whether a join is one with constant rows, which needs no window.
pub(super) fn joins(join: &Join) -> bool {
    constant_side(join).is_ok_and(|side| side.is_some())
}

/// The rows of the constant side, and whether it is the left one.
///
/// # Errors
/// As [`rows`].
fn constant_side(join: &Join) -> Result<Option<(RecordBatch, bool)>> {
    Ok(match join.join_type {
        JoinType::Inner => match rows(&join.right)? {
            Some(rows) => Some((rows, false)),
            None => rows(&join.left)?.map(|rows| (rows, true)),
        },
        JoinType::LeftSemi => rows(&join.right)?.map(|rows| (rows, false)),
        _ => None,
    })
}

/// Whether one side of a join is rows of constants, whatever the kind of the join.
pub(super) fn has_constant_side(join: &Join) -> bool {
    [&join.left, &join.right].into_iter().any(|side| rows(side).is_ok_and(|rows| rows.is_some()))
}

/// The rows of a query that reads no table; `None`: it reads one.
///
/// # Errors
/// `Sql` if it has more than [`ROWS_MAX`], or a constant that cannot be computed.
fn rows(plan: &LogicalPlan) -> Result<Option<RecordBatch>> {
    let rows = match plan {
        LogicalPlan::Values(values) => values::constant_rows(values)?,
        LogicalPlan::EmptyRelation(empty) => {
            let count = RecordBatchOptions::new().with_row_count(Some(usize::from(empty.produce_one_row)));
            Some(RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &count)?)
        }
        LogicalPlan::SubqueryAlias(alias) => rows(&alias.input)?,
        LogicalPlan::Projection(projection) => match rows(&projection.input)? {
            Some(input) => Some(computed(&projection.expr, projection.input.schema(), &input)?),
            None => None,
        },
        LogicalPlan::Filter(filter) => match rows(&filter.input)? {
            Some(input) => {
                let kept = computed(std::slice::from_ref(&filter.predicate), filter.input.schema(), &input)?;
                Some(filter_record_batch(&input, kept.column(0).as_boolean())?)
            }
            None => None,
        },
        LogicalPlan::Union(union) => {
            let inputs = union.inputs.iter().map(|input| rows(input)).collect::<Result<Option<Vec<_>>>>()?;
            inputs.map(|inputs| together(&inputs)).transpose()?
        }
        _ => None,
    };
    match rows {
        Some(rows) if rows.num_rows() > ROWS_MAX => {
            Err(Error::sql(format!("a join with {} rows of constants, {ROWS_MAX} are possible", rows.num_rows()))
                .detail("Every row of the stream is paired with each of them.")
                .hint("write fewer, a CASE, or a condition k IN ('a', 'b')"))
        }
        rows => Ok(rows),
    }
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

/// All rows as one array of ROWs.
fn as_array(rows: &RecordBatch) -> Result<ScalarValue> {
    let fields: Fields = rows
        .columns()
        .iter()
        .enumerate()
        .map(|(i, c)| Field::new(format!("c{i}"), c.data_type().clone(), true))
        .collect();
    let structs = StructArray::try_new_with_length(fields.clone(), rows.columns().to_vec(), None, rows.num_rows())?;
    let item = Arc::new(Field::new("item", DataType::Struct(fields), true));
    let list = ListArray::try_new(item, OffsetBuffer::from_lengths([structs.len()]), Arc::new(structs), None)?;
    Ok(ScalarValue::List(Arc::new(list)))
}

/// What a pair of rows has to meet.
fn conditions(join: &Join) -> Vec<Expr> {
    let equal = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
    equal.chain(join.filter.iter().flat_map(split_conjunction).cloned()).collect()
}

impl Lowering<'_> {
    /// A join with rows of constants; `None`: it is none.
    pub(super) fn constant_join(&mut self, join: &Join, used: &Used) -> Result<Option<Stream>> {
        let Some((rows, of_left)) = constant_side(join)? else { return Ok(None) };
        let conditions = conditions(join);
        let names = join.left.schema().join(join.right.schema())?;
        let middle = join.left.schema().fields().len();
        let streamed = if of_left { middle..names.fields().len() } else { 0..middle };
        let both: BTreeSet<usize> = (0..names.fields().len()).filter(|column| used.has(*column)).collect();
        let read = Used::Some(both).and(&names, &conditions);
        let kept: Vec<usize> = streamed.clone().filter(|column| read.has(*column)).collect();
        let below = Used::Some(kept.iter().map(|column| column - streamed.start).collect());
        let side = if of_left { &join.right } else { &join.left };
        let stream = self.lower_used(side, &below)?;
        let stream = self.keep(stream, side.schema(), &below)?;
        let mut columns = vec![stand_in(); names.fields().len()];
        for column in &kept {
            columns[*column] = stream.columns[column - streamed.start].clone();
        }
        if join.join_type == JoinType::LeftSemi {
            return self.any_row(stream, &rows, (&names, &columns), &conditions).map(Some);
        }
        let input = self.schema(&stream);
        let places: Vec<usize> = kept.iter().filter_map(|column| place_of(&columns[*column])).collect();
        let mut fields: Vec<Field> = places.iter().map(|place| input.field(*place).clone()).collect();
        let constants = names.fields().iter().skip(if of_left { 0 } else { middle }).zip(rows.columns());
        fields.extend(constants.map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true)));
        let collection = Compiler::new(&input)?.expr(&lit(as_array(&rows)?))?;
        let kind = NodeKind::Unnest(Unnest { collection, kept: places, outer: false, ordinality: false });
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let node = self.node(kind, vec![stream.node], &schema);
        for (at, column) in kept.iter().enumerate() {
            columns[*column] = place(at);
        }
        let first = if of_left { 0 } else { middle };
        for at in 0..rows.num_columns() {
            columns[first + at] = place(kept.len() + at);
        }
        let predicate =
            conditions.iter().map(|condition| resolve(condition, &names, &columns)).collect::<Result<_>>()?;
        Ok(Some(Stream { predicate, columns, ..node }))
    }

    /// The rows of a stream that meet the conditions with some of the constant rows.
    fn any_row(
        &self,
        mut stream: Stream,
        rows: &RecordBatch,
        (names, columns): (&DFSchema, &[Expr]),
        conditions: &[Expr],
    ) -> Result<Stream> {
        let middle = columns.len() - rows.num_columns();
        let mut columns = columns.to_vec();
        let mut met = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            for (at, column) in rows.columns().iter().enumerate() {
                columns[middle + at] = Expr::Literal(ScalarValue::try_from_array(column, row)?, None);
            }
            let all = conditions.iter().map(|c| resolve(c, names, &columns)).collect::<Result<Vec<_>>>()?;
            met.push(conjunction(all).unwrap_or_else(|| lit(true)));
        }
        stream.predicate.push(disjunction(met).unwrap_or_else(|| lit(false)));
        Ok(stream)
    }
}
