//! `UNNEST`: a row for each element of a collection, in their order.
//!
//! The new rows have the origin of the row they are made of, and so its place in the input and its lateness. A field
//! of an array of rows becomes a column; a NULL among such rows makes no row, as in Flink.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, StructArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;

use super::columns::evaluate;
use super::{Operator, Output};
use crate::error::{Error, Result};
use crate::limits::BATCH_ROWS_MAX;
use crate::plan::Unnest;
use crate::stream::{user_columns, with_origin};
use crate::table::map::keys;

/// Turns elements into rows.
#[derive(Debug)]
pub struct UnnestOperator {
    collection: Arc<dyn PhysicalExpr>,
    kept: Vec<usize>,
    outer: bool,
    ordinality: bool,
    schema: SchemaRef,
}

/// The collections of a batch, and the columns their elements become.
struct Elements {
    columns: Vec<ArrayRef>,
    /// Elements of each row.
    offsets: Vec<i32>,
    /// Elements that make no row.
    skipped: Option<StructArray>,
}

impl Elements {
    fn of(collection: &ArrayRef) -> Result<Self> {
        match collection.data_type() {
            DataType::List(_) => {
                let list = collection.as_list::<i32>();
                let offsets = list.offsets().to_vec();
                let Some(rows) = list.values().as_struct_opt() else {
                    return Ok(Self { columns: vec![Arc::clone(list.values())], offsets, skipped: None });
                };
                let skipped = (rows.null_count() > 0).then(|| rows.clone());
                Ok(Self { columns: rows.columns().to_vec(), offsets, skipped })
            }
            DataType::Map(..) => {
                let map = collection.as_map();
                let columns = vec![Arc::clone(keys(map)), Arc::clone(map.values())];
                Ok(Self { columns, offsets: map.offsets().to_vec(), skipped: None })
            }
            other => Err(Error::internal(format!("a value of type {other} has no elements"))),
        }
    }

    /// The elements of `row` that make rows.
    fn of_row(&self, row: usize) -> impl Iterator<Item = u32> + '_ {
        let at = |row: usize| self.offsets.get(row).and_then(|offset| u32::try_from(*offset).ok()).unwrap_or(0);
        let kept = |element: &u32| self.skipped.as_ref().is_none_or(|rows| rows.is_valid(*element as usize));
        (at(row)..at(row + 1)).filter(kept)
    }
}

/// Rows under construction: for each, the row it is made of, the element, and its number.
#[derive(Default)]
struct Made {
    rows: Vec<u32>,
    elements: Vec<Option<u32>>,
    numbers: Vec<Option<i32>>,
}

impl UnnestOperator {
    /// `schema` is the node's, without origin columns.
    pub fn new(unnest: &Unnest, schema: &Schema) -> Self {
        Self {
            collection: Arc::clone(&unnest.collection.expr),
            kept: unnest.kept.clone(),
            outer: unnest.outer,
            ordinality: unnest.ordinality,
            schema: with_origin(schema),
        }
    }

    fn flush(&self, batch: &RecordBatch, elements: &Elements, made: &mut Made, output: &mut Output) -> Result<()> {
        let Made { rows, elements: picked, numbers } = std::mem::take(made);
        if rows.is_empty() {
            return Ok(());
        }
        let (rows, picked) = (UInt32Array::from(rows), UInt32Array::from(picked));
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for place in &self.kept {
            columns.push(take(batch.column(*place), &rows, None)?);
        }
        for column in &elements.columns {
            columns.push(take(column, &picked, None)?);
        }
        if self.ordinality {
            columns.push(Arc::new(Int32Array::from(numbers)));
        }
        for origin in &batch.columns()[user_columns(batch)?..] {
            columns.push(take(origin, &rows, None)?);
        }
        output.batches.push(RecordBatch::try_new(Arc::clone(&self.schema), columns)?);
        Ok(())
    }
}

impl Operator for UnnestOperator {
    fn name(&self) -> &str {
        "unnest"
    }

    /// The elements of the longest collection.
    fn copies_max(&self, batch: &RecordBatch) -> usize {
        // what cannot be computed is told by `process`
        let elements = evaluate(&self.collection, batch).and_then(|collection| Elements::of(&collection));
        let longest = elements.ok().and_then(|elements| elements.offsets.windows(2).map(|two| two[1] - two[0]).max());
        longest.and_then(|longest| usize::try_from(longest).ok()).unwrap_or(1)
    }

