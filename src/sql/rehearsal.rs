//! A plan's expressions computed once while planning: over a row of NULLs, which finds types that a function refuses
//! only when it is called; and those without columns over one row, which finds constants that cannot be computed. A call
//! with constants among its arguments (a pattern, a zone) is computed over two rows without NULLs, too: what it says of
//! both, naming a constant, it says of every row.
//!
//! What stands in a branch (`CASE`, `AND`, `COALESCE` …), but its first part, may never be computed: its types must fit, its constants need
//! not be computable.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, CaseExpr, Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use crate::error::{Error, ErrorKind};
use crate::functions;
use crate::plan::{NodeKind, PlanAggregate, PlanExpr, StreamPlan};
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
        if let NodeKind::Source(source) = &node.kind
            && let Some(row) = nulls(&source.table.source_schema())
        {
            for column in &source.columns {
                rehearsed.constants(&column.expr, &row);
            }
        }
        let [input, ..] = &node.inputs[..] else { continue };
        let Some(row) = nulls(&with_origin(&plan.nodes[*input].schema)) else { continue };
        match &node.kind {
            NodeKind::Calc(calc) => {
                let expressions: Vec<&PlanExpr> = calc.predicate.iter().chain(&calc.projection).collect();
                expressions.iter().for_each(|expression| rehearsed.expression(&expression.expr, &row));
            }
            NodeKind::WindowAggregate(window) => rehearsed.aggregates(&window.keys, &window.aggregates, &row),
            NodeKind::OverAggregate(over) => rehearsed.aggregates(&over.keys, &over.aggregates, &row),
            NodeKind::Unnest(unnest) => rehearsed.constants(&unnest.collection.expr, &row),
            NodeKind::ConstantJoin(join) => join.keys.iter().for_each(|key| rehearsed.constants(&key.0.expr, &row)),
            NodeKind::WindowRank(rank) => rank.keys.iter().for_each(|key| rehearsed.constants(&key.expr, &row)),
            _ => {}
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
        self.constants(expr, row);
    }

    fn aggregates(&mut self, keys: &[PlanExpr], aggregates: &[PlanAggregate], row: &RecordBatch) {
        keys.iter().for_each(|key| self.constants(&key.expr, row));
        for aggregate in aggregates {
            aggregate.call.expressions().iter().chain(&aggregate.filter).for_each(|part| self.constants(part, row));
        }
    }

    fn constants(&mut self, expr: &Arc<dyn PhysicalExpr>, row: &RecordBatch) {
        // the closure never fails, so neither does the walk
        drop(expr.apply(|part| {
            if branches(part) {
                // what decides is computed for every row
                if let Some(first) = part.children().first() {
                    self.constants(first, row);
                }
                return Ok(TreeNodeRecursion::Jump);
            }
            if !is_constant(part) {
                self.failing.extend(refused_constant(part, row));
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

/// What a call says of one of its constants, whatever the row.
fn refused_constant(expr: &Arc<dyn PhysicalExpr>, row: &RecordBatch) -> Option<Error> {
    let call = expr.downcast_ref::<ScalarFunctionExpr>()?;
    if functions::fails_by_row(call.name()) {
        return None;
    }
    let constants: Vec<String> = call.args().iter().filter_map(text_of).collect();
    if constants.is_empty() {
        return None;
    }
    let said = |second: bool| {
        let filled = call.args().iter().map(|arg| filled(arg, row, second)).collect::<Option<Vec<_>>>()?;
        let call = Arc::clone(expr).with_new_children(filled).ok()?;
        call.evaluate(&one_row()?).err().map(Error::from)
    };
    let error = said(false)?;
    let other = said(true)?;
    let known = matches!(error.kind(), ErrorKind::Sql | ErrorKind::Data) && error.span().is_some();
    let named = constants.iter().any(|constant| error.message().contains(constant.as_str()));
    let found = known && named && error.message() == other.message();
    found.then(|| error.reworded(in_sql_types).of_kind(ErrorKind::Sql))
}

/// The text of a constant; none of other constants, of NULL and of the empty text.
fn text_of(expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    let text = expr.downcast_ref::<Literal>()?.value().try_as_str()??;
    (!text.is_empty()).then(|| text.to_owned())
}

/// The argument, a made-up value in the place of one that depends on the row; `None` for a type without such values.
fn filled(arg: &Arc<dyn PhysicalExpr>, row: &RecordBatch, second: bool) -> Option<Arc<dyn PhysicalExpr>> {
    if arg.is::<Literal>() {
        return Some(Arc::clone(arg));
    }
    let data_type = arg.data_type(&row.schema()).ok()?;
    let pair = match &data_type {
        DataType::Boolean => ["true", "false"],
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Timestamp(..) => {
            ["2020-01-02 03:04:05", "2021-11-30 10:20:30"]
        }
        DataType::Date32 => ["2020-01-02", "2021-11-30"],
        DataType::Time32(_) | DataType::Time64(_) => ["03:04:05", "10:20:30"],
        number if number.is_numeric() => ["1", "2"],
        _ => return None,
    };
    let value = ScalarValue::try_from_string(pair[usize::from(second)].to_owned(), &data_type).ok()?;
    Some(Arc::new(Literal::new(value)))
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
    fn a_constant_that_no_row_can_be_computed_with_is_found() {
        let script = |select: &str| {
            let table = "CREATE TABLE t (a INT, s STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen', 'number-of-rows' = '1');";
            plan_script(&format!("{table}\nSELECT {select} FROM t;"), &|_| None).unwrap().failing
        };
        let failing = script("a, DATE_FORMAT(ts, 'yyyy VV')");
        let found: Vec<_> = failing.iter().map(|e| (e.message(), e.span().map(|s| (s.line, s.column)))).collect();
        assert_eq!(found, [("pattern letter \"V\" of \"yyyy VV\" is not supported", Some((2, 11)))]);
        assert_eq!(script("UPPER(DATE_FORMAT(CAST(s AS TIMESTAMP(3)), 'VV'))").len(), 1);
        for (no_row_does, place) in [
            ("s SIMILAR TO '(a'", 8),
            ("a, s NOT SIMILAR TO '['", 11),
            ("s LIKE 'a!' ESCAPE '!'", 8),
            ("REGEXP(s, '\\X')", 8),
            ("CASE WHEN s SIMILAR TO '(' THEN 1 END", 18),
            ("s SIMILAR TO '(' AND a > 3", 8),
            ("UPPER(s) SIMILAR TO '('", 8),
            ("COUNT(CASE WHEN s SIMILAR TO '(' THEN 1 END) OVER (ORDER BY ts)", 24),
        ] {
            let failing = script(no_row_does);
            let places: Vec<_> = failing.iter().map(|e| e.span().map(|s| (s.line, s.column))).collect();
            assert_eq!(places, [Some((2, place))], "{no_row_does}: {failing:?}");
        }
        for rows_may_do in [
            "DATE_FORMAT(ts, 'yyyy')",
            "TO_TIMESTAMP(s, 'yyyy')",
            "JSON_VALUE(s, '$.a' ERROR ON EMPTY ERROR ON ERROR)",
            "CASE WHEN a > 3 THEN DATE_FORMAT(ts, 'yyyy VV') END",
            "CAST(s AS INT), CAST(CONCAT(s, 'x') AS INT)",
            "s LIKE 'a!%' ESCAPE '!', s SIMILAR TO s, s LIKE s ESCAPE '!', a > 3 AND s SIMILAR TO '('",
            "DATE_FORMAT(ts, s), SPLIT_INDEX(s, ',', a), SUBSTRING(s, a), CONVERT_TZ(s, 'UTC', 'Europe/Rome')",
        ] {
            let failing = script(rows_may_do);
            assert!(failing.is_empty(), "{rows_may_do}: {failing:?}");
        }
    }

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
