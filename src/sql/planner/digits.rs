//! Time stamps that nothing looks at keep the digits they came with.
//!
//! Flink's text formats read and write a fraction of a second as it stands, whatever precision a column declares; only
//! an expression that computes, or an operator that keeps rows, cuts it. A column of a json or csv table that does
//! nothing but pass from the source to such a sink is therefore carried in µs, six digits, on its whole way.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use crate::plan::{Calc, Node, NodeKind, PlanExpr, Sink, Source, StreamPlan};
use crate::table::{ColumnKind, ColumnSpec, TableSpec};

/// Gives columns of time stamps that are only passed on the unit µs.
pub(crate) fn keep(plan: &mut StreamPlan) {
    let mut passed: Vec<Vec<bool>> = plan.nodes.iter().map(candidates).collect();
    // A column is passed on if it is on both sides of every node; what one node refuses its neighbours lose.
    while plan.nodes.iter().enumerate().fold(false, |lost, (id, node)| narrow(plan, id, node, &mut passed) || lost) {}
    for (node, passed) in plan.nodes.iter_mut().zip(&passed) {
        if passed.contains(&true) {
            widen(node, passed);
        }
    }
}

/// The columns of a node that may be carried in µs, as far as the node itself goes.
fn candidates(node: &Node) -> Vec<bool> {
    let fits = |at: usize| matches!(unit(node, at), Some(TimeUnit::Millisecond | TimeUnit::Microsecond));
    let itself = |at: usize| match &node.kind {
        NodeKind::Source(source) => source_passes(source, at),
        NodeKind::Calc(calc) => calc.projection.get(at).is_some_and(|expr| passing(expr).is_some()),
        NodeKind::Union => true,
        NodeKind::Sink(sink) => {
            let column = sink.table.sink_columns().nth(at);
            is_text(&sink.table)
                && column.is_some_and(|column| {
                    column.kind == ColumnKind::Physical && !sink.table.partitioned_by.contains(&column.name)
                })
        }
        NodeKind::Unnest(_)
        | NodeKind::WindowAssign(_)
        | NodeKind::WindowAggregate(_)
        | NodeKind::WindowRank(_)
        | NodeKind::WindowJoin(_)
        | NodeKind::OverAggregate(_) => false,
    };
    (0..node.schema.fields().len()).map(|at| fits(at) && itself(at)).collect()
}

/// Takes out of `passed` what does not go on through node `id`; whether there was anything.
fn narrow(plan: &StreamPlan, id: usize, node: &Node, passed: &mut [Vec<bool>]) -> bool {
    let mut lost = false;
    for &input in &node.inputs {
        for at in 0..plan.nodes[input].schema.fields().len() {
            let takers = takers(node, &plan.nodes[input], at);
            let on = passed[input][at] && takers.as_ref().is_some_and(|takers| takers.iter().all(|to| passed[id][*to]));
            lost |= set(&mut passed[input][at], on);
            for to in takers.into_iter().flatten() {
                lost |= set(&mut passed[id][to], on);
            }
        }
    }
    lost
}

/// Takes a mark away unless it stays; whether it was there.
fn set(mark: &mut bool, stays: bool) -> bool {
    let lost = *mark && !stays;
    *mark &= stays;
    lost
}

/// The columns of `node` that are column `at` of its input; `None` if the node also looks at it.
fn takers(node: &Node, input: &Node, at: usize) -> Option<Vec<usize>> {
    match &node.kind {
        NodeKind::Calc(Calc { predicate, projection }) => {
            let looked_at = predicate.iter().chain(projection.iter().filter(|expr| passing(expr).is_none()));
            let looked_at = looked_at.into_iter().any(|expr| reads(&expr.expr, at));
            let takers = projection.iter().enumerate().filter(|(_, expr)| passing(expr) == Some(at));
            let takers: Vec<usize> = takers.map(|(to, _)| to).collect();
            let same_zone = takers.iter().all(|to| zone(node, *to) == zone(input, at));
            (!looked_at && same_zone).then_some(takers)
        }
        NodeKind::Union | NodeKind::Sink(_) => Some(vec![at]),
        _ => None,
    }
}

