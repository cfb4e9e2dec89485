//! `WHERE` and `SELECT`, row by row.
//!
//! The origin columns go along untouched: a row keeps the place in the input it came from.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;

use super::columns::{condition, evaluate};
use super::{Operator, Output};
use crate::error::Result;
use crate::plan::Calc;
use crate::stream::{user_columns, with_origin};

/// Filters, then projects. Batches that lose all rows go no further.
#[derive(Debug)]
pub struct CalcOperator {
    predicate: Option<Arc<dyn PhysicalExpr>>,
    projection: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
}

impl CalcOperator {
    /// `schema` is the node's, without origin columns.
    pub fn new(calc: &Calc, schema: &Schema) -> Self {
        Self {
            predicate: calc.predicate.as_ref().map(|p| Arc::clone(&p.expr)),
            projection: calc.projection.iter().map(|p| Arc::clone(&p.expr)).collect(),
            schema: with_origin(schema),
        }
    }

    /// The rows for which the predicate is true; NULL is not.
    fn kept(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let Some(predicate) = &self.predicate else { return Ok(batch) };
        let keep = condition(predicate, &batch)?;
        if keep.null_count() == 0 && !keep.has_false() {
            return Ok(batch);
        }
        Ok(filter_record_batch(&batch, &keep)?)
    }
}

impl Operator for CalcOperator {
    fn name(&self) -> &str {
        "calc"
    }

    fn process(&mut self, batch: RecordBatch, output: &mut Output) -> Result<()> {
        let batch = self.kept(batch)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let origin = &batch.columns()[user_columns(&batch)?..];
        let mut columns = Vec::with_capacity(self.projection.len() + origin.len());
        for expr in &self.projection {
            columns.push(evaluate(expr, &batch)?);
        }
        columns.extend(origin.iter().cloned());
        output.batches.push(RecordBatch::try_new(Arc::clone(&self.schema), columns)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PlanExpr;
    use crate::stream::Origin;
    use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type};
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::Operator as Op;
    use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};

    fn plan(expr: Arc<dyn PhysicalExpr>) -> PlanExpr {
        PlanExpr { expr, text: String::new() }
    }

    fn input(values: Vec<Option<i64>>) -> Result<RecordBatch> {
        let n = values.len();
        let schema = with_origin(&Schema::new(vec![Field::new("v", DataType::Int64, true)]));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(values)),
            Arc::new(Int32Array::from_value(3, n)),
            Arc::new(Int64Array::from_iter_values(0..n as i64)),
            Arc::new(Int64Array::from_value(9, n)),
        ];
        Ok(RecordBatch::try_new(schema, columns)?)
    }

    #[test]
    fn null_is_not_kept_origin_goes_along_and_constants_become_columns() -> Result<()> {
        let five: Arc<dyn PhysicalExpr> = Arc::new(Literal::new(ScalarValue::Int64(Some(5))));
        let v: Arc<dyn PhysicalExpr> = Arc::new(Column::new("v", 0));
        let calc = Calc {
            predicate: Some(plan(Arc::new(BinaryExpr::new(v, Op::Gt, Arc::clone(&five))))),
            projection: vec![plan(five)],
        };
        let schema = Schema::new(vec![Field::new("five", DataType::Int64, false)]);
        let mut operator = CalcOperator::new(&calc, &schema);
        let mut output = Output::default();
        operator.process(input(vec![Some(1), None, Some(7), Some(8)])?, &mut output)?;
        operator.process(input(vec![Some(1), None])?, &mut output)?;
        assert_eq!(output.batches.len(), 1, "an empty batch goes no further");
        assert_eq!(output.batches[0].column(0).as_primitive::<Int64Type>().values(), &[5, 5]);
        assert_eq!(Origin::of(&output.batches[0])?.offset.values(), &[2, 3]);
        Ok(())
    }
}
