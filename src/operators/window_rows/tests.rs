//! Top-N and joins against a recomputation by definition, and the same rows however they are driven.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator as Op;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, CaseExpr, Column, IsNotNullExpr, Literal, lit};
use proptest::prelude::*;

use super::WindowRows;
use crate::operators::calc::CalcOperator;
use crate::operators::testing::{Row, batch, fire, plan_expr, rows, schema, stamp};
use crate::operators::window_assign::WindowAssignOperator;
use crate::operators::{KeyFilter, Operator, Output, Snapshot};
use crate::plan::{Calc, JoinKind, PlanExpr, SortKey, WindowAssign, WindowJoin, WindowKind, WindowRank, WindowSpec};

const SIZE: i64 = 20;

/// `t (ts, k, v)` with the columns of a window.
fn windowed() -> SchemaRef {
    let instant = DataType::Timestamp(TimeUnit::Millisecond, None);
    let added = ["window_start", "window_end", "window_time"];
    let added = added.map(|name| Arc::new(Field::new(name, instant.clone(), false)));
    Arc::new(Schema::new(schema().fields().iter().cloned().chain(added).collect::<Vec<_>>()))
}

fn assign(rows: &[Row], slide: i64) -> arrow::array::RecordBatch {
    let kind = WindowKind::Hop { slide_ms: slide, size_ms: SIZE };
    let plan = WindowAssign { window: WindowSpec { kind, offset_ms: 0, rowtime: 0, zone: None } };
    let mut output = Output::default();
    WindowAssignOperator::new(&plan, &windowed()).unwrap().process(batch(rows), &mut output).unwrap();
    arrow::compute::concat_batches(&crate::stream::with_origin(&windowed()), &output.batches).unwrap()
}

fn rank(first: u64, last: u64, descending: bool, latest_first: bool) -> WindowRows {
    rank_of(&plan_of_rank(first, last, descending, latest_first))
}

fn plan_of_rank(first: u64, last: u64, descending: bool, latest_first: bool) -> WindowRank {
    WindowRank {
        window_start: 3,
        window_end: 4,
        rowtime: Some(0),
        zone: None,
        keys: vec![plan_expr("k")],
        order: vec![SortKey { expr: plan_expr("v"), descending, nulls_first: !descending }],
        latest_first,
        first,
        last,
    }
}

fn rank_of(plan: &WindowRank) -> WindowRows {
    let fields: Vec<_> =
        windowed().fields().iter().cloned().chain([Arc::new(Field::new("rn", DataType::Int64, false))]).collect();
    WindowRows::rank(plan, &windowed(), &Arc::new(Schema::new(fields))).unwrap()
}

fn plan(expr: Arc<dyn PhysicalExpr>) -> PlanExpr {
    PlanExpr { expr, text: String::new() }
}

/// The input of a join of `t` with itself on `k`: rows with an even value are of the left side, the others of the right.
fn tagged(batch: arrow::array::RecordBatch) -> arrow::array::RecordBatch {
    let column = |place: usize| -> Arc<dyn PhysicalExpr> { Arc::new(Column::new("c", place)) };
    let float = |x: f64| -> Arc<dyn PhysicalExpr> { Arc::new(Literal::new(ScalarValue::Float64(Some(x)))) };
    let odd: Arc<dyn PhysicalExpr> =
        Arc::new(BinaryExpr::new(Arc::new(BinaryExpr::new(column(2), Op::Modulo, float(2.0))), Op::Eq, float(0.0)));
    let left: Arc<dyn PhysicalExpr> = Arc::new(BinaryExpr::new(Arc::new(IsNotNullExpr::new(column(2))), Op::And, odd));
    let only = |side: bool, value: Arc<dyn PhysicalExpr>| -> PlanExpr {
        let (then, otherwise) =
            if side { (value, lit(ScalarValue::Float64(None))) } else { (lit(ScalarValue::Float64(None)), value) };
        plan(Arc::new(CaseExpr::try_new(None, vec![(Arc::clone(&left), then)], Some(otherwise)).unwrap()))
    };
    let projection = vec![
        plan(Arc::clone(&left)),
        plan(column(3)),
        plan(column(4)),
        plan(column(0)),
        plan(column(1)),
        only(true, column(2)),
        only(false, column(2)),
    ];
    let mut output = Output::default();
    CalcOperator::new(&Calc { predicate: None, projection }, &sides()).process(batch, &mut output).unwrap();
    output.batches.remove(0)
}