    fn process(&mut self, batch: RecordBatch, output: &mut Output) -> Result<()> {
        let collection = evaluate(&self.collection, &batch)?;
        let elements = Elements::of(&collection)?;
        let mut made = Made::default();
        for row in 0..batch.num_rows() {
            let place = u32::try_from(row).unwrap_or(u32::MAX);
            let before = made.rows.len();
            for (number, element) in (1..).zip(elements.of_row(row).filter(|_| collection.is_valid(row))) {
                made.rows.push(place);
                made.elements.push(Some(element));
                made.numbers.push(Some(number));
            }
            if self.outer && made.rows.len() == before {
                made.rows.push(place);
                made.elements.push(None);
                made.numbers.push(None);
            }
            if made.rows.len() >= BATCH_ROWS_MAX {
                self.flush(&batch, &elements, &mut made, output)?;
            }
        }
        self.flush(&batch, &elements, &mut made, output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PlanExpr;
    use crate::stream::Origin;
    use arrow::array::{Int64Array, ListArray};
    use arrow::datatypes::{Field, Int32Type, Int64Type};
    use datafusion::physical_expr::expressions::Column;

    fn batch(lists: Vec<Option<Vec<Option<i32>>>>) -> Result<RecordBatch> {
        let n = lists.len();
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(lists);
        let schema = with_origin(&Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("a", list.data_type().clone(), true),
        ]));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(0..n as i64)),
            Arc::new(list),
            Arc::new(Int32Array::from_value(3, n)),
            Arc::new(Int64Array::from_iter_values((0..n as i64).map(|i| 100 + i))),
            Arc::new(Int64Array::from_iter_values((0..n as i64).map(|i| 7 * i))),
        ];
        Ok(RecordBatch::try_new(schema, columns)?)
    }

    fn unnest(outer: bool) -> UnnestOperator {
        let expr: Arc<dyn PhysicalExpr> = Arc::new(Column::new("a", 1));
        let collection = PlanExpr { expr, text: "a".into() };
        let unnest = Unnest { collection, kept: vec![0], outer, ordinality: true };
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("x", DataType::Int32, true),
            Field::new("o", DataType::Int32, true),
        ]);
        UnnestOperator::new(&unnest, &schema)
    }

    fn run(outer: bool, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        let mut output = Output::default();
        unnest(outer).process(batch, &mut output)?;
        Ok(output.batches)
    }

    #[test]
    fn one_row_becomes_as_many_as_its_longest_collection() -> Result<()> {
        let batch = batch(vec![Some(vec![Some(1)]), None, Some(vec![Some(1), None, Some(3)])])?;
        assert_eq!(unnest(false).copies_max(&batch), 3);
        Ok(())
    }

    #[test]
    fn rows_keep_order_and_origin_and_empty_collections_vanish_or_stay_as_null() -> Result<()> {
        let lists = || vec![Some(vec![Some(5), None]), None, Some(vec![]), Some(vec![Some(6)])];
        let inner = run(false, batch(lists())?)?;
        assert_eq!(inner[0].column(0).as_primitive::<Int64Type>().values(), &[0, 0, 3]);
        assert_eq!(inner[0].column(1).as_ref(), &Int32Array::from(vec![Some(5), None, Some(6)]));
        assert_eq!(inner[0].column(2).as_primitive::<Int32Type>().values(), &[1, 2, 1]);
        let origin = Origin::of(&inner[0])?;
        assert_eq!(
            (origin.offset.values().to_vec(), origin.watermark.values().to_vec()),
            (vec![100, 100, 103], vec![0, 0, 21])
        );
        let outer = run(true, batch(lists())?)?;
        assert_eq!(outer[0].column(0).as_primitive::<Int64Type>().values(), &[0, 0, 1, 2, 3]);
        assert_eq!(outer[0].column(1).null_count(), 3);
        assert_eq!(outer[0].column(2).null_count(), 2);
        Ok(())
    }

    #[test]
    fn many_elements_leave_in_several_batches_and_none_in_none() -> Result<()> {
        let lists = (0..6).map(|_| Some((0..3000).map(Some).collect())).collect();
        let batches = run(false, batch(lists)?)?;
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 18_000);
        assert!(batches.len() > 1 && batches.iter().all(|b| b.num_rows() < BATCH_ROWS_MAX + 3000));
        assert!(run(false, batch(vec![None])?)?.is_empty());
        Ok(())
    }
}
