//! A plan's expressions computed once while planning: over a row of NULLs, which finds types that a function refuses
//! only when it is called; and those without columns over one row, which finds constants that cannot be computed.
//!
//! What stands in a branch (`CASE`, `AND`, `COALESCE` …) may never be computed: its types must fit, its constants need
//! not be computable.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, CaseExpr, Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use crate::error::{Error, ErrorKind};
use crate::plan::{NodeKind, PlanExpr, StreamPlan};
use crate::sql::planner::wording::in_sql_types;
use crate::stream::with_origin;

/// What a rehearsal finds.
#[derive(Default)]
pub(super) struct Rehearsed {
    /// No row could be computed.
    pub(super) impossible: Vec<Error>,
    /// Constants that fail with the first row.
    pub(super) failing: Vec<Error>,
}

/// The rehearsal of the projections and filters of a plan.
pub(super) fn of(plan: &StreamPlan) -> Rehearsed {
    let mut rehearsed = Rehearsed::default();
    for node in &plan.nodes {
        let (NodeKind::Calc(calc), [input]) = (&node.kind, &node.inputs[..]) else { continue };
        let Some(row) = nulls(&with_origin(&plan.nodes[*input].schema)) else { continue };
        let expressions: Vec<&PlanExpr> = calc.predicate.iter().chain(&calc.projection).collect();
        for expression in expressions {
            rehearsed.expression(&expression.expr, &row);
        }
    }
    rehearsed
}

impl Rehearsed {
    fn expression(&mut self, expr: &Arc<dyn PhysicalExpr>, row: &RecordBatch) {
        if let Some(error) = refused(expr, row) {
            self.impossible.push(error.reworded(in_sql_types));
            return;
        }
        // the closure never fails, so neither does the walk
        drop(expr.apply(|part| {
            if branches(part) {
                return Ok(TreeNodeRecursion::Jump);
            }
            if !is_constant(part) {
                return Ok(TreeNodeRecursion::Continue);
            }
            if let Some(error) = one_row().and_then(|row| part.evaluate(&row).err()).map(Error::from)
                && error.kind() == ErrorKind::Data
            {
                // no row is to be mended: the script is wrong
                self.failing.push(error.reworded(in_sql_types).of_kind(ErrorKind::Sql));
            }
            Ok(TreeNodeRecursion::Jump)
        }));
    }
}

/// What a function says about the types it is given, whether or not a branch is ever taken.
fn refused(expr: &Arc<dyn PhysicalExpr>, row: &RecordBatch) -> Option<Error> {
    let known = |error: &Error| error.kind() == ErrorKind::Sql && error.span().is_some();
    let computed = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(row).err().map(Error::from).filter(known);
    let mut found = computed(expr);
    // the closure never fails, so neither does the walk
    drop(expr.apply(|part| {
        if found.is_none() && branches(part) {
            found = part.children().into_iter().filter(|branch| !branches(branch)).find_map(computed);
        }
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    }));
    found
}

/// One row of NULLs, also where a column is declared to have none.
fn nulls(schema: &Schema) -> Option<RecordBatch> {
    let fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let columns = fields.iter().map(|field| new_null_array(field.data_type(), 1)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).ok()
}

fn one_row() -> Option<RecordBatch> {
    let none: SchemaRef = Arc::new(Schema::empty());
    RecordBatch::try_new_with_options(none, Vec::new(), &RecordBatchOptions::new().with_row_count(Some(1))).ok()
}

/// A call, or what is made of calls, that no column goes into.
fn is_constant(expr: &Arc<dyn PhysicalExpr>) -> bool {
    !expr.is::<Literal>() && !expr.exists(|part| Ok(part.is::<Column>())).unwrap_or(true)
}

/// Whether parts of the expression may not be computed.
fn branches(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.is::<CaseExpr>()
        || expr.downcast_ref::<BinaryExpr>().is_some_and(|b| matches!(b.op(), Operator::And | Operator::Or))
        || expr.downcast_ref::<ScalarFunctionExpr>().is_some_and(|call| call.fun().short_circuits())
}

#[cfg(test)]
mod tests {
    use crate::sql::plan_script;

    #[test]
    fn constants_that_fail_are_found_with_their_place_and_stop_no_planning() {
        let script = |select: &str| {
            let table = "CREATE TABLE t (a INT, b BOOLEAN) WITH ('connector' = 'datagen', 'number-of-rows' = '1');";
            plan_script(&format!("{table}\nSELECT {select} FROM t;"), &|_| None)
        };
        let failing = script("CAST('x' AS INT), a, 1 / 0").unwrap().failing;
        let found: Vec<_> = failing.iter().map(|e| (e.message(), e.span().map(|s| (s.line, s.column)))).collect();
        assert_eq!(found, [("\"x\" cannot be cast to INT", Some((2, 13))), ("division by zero", Some((2, 29)))]);
        assert!(
            script("CASE WHEN b THEN 1 / 0 END, TRY_CAST('x' AS INT), COALESCE(a, 1 / 0)").unwrap().failing.is_empty()
        );
        for select in [
            "CAST(b AS DATE)",
            "CASE WHEN a > 3 THEN CAST(b AS DATE) END",
            "b AND COALESCE(b, CAST(b AS DATE) IS NULL)",
        ] {
            let impossible = script(select).unwrap_err();
            assert!(impossible.message().contains("cannot be cast"), "{select}: {impossible}");
        }
    }
}