fn sides() -> SchemaRef {
    let instant = DataType::Timestamp(TimeUnit::Millisecond, None);
    Arc::new(Schema::new(vec![
        Field::new("side", DataType::Boolean, true),
        Field::new("window_start", instant.clone(), true),
        Field::new("window_end", instant.clone(), true),
        Field::new("ts", instant, true),
        Field::new("k", DataType::Utf8, true),
        Field::new("l", DataType::Float64, true),
        Field::new("r", DataType::Float64, true),
    ]))
}

fn join(kind: JoinKind, condition: bool) -> WindowRows {
    let column = |place: usize| -> Arc<dyn PhysicalExpr> { Arc::new(Column::new("c", place)) };
    let less: Arc<dyn PhysicalExpr> = Arc::new(BinaryExpr::new(column(0), Op::Lt, column(1)));
    let plan = WindowJoin { kind, zone: None, keys: 1, left: 1, condition: condition.then(|| plan(less)) };
    let mut fields = vec![Field::new("l", DataType::Float64, true)];
    if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
        fields.push(Field::new("r", DataType::Float64, true));
    }
    WindowRows::join(&plan, &sides(), &Arc::new(Schema::new(fields))).unwrap()
}

/// Rows in the order they left, and offsets of late rows. Restored every so many batches, if not 0.
fn run(
    make: &dyn Fn() -> WindowRows,
    input: &dyn Fn(&[Row]) -> arrow::array::RecordBatch,
    rows: &[Row],
    size: usize,
    restore_every: usize,
) -> (Vec<String>, Vec<i64>) {
    let (mut operator, mut chain) = (make(), Vec::new());
    let (mut found, mut late) = (Vec::new(), Vec::new());
    let mut take = |output: Output| {
        found.extend(output.batches.iter().flat_map(crate::operators::testing::text));
        late.extend(output.late.iter().map(|row| row.offset));
    };
    for (step, part) in rows.chunks(size).enumerate() {
        let mut output = Output::default();
        operator.process(input(part), &mut output).unwrap();
        // Rows are of one partition here: what comes next has seen at least this.
        let next = rows.get((step + 1) * size).map_or(i64::MAX, |row| row.watermark);
        fire(&mut operator, next, &mut output);
        take(output);
        if restore_every > 0 && step % restore_every == 0 {
            let how = if step % 4 == 0 { Snapshot::Full } else { Snapshot::Changes };
            if how == Snapshot::Full {
                chain.clear();
            }
            chain.push(operator.snapshot(how).unwrap());
            operator = make();
            for snapshot in &chain {
                operator.restore(snapshot.clone(), &KeyFilter::ALL).unwrap();
            }
        }
    }
    (found, late)
}

/// Values of the rows on time by window end and key.
type Windows = BTreeMap<(i64, Option<&'static str>), Vec<Option<f64>>>;

fn windows(rows: &[Row], slide: i64) -> Windows {
    let mut windows = Windows::new();
    for row in rows {
        let last = row.time.div_euclid(slide) * slide + slide;
        for end in (0..SIZE / slide).map(|k| last + k * slide).filter(|end| end - 1 > row.watermark) {
            windows.entry((end, row.key)).or_default().push(row.value);
        }
    }
    windows
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "NULL".to_owned(), |value| format!("{value:?}"))
}

fn ms(text: &str) -> i64 {
    chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").unwrap().and_utc().timestamp_millis()
}

fn of_one_partition(rows: Vec<Row>) -> Vec<Row> {
    rows.into_iter().filter(|row| row.partition == 0).collect()
}

#[test]
fn rows_without_an_order_leave_as_they_came() {
    let tie = stamp(&[(0, 1, Some("a"), Some(7.0)), (0, 1, Some("a"), Some(3.0)), (0, 1, Some("a"), None)], 0);
    let unordered = || {
        let mut plan = plan_of_rank(1, u64::MAX, true, false);
        (plan.keys, plan.order) = (Vec::new(), Vec::new());
        rank_of(&plan)
    };
    let (found, _) = run(&unordered, &|rows| assign(rows, SIZE), &tie, 1, 2);
    let values: Vec<&str> = found.iter().filter_map(|line| line.split(' ').nth(2)).collect();
    assert_eq!(values, ["7.0", "3.0", "NULL"]);
}

