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
        NodeKind::Sink(sink) => {
            let column = sink.table.sink_columns().nth(at);
            is_text(&sink.table)
                && column.is_some_and(|column| {
                    column.kind == ColumnKind::Physical && !sink.table.partitioned_by.contains(&column.name)
                })
        }
        // where streams meet Flink writes rows down, as it does to keep them
        NodeKind::Union
        | NodeKind::Unnest(_)
        | NodeKind::ConstantJoin(_)
        | NodeKind::WindowAssign(_)
        | NodeKind::WindowAggregate(_)
        | NodeKind::WindowRank(_)
        | NodeKind::Sort(_)
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
            let takers = takers(node, at);
            let same_zone = takers.iter().all(|to| zone(node, *to) == zone(&plan.nodes[input], at));
            let all = same_zone && takers.iter().all(|to| passed[id][*to]);
            let on = passed[input][at] && all && !looks_at(node, at);
            lost |= set(&mut passed[input][at], on);
            for to in takers {
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

/// The columns of `node` that are column `at` of its input.
fn takers(node: &Node, at: usize) -> Vec<usize> {
    match &node.kind {
        NodeKind::Calc(calc) => {
            let takers = calc.projection.iter().enumerate().filter(|(_, expr)| passing(expr) == Some(at));
            takers.map(|(to, _)| to).collect()
        }
        NodeKind::Sink(_) => vec![at],
        _ => Vec::new(),
    }
}

/// Whether `node` does more with column `at` of its input than to pass it on.
fn looks_at(node: &Node, at: usize) -> bool {
    match &node.kind {
        NodeKind::Calc(Calc { predicate, projection }) => {
            let mut computing = predicate.iter().chain(projection.iter().filter(|expr| passing(expr).is_none()));
            computing.any(|expr| reads(&expr.expr, at))
        }
        NodeKind::Sink(_) => false,
        _ => true,
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
            let marked =
                |column: &ColumnSpec| names.iter().position(|name| *name == column.name).is_some_and(is_marked);
            let columns = Arc::make_mut(table).columns.iter_mut();
            columns.filter(|column| marked(column)).for_each(|column| column.data_type = wide(&column.data_type));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::plan_script;

    const TABLES: &str = "
CREATE TABLE r (id INT, ts TIMESTAMP(3), lz TIMESTAMP_LTZ(3), ts9 TIMESTAMP(9), again AS id + 1)
WITH ('connector' = 'filesystem', 'path' = 'r', 'format' = 'json');
CREATE TABLE w (id INT, ts TIMESTAMP(3), lz TIMESTAMP_LTZ(3), WATERMARK FOR ts AS ts)
WITH ('connector' = 'filesystem', 'path' = 'w', 'format' = 'json');
CREATE TABLE o (id INT, ts TIMESTAMP(3), lz TIMESTAMP_LTZ(3)) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
CREATE TABLE o6 (id INT, ts TIMESTAMP(6), lz TIMESTAMP_LTZ(6)) WITH ('connector' = 'filesystem', 'path' = 'o6', 'format' = 'json');
CREATE TABLE p (id INT, ts TIMESTAMP(3), lz TIMESTAMP_LTZ(3)) WITH ('connector' = 'filesystem', 'path' = 'p', 'format' = 'parquet');
";

    /// The units of the time stamps of each node of the script's last job.
    fn units(sql: &str) -> Vec<String> {
        let script = plan_script(&format!("{TABLES}{sql};"), &|_| None).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        let nodes = &script.jobs.last().unwrap().plan.nodes;
        let units = |node: &Node| -> String {
            let units = (0..node.schema.fields().len()).filter_map(|at| unit(node, at));
            units
                .map(|unit| match unit {
                    TimeUnit::Second => 's',
                    TimeUnit::Millisecond => 'm',
                    TimeUnit::Microsecond => 'u',
                    TimeUnit::Nanosecond => 'n',
                })
                .collect()
        };
        for node in nodes {
            let table = match &node.kind {
                NodeKind::Source(source) => source.table.schema(),
                NodeKind::Sink(sink) => sink.table.sink_schema(),
                _ => continue,
            };
            assert_eq!(table.fields(), node.schema.fields(), "{sql}");
        }
        nodes.iter().map(units).collect()
    }

    #[test]
    fn what_only_passes_keeps_its_digits() {
        assert_eq!(units("INSERT INTO o SELECT id, ts, lz FROM r"), ["uun", "uu", "uu"]);
        assert_eq!(units("INSERT INTO o SELECT id + 1, ts, lz FROM r WHERE id > 3"), ["uun", "uu", "uu"]);
        assert_eq!(units("INSERT INTO o6 SELECT id, ts, lz FROM r"), ["uun", "uu", "uu"]);
        assert_eq!(units("INSERT INTO o SELECT * FROM w"), ["mu", "mu"]);
    }

    #[test]
    fn what_is_read_or_kept_is_cut() {
        assert_eq!(units("SELECT * FROM r"), ["mmn", "mmn"]);
        assert_eq!(units("INSERT INTO p SELECT id, ts, lz FROM r"), ["mmn", "mm", "mm"]);
        assert_eq!(
            units("INSERT INTO o SELECT CAST(YEAR(ts) AS INT), ts, lz FROM r WHERE lz IS NOT NULL"),
            ["mmn", "mm", "mm"]
        );
        assert_eq!(units("INSERT INTO o SELECT id, ts + INTERVAL '1' DAY, lz FROM r"), ["mun", "mu", "mu"]);
        let both = units("INSERT INTO o SELECT id, ts, lz FROM r UNION ALL SELECT id, ts, lz FROM w");
        assert!(both.iter().all(|units| !units.contains('u')), "{both:?}");
        let set = "EXECUTE STATEMENT SET BEGIN INSERT INTO o SELECT id, ts, lz FROM r; INSERT INTO p SELECT id, ts, lz FROM r; END";
        assert_eq!(units(set), ["mmn", "mm", "mm", "mm"]);
    }
}
