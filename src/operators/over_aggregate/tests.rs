//! OVER against a recomputation by definition: same rows for any batches, interleaving, restores and parallelism.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use proptest::prelude::*;

use super::OverAggregateOperator;
use crate::operators::testing::{
    Drive, Row, aggregates, assert_same, batch, drives, fire, plan_expr, rows, run, schema, stamp,
};
use crate::operators::{Operator, Output};
use crate::plan::{Node, NodeKind, OverAggregate, OverFrame};

fn node(frame: OverFrame, keyed: bool) -> Node {
    let plan = OverAggregate {
        keys: if keyed { vec![plan_expr("k")] } else { vec![] },
        rowtime: 0,
        frame,
        keeps_first: false,
        aggregates: aggregates(),
    };
    let mut fields: Vec<Field> = schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let calls = plan.aggregates.iter().enumerate();
    fields.extend(calls.map(|(i, a)| Field::new(format!("a{i}"), a.call.field().data_type().clone(), true)));
    Node { kind: NodeKind::OverAggregate(plan), inputs: vec![0], schema: Arc::new(Schema::new(fields)) }
}

/// Columns of a row of the output, as text.
fn cells(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// `offset count sum` of what leaves, in order, and the offsets of the late rows.
fn check(
    frame: OverFrame,
    delay: i64,
    rows: &[(i32, i64, Option<&'static str>, Option<f64>)],
) -> (Vec<String>, Vec<i64>) {
    let (out, late) = run(&node(frame, true), &stamp(rows, delay), &Drive::straight());
    let out = out.iter().map(|line| cells(line)).map(|c| format!("{} {} {}", c[10], c[3], c[4])).collect();
    (out, late.iter().map(|row| row.offset).collect())
}

const A: Option<&str> = Some("a");

#[test]
fn rows_take_their_places_and_nulls_take_one_too() {
    let rows =
        [(0, 5, A, Some(1.0)), (0, 3, A, Some(2.0)), (0, 5, A, None), (0, 6, None, Some(9.0)), (0, 7, A, Some(4.0))];
    let (out, late) = check(OverFrame::Rows(Some(1)), 100, &rows);
    assert_eq!(out, ["1 1 2.0", "0 2 3.0", "2 2 1.0", "3 1 9.0", "4 2 4.0"]);
    assert!(late.is_empty());
    let (out, _) = check(OverFrame::Rows(None), 100, &rows);
    assert_eq!(out, ["1 1 2.0", "0 2 3.0", "2 3 3.0", "3 1 9.0", "4 4 7.0"]);
}

#[test]
fn peers_share_under_range() {
    let rows = [(0, 5, A, Some(1.0)), (0, 10, A, Some(2.0)), (0, 10, A, Some(4.0)), (0, 16, A, Some(8.0))];
    let (out, _) = check(OverFrame::Range(Some(5)), 100, &rows);
    assert_eq!(out, ["0 1 1.0", "1 3 7.0", "2 3 7.0", "3 1 8.0"]);
    let (out, _) = check(OverFrame::Range(None), 100, &rows);
    assert_eq!(out, ["0 1 1.0", "1 3 7.0", "2 3 7.0", "3 4 15.0"]);
}

#[test]
fn late_by_the_watermark_if_unbounded_and_by_the_last_fired_row_if_bounded() {
    // Key b carries the watermark to 20 while key a has fired up to 10.
    let rows = [
        (0, 10, A, Some(1.0)),
        (0, 20, Some("b"), Some(9.0)),
        (0, 12, A, Some(2.0)), // behind the watermark, ahead of what has fired
        (0, 11, A, Some(4.0)), // 12 fires when the watermark moves
        (0, 20, A, Some(8.0)), // at the watermark
        (0, 21, A, Some(16.0)),
        (0, 20, A, Some(32.0)), // now 20 has fired
        (0, 40, Some("b"), Some(9.0)),
        (0, 15, A, Some(64.0)), // a range of 10 has forgotten the key at 12 + 15 + 1
    ];
    let (out, late) = check(OverFrame::Rows(Some(5)), 0, &rows);
    assert_eq!(out, ["0 1 1.0", "1 1 9.0", "3 2 5.0", "2 3 7.0", "4 4 15.0", "5 5 31.0", "7 2 18.0"]);
    assert_eq!(late, [6, 8]);
    let (out, late) = check(OverFrame::Rows(None), 0, &rows);
    assert_eq!(out, ["0 1 1.0", "1 1 9.0", "5 2 17.0", "7 2 18.0"]);
    assert_eq!(late, [2, 3, 4, 6, 8]);
    let (out, late) = check(OverFrame::Range(Some(10)), 0, &rows);
    assert_eq!(out, ["0 1 1.0", "1 1 9.0", "3 2 5.0", "2 3 7.0", "4 4 15.0", "5 4 30.0", "7 1 9.0", "8 1 64.0"]);
    assert_eq!(late, [6]);
}

#[test]
fn rows_after_the_watermark_are_a_broken_invariant() {
    let node = node(OverFrame::Rows(Some(1)), true);
    let NodeKind::OverAggregate(plan) = &node.kind else { panic!() };
    let mut operator = OverAggregateOperator::new(plan, &schema(), &node.schema).unwrap();
    fire(&mut operator, 100, &mut Output::default());
    assert!(operator.process(batch(&stamp(&[(0, 50, A, None)], 0)), &mut Output::default()).is_err());
}

#[test]
fn a_range_lets_keys_go() {
    let node = node(OverFrame::Range(Some(10)), true);
    let NodeKind::OverAggregate(plan) = &node.kind else { panic!() };
    let mut operator = OverAggregateOperator::new(plan, &schema(), &node.schema).unwrap();
    for at in 0..50 {
        let mut row = stamp(&[(0, at * 100, Some(["a", "b", "c"][at as usize % 3]), Some(1.0))], 0);
        row[0].watermark = (at - 1) * 100;
        operator.process(batch(&row), &mut Output::default()).unwrap();
        fire(&mut operator, at * 100, &mut Output::default());
    }
    assert!(operator.index.len() <= 2, "{}", operator.index.len());
    assert!(operator.keys.len() <= 3);
}

/// What Flink's functions know of a key.
#[derive(Default)]
struct Known {
    /// Rows that have not fired, and those that have, in order.
    waiting: Vec<Row>,
    rows: Vec<Row>,
    /// Time, and the watermark at which it was set.
    timers: Vec<(i64, i64)>,
    last: i64,
    cleanup: Option<i64>,
}

/// `(partition, offset) → (count, sum)` by acting as Flink does, row by row with timers, for keys that come from
/// one partition each.
fn naive(frame: OverFrame, rows: &[Row]) -> BTreeMap<(i32, i64), (usize, f64)> {
    let mut keys: BTreeMap<_, Known> = BTreeMap::new();
    let mut results = BTreeMap::new();
    for row in rows {
        let known = keys.entry((row.partition, row.key)).or_default();
        advance(frame, known, row.watermark, &mut results);
        let late = match frame {
            OverFrame::Rows(None) | OverFrame::Range(None) => row.time <= row.watermark,
            _ => row.time <= known.last,
        };
        if late {
            continue;
        }
        known.waiting.push(row.clone());
        known.timers.push((row.time, row.watermark));
        if let OverFrame::Range(Some(length)) = frame
            && known.cleanup.is_none_or(|at| at < row.time + length + 1)
        {
            let cleanup = row.time + length * 3 / 2 + 1;
            known.cleanup = Some(cleanup);
            known.timers.push((cleanup, row.watermark));
        }
    }
    for known in keys.values_mut() {
        advance(frame, known, i64::MAX, &mut results);
    }
    results
}

/// The timers up to `watermark` that were set while it was lower, in their order.
fn advance(frame: OverFrame, known: &mut Known, watermark: i64, results: &mut BTreeMap<(i32, i64), (usize, f64)>) {
    let due = |timer: &(i64, i64)| timer.0 <= watermark && timer.1 < watermark;
    while let Some(time) = known.timers.iter().filter(|timer| due(timer)).map(|timer| timer.0).min() {
        known.timers.retain(|timer| timer.0 != time || !due(timer));
        if known.cleanup.is_some_and(|at| at <= time) {
            (known.rows, known.last, known.cleanup) = (Vec::new(), 0, None);
            continue;
        }
        known.last = time;
        let mut peers: Vec<Row> = known.waiting.iter().filter(|r| r.time == time).cloned().collect();
        known.waiting.retain(|r| r.time != time);
        peers.sort_by_key(|r| r.offset);
        let all = [&known.rows[..], &peers[..]].concat();
        for (at, row) in peers.iter().enumerate() {
            let here = known.rows.len() + at;
            let covered: Vec<&Row> = match frame {
                OverFrame::Rows(n) => {
                    all[here.saturating_sub(n.map_or(usize::MAX, |n| n as usize))..=here].iter().collect()
                }
                OverFrame::Range(None) => all.iter().collect(),
                OverFrame::Range(Some(n)) => all.iter().filter(|r| (time - n..=time).contains(&r.time)).collect(),
            };
            let sum = covered.iter().filter_map(|r| r.value).sum();
            results.insert((row.partition, row.offset), (covered.len(), sum));
        }
        known.rows = all;
    }
}

fn frames() -> impl Strategy<Value = OverFrame> {
    prop_oneof![
        Just(OverFrame::Rows(Some(0))),
        Just(OverFrame::Rows(Some(3))),
        Just(OverFrame::Rows(None)),
        Just(OverFrame::Range(Some(0))),
        Just(OverFrame::Range(Some(15))),
        Just(OverFrame::Range(None)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_way_of_driving_gives_the_same_rows(frame in frames(), keyed: bool, rows in rows(true), drive in drives()) {
        assert_same(&node(frame, keyed), &rows, &drive)?;
    }

    #[test]
    fn results_are_those_of_the_definition(frame in frames(), rows in rows(false)) {
        let (out, late) = run(&node(frame, true), &rows, &Drive::straight());
        let expected = naive(frame, &rows);
        prop_assert_eq!(out.len() + late.len(), rows.len());
        prop_assert_eq!(out.len(), expected.len());
        for line in &out {
            let c = cells(line);
            let (count, sum) = expected[&(c[9].parse().unwrap(), c[10].parse().unwrap())];
            let found: f64 = if c[4] == "NULL" { 0.0 } else { c[4].parse().unwrap() };
            prop_assert_eq!(c[3].parse::<usize>().unwrap(), count, "{}", line);
            prop_assert!((found - sum).abs() < 1e-6, "{} {}", line, sum);
        }
        if matches!(frame, OverFrame::Rows(None) | OverFrame::Range(None)) {
            let order = |line: &String| {
                let row = &rows[rows.iter().position(|r| format!("{} {}", r.partition, r.offset) == cells(line)[9..11].join(" ")).unwrap()];
                (row.time, row.partition, row.offset)
            };
            prop_assert!(out.iter().map(order).is_sorted());
        }
    }
}