#[test]
fn ties_keep_the_earlier_row_and_deduplication_that_keeps_the_last_the_later() {
    let tie = stamp(&[(0, 1, Some("a"), Some(7.0)), (0, 1, Some("a"), Some(7.0)), (0, 3, Some("a"), None)], 0);
    let input = |rows: &[Row]| assign(rows, SIZE);
    let offset = |line: &String| line.split(' ').next().map(str::to_owned);
    let (first, _) = run(&|| rank(1, 1, true, false), &input, &tie, 3, 0);
    let (last, _) = run(&|| rank(1, 1, true, true), &input, &tie, 3, 0);
    assert_eq!((first.len(), last.len()), (1, 1));
    assert_eq!(offset(&first[0]), offset(&last[0]));
    let (second, _) = run(&|| rank(2, 3, true, false), &input, &tie, 3, 0);
    assert_eq!(second.len(), 2, "from the second on: {second:?}");
    assert!(second[1].contains("NULL"), "NULL is the lowest value: {second:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn top_n_is_that_of_the_definition(rows in rows(true), slide in prop_oneof![Just(5i64), Just(20)], last in 1u64..4, size in 1usize..9, restore in 0usize..3) {
        let rows = of_one_partition(rows);
        let input = |rows: &[Row]| assign(rows, slide);
        let (found, late) = run(&|| rank(1, last, true, false), &input, &rows, size, restore);
        let mut expected = Vec::new();
        for ((end, key), mut values) in windows(&rows, slide) {
            // NULL is the lowest value
            values.sort_by(|a, b| b.partial_cmp(a).unwrap());
            let key = key.unwrap_or("NULL");
            expected.extend((1..).zip(values).take(last as usize).map(|(n, value)| format!("{end} {key} {} {n}", shown(value))));
        }
        let mut ranked: Vec<String> = found.iter().map(|line| {
            let c: Vec<&str> = line.split(' ').collect();
            format!("{} {} {} {}", ms(c[4]), c[1], c[2], c[6])
        }).collect();
        expected.sort();
        ranked.sort();
        prop_assert_eq!(ranked, expected);
        let closed = rows.iter().flat_map(|row| {
            let first = row.time.div_euclid(slide) * slide + slide;
            (0..SIZE / slide).filter(move |k| first + k * slide - 1 <= row.watermark).map(|_| row.offset)
        });
        prop_assert_eq!(late, closed.collect::<Vec<_>>());
        prop_assert_eq!(found, run(&|| rank(1, last, true, false), &input, &rows, 1, 0).0);
    }

    #[test]
    fn joins_are_those_of_the_definition(rows in rows(true), condition: bool, size in 1usize..9, restore in 0usize..3) {
        let mut rows = of_one_partition(rows);
        rows.iter_mut().for_each(|row| row.value = row.value.map(|v| (v * 10.0).round() % 8.0));
        let input = |rows: &[Row]| tagged(assign(rows, SIZE));
        let left = |value: &Option<f64>| value.is_some_and(|v| v % 2.0 == 0.0);
        let meets = |l: &Option<f64>, r: &Option<f64>| !condition || matches!((l, r), (Some(l), Some(r)) if l < r);
        let (mut pairs, mut lefts, mut rights, mut semis) = (vec![], vec![], vec![], vec![]);
        for ((_, key), rows) in windows(&rows, SIZE) {
            let (ls, rs): (Vec<_>, Vec<_>) = rows.into_iter().partition(left);
            let matches = |l: &Option<f64>, r: &Option<f64>| key.is_some() && meets(l, r);
            for l in &ls {
                let with: Vec<_> = rs.iter().filter(|r| matches(l, r)).collect();
                if with.is_empty() { &mut lefts } else { &mut semis }.push(shown(*l));
                pairs.extend(with.into_iter().map(|r| format!("{} {}", shown(*l), shown(*r))));
            }
            rights.extend(rs.iter().filter(|r| !ls.iter().any(|l| matches(l, r))).map(|r| format!("NULL {}", shown(*r))));
        }
        let alone: Vec<String> = lefts.iter().map(|l| format!("{l} NULL")).collect();
        for (kind, mut expected) in [
            (JoinKind::Inner, pairs.clone()),
            (JoinKind::Left, [&pairs[..], &alone].concat()),
            (JoinKind::Right, [&pairs[..], &rights].concat()),
            (JoinKind::Full, [&pairs[..], &alone, &rights].concat()),
            (JoinKind::Semi, semis),
            (JoinKind::Anti, lefts),
        ] {
            let (found, _) = run(&|| join(kind, condition), &input, &rows, size, restore);
            let width = if matches!(kind, JoinKind::Semi | JoinKind::Anti) { 1 } else { 2 };
            let mut joined: Vec<String> = found.iter().map(|line| line.split(' ').take(width).collect::<Vec<_>>().join(" ")).collect();
            expected.sort();
            joined.sort();
            prop_assert_eq!(joined, expected, "{:?}", kind);
            prop_assert_eq!(found, run(&|| join(kind, condition), &input, &rows, 1, 0).0);
        }
    }
}