fn zone(node: &Node, at: usize) -> Option<&Arc<str>> {
    match node.schema.field(at).data_type() {
        DataType::Timestamp(_, zone) => zone.as_ref(),
        _ => None,
    }
}

fn unit(node: &Node, at: usize) -> Option<TimeUnit> {
    match node.schema.field(at).data_type() {
        DataType::Timestamp(unit, _) => Some(*unit),
        _ => None,
    }
}

/// Whether a column of a table is read as it stands, and by nothing else in the table's declaration.
fn source_passes(source: &Source, at: usize) -> bool {
    let Some(column) = source.table.columns.get(at) else { return false };
    let read = source.table.columns.iter().take(at).filter(|column| column.kind != ColumnKind::Computed).count();
    let others = source.columns.iter().enumerate().filter(|(other, _)| *other != at);
    let computed = others.into_iter().any(|(_, expr)| reads(&expr.expr, read));
    let watermark = source.watermark.as_ref();
    let event_time = watermark.is_some_and(|watermark| watermark.rowtime == at || reads(&watermark.expr.expr, at));
    is_text(&source.table) && column.kind == ColumnKind::Physical && !computed && !event_time
}

/// Whether all parts of a table's rows are text that holds any number of digits.
fn is_text(table: &TableSpec) -> bool {
    let formats = ["format", "key.format", "value.format"].map(|option| table.options.get(option));
    let mut formats = formats.into_iter().flatten().peekable();
    formats.peek().is_some() && formats.all(|format| matches!(format, "json" | "csv"))
}

fn reads(expr: &Arc<dyn PhysicalExpr>, at: usize) -> bool {
    collect_columns(expr).iter().any(|column| column.index() == at)
}

/// The place of the column that an expression passes on: as it is, or as a time stamp in µs.
fn passing(expr: &PlanExpr) -> Option<usize> {
    if let Some(column) = expr.expr.downcast_ref::<Column>() {
        return Some(column.index());
    }
    let cast = expr.expr.downcast_ref::<ScalarFunctionExpr>().filter(|call| call.name() == "flink_cast")?;
    let [value, to] = cast.args() else { return None };
    let column = value.downcast_ref::<Column>()?;
    let to = to.data_type(&Schema::empty()).ok()?;
    matches!(to, DataType::Timestamp(TimeUnit::Microsecond, _)).then(|| column.index())
}

/// Carries the marked columns of a node in µs.
fn widen(node: &mut Node, marked: &[bool]) {
    let is_marked = |at: usize| marked.get(at).copied().unwrap_or(false);
    let wide = |data_type: &DataType| match data_type {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        other => other.clone(),
    };
    let fields = node.schema.fields().iter().enumerate().map(|(at, field)| match is_marked(at) {
        true => Arc::new(field.as_ref().clone().with_data_type(wide(field.data_type()))),
        false => Arc::clone(field),
    });
    node.schema = Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), node.schema.metadata().clone()));
    match &mut node.kind {
        NodeKind::Calc(calc) => {
            for (_, expr) in calc.projection.iter_mut().enumerate().filter(|(at, _)| is_marked(*at)) {
                if let Some(place) = passing(expr) {
                    expr.expr = Arc::new(Column::new(&format!("#{place}"), place));
                }
            }
        }
        NodeKind::Source(Source { table, .. }) => {
            let columns = Arc::make_mut(table).columns.iter_mut().enumerate();
            columns.filter(|(at, _)| is_marked(*at)).for_each(|(_, column)| column.data_type = wide(&column.data_type));
        }
        NodeKind::Sink(Sink { table, .. }) => {
            let names: Vec<String> = table.sink_columns().map(|column| column.name.clone()).collect();
            let marked = |column: &ColumnSpec| names.iter().position(|name| *name == column.name).is_some_and(is_marked);
            let columns = Arc::make_mut(table).columns.iter_mut();
            columns.filter(|column| marked(column)).for_each(|column| column.data_type = wide(&column.data_type));
        }
        _ => {}
    }
}
