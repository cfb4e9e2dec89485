//! Windows against a recomputation by definition: same rows for any batches, interleaving, restores and parallelism.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use proptest::prelude::*;

use super::{GlobalWindowAggregate, LocalWindowAggregate};
use crate::limits::BATCH_ROWS_MAX;
use crate::operators::testing::{
    Drive, Row, aggregates, assert_same, batch, drives, fire, plan_expr, rows, run, schema, stamp, text,
};
use crate::operators::{Firing, Operator, Output};
use crate::plan::{Node, NodeKind, WindowAggregate, WindowKind, WindowOutput, WindowSpec};
use crate::stream::Origin;
use crate::time::WATERMARK_MAX;

fn plan(kind: WindowKind, offset_ms: i64, keyed: bool) -> WindowAggregate {
    let mut output = vec![WindowOutput::Start, WindowOutput::End, WindowOutput::Time];
    output.extend(keyed.then_some(WindowOutput::Key(0)));
    output.extend((0..aggregates().len()).map(WindowOutput::Aggregate));
    WindowAggregate {
        window: WindowSpec { kind, offset_ms, rowtime: 0, zone: None },
        keys: if keyed { vec![plan_expr("k")] } else { vec![] },
        aggregates: aggregates(),
        output,
    }
}

fn node(kind: WindowKind, offset_ms: i64, keyed: bool) -> Node {
    let plan = plan(kind, offset_ms, keyed);
    let instant = DataType::Timestamp(TimeUnit::Millisecond, None);
    let fields: Vec<Field> = plan
        .output
        .iter()
        .enumerate()
        .map(|(i, output)| match output {
            WindowOutput::Key(_) => Field::new("k", DataType::Utf8, true),
            WindowOutput::Aggregate(a) => {
                Field::new(format!("o{i}"), plan.aggregates[*a].call.field().data_type().clone(), true)
            }
            _ => Field::new(format!("o{i}"), instant.clone(), false),
        })
        .collect();
    Node { kind: NodeKind::WindowAggregate(plan), inputs: vec![0], schema: Arc::new(Schema::new(fields)) }
}

/// `start end key count sum` of what leaves, short times.
fn check(
    kind: WindowKind,
    offset_ms: i64,
    delay: i64,
    rows: &[(i32, i64, Option<&'static str>, Option<f64>)],
) -> Vec<String> {
    let (out, _) = run(&node(kind, offset_ms, true), &stamp(rows, delay), &Drive::straight());
    out.iter()
        .map(|line| {
            let c: Vec<&str> = line.split(' ').collect();
            let ms = |text: &str| {
                chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
                    .unwrap()
                    .and_utc()
                    .timestamp_millis()
            };
            assert_eq!(ms(c[1]) - 1, ms(c[2]), "window_time");
            format!("{} {} {} {} {}", ms(c[0]), ms(c[1]), c[3], c[4], c[5])
        })
        .collect()
}

const A: Option<&str> = Some("a");

#[test]
fn tumble_with_null_keys_before_1970_and_offset() {
    let rows =
        [(0, -1, A, Some(1.0)), (0, 0, A, Some(2.0)), (0, 9, None, Some(4.0)), (1, 5, A, None), (0, 10, A, Some(8.0))];
    assert_eq!(
        check(WindowKind::Tumble { size_ms: 10 }, 0, 100, &rows),
        ["-10 0 a 1 1.0", "0 10 NULL 1 4.0", "0 10 a 2 2.0", "10 20 a 1 8.0"]
    );
    assert_eq!(
        check(WindowKind::Tumble { size_ms: 10 }, 3, 100, &rows),
        ["-7 3 a 2 3.0", "3 13 NULL 1 4.0", "3 13 a 2 8.0"]
    );
}

#[test]
fn hop_and_cumulate() {
    let rows = [(0, 1, A, Some(1.0)), (0, 12, A, Some(2.0))];
    assert_eq!(
        check(WindowKind::Hop { slide_ms: 10, size_ms: 20 }, 0, 100, &rows),
        ["-10 10 a 1 1.0", "0 20 a 2 3.0", "10 30 a 1 2.0"]
    );
    // Later steps come out without new rows; windows without a row never do.
    assert_eq!(
        check(WindowKind::Cumulate { step_ms: 10, size_ms: 40 }, 0, 100, &rows),
        ["0 10 a 1 1.0", "0 20 a 2 3.0", "0 30 a 2 3.0", "0 40 a 2 3.0"]
    );
}

#[test]
fn a_window_takes_rows_until_its_last_ms_is_passed() {
    // The watermark before the second row is 8, 9 and 10: end - 2, end - 1 and end of [0, 10).
    for (mark, joins) in [(8, true), (9, false), (10, false)] {
        let rows = stamp(&[(0, mark, A, None), (0, 3, A, Some(1.0))], 0);
        let (_, late) = run(&node(WindowKind::Tumble { size_ms: 10 }, 0, true), &rows, &Drive::straight());
        assert_eq!(late.is_empty(), joins, "watermark {mark}");
        if let Some(row) = late.first() {
            assert_eq!(
                (row.offset, row.event_time, row.watermark, row.operator.as_str()),
                (1, 3, mark, "window_aggregate")
            );
        }
    }
}

#[test]
fn a_row_behind_the_watermark_joins_the_windows_still_open() {
    // Watermark 12: [-10, 10) has fired, [0, 20) has not.
    let rows = [(0, 12, A, Some(2.0)), (0, 3, A, Some(1.0))];
    assert_eq!(check(WindowKind::Hop { slide_ms: 10, size_ms: 20 }, 0, 0, &rows), ["0 20 a 2 3.0", "10 30 a 1 2.0"]);
    assert_eq!(check(WindowKind::Cumulate { step_ms: 10, size_ms: 30 }, 0, 0, &rows), ["0 20 a 2 3.0", "0 30 a 2 3.0"]);
}

#[test]
fn no_keys_and_no_rows() {
    let node = node(WindowKind::Tumble { size_ms: 10 }, 0, false);
    let (out, _) = run(&node, &stamp(&[(0, 1, A, Some(1.0)), (1, 2, None, Some(2.0))], 0), &Drive::straight());
    assert_eq!(out.len(), 1);
    assert!(out[0].contains(" 2 3.0 1.5 1.0 2.0 2 "), "{}", out[0]);
    assert!(run(&node, &[], &Drive::straight()).0.is_empty());
}

/// Behind a keyed operator rows of several partitions come to one first half: their partials stay apart, so that
/// the second half merges them in the order of partitions.
#[test]
fn partitions_stay_apart_in_a_half() {
    let mut local = LocalWindowAggregate::new(&plan(WindowKind::Tumble { size_ms: 10 }, 0, true), &schema()).unwrap();
    let rows = stamp(&[(1, 1, A, None), (0, 1, A, None), (1, 2, A, None)], 0);
    let mut output = Output::default();
    local.process(batch(&rows), &mut output).unwrap();
    fire(&mut local, 9, &mut output);
    let partitions: Vec<i32> =
        output.batches.iter().flat_map(|b| Origin::of(b).unwrap().partition.values().to_vec()).collect();
    assert_eq!(partitions, [0, 1]);
}

/// A row is in 20,000 windows: they leave by the batch, and none leaves twice.
#[test]
fn windows_that_fire_together_leave_by_the_batch() {
    let kind = WindowKind::Hop { slide_ms: 1, size_ms: 20_000 };
    let (plan, node) = (plan(kind, 0, true), node(kind, 0, true));
    let mut local = LocalWindowAggregate::new(&plan, &schema()).unwrap();
    let mut global = GlobalWindowAggregate::new(&plan, &schema(), &node.schema).unwrap();
    local.process(batch(&stamp(&[(0, 0, A, Some(1.0))], 0)), &mut Output::default()).unwrap();
    let mut partials = Output::default();
    fire(&mut local, WATERMARK_MAX, &mut partials);
    for partial in partials.batches {
        global.process(partial, &mut Output::default()).unwrap();
    }
    let mut output = Output::default();
    assert_eq!(global.on_watermark(WATERMARK_MAX, &mut output).unwrap(), Firing::More);
    assert_eq!(output.rows(), BATCH_ROWS_MAX);
    fire(&mut global, WATERMARK_MAX, &mut output);
    fire(&mut global, WATERMARK_MAX, &mut output);
    let ends: Vec<String> = output.batches.iter().flat_map(text).collect();
    assert_eq!(ends.len(), 20_000);
    assert!(ends.is_sorted(), "one window after the other");
}

/// Window end and key → count and sum.
type Totals = BTreeMap<(i64, String), (i64, f64)>;

/// The totals by definition, and the number of late rows.
fn naive(kind: WindowKind, offset: i64, rows: &[Row]) -> (Totals, usize) {
    let (mut windows, mut late) = (BTreeMap::new(), 0);
    for row in rows {
        let floor = |n: i64| (row.time - offset).div_euclid(n) * n + offset;
        let ends: Vec<i64> = match kind {
            WindowKind::Tumble { size_ms } => vec![floor(size_ms) + size_ms],
            WindowKind::Hop { slide_ms, size_ms } => {
                (1..=size_ms / slide_ms).map(|k| floor(slide_ms) + k * slide_ms).collect()
            }
            WindowKind::GroupHop { .. } | WindowKind::Session { .. } | WindowKind::Attached { .. } => vec![],
            WindowKind::Cumulate { step_ms, size_ms } => {
                (1..=size_ms / step_ms).map(|k| floor(size_ms) + k * step_ms).filter(|end| *end > row.time).collect()
            }
        };
        let open: Vec<i64> = ends.into_iter().filter(|end| end - 1 > row.watermark).collect();
        late += usize::from(open.is_empty());
        for end in open {
            let entry = windows.entry((end, row.key.unwrap_or("NULL").to_owned())).or_insert((0, 0.0));
            entry.0 += 1;
            entry.1 += row.value.unwrap_or(0.0);
        }
    }
    (windows, late)
}

fn kinds() -> impl Strategy<Value = WindowKind> {
    prop_oneof![
        Just(WindowKind::Tumble { size_ms: 20 }),
        Just(WindowKind::Hop { slide_ms: 10, size_ms: 40 }),
        Just(WindowKind::Cumulate { step_ms: 10, size_ms: 50 }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_way_of_driving_gives_the_same_rows(kind in kinds(), offset in -5i64..5, keyed: bool, rows in rows(true), drive in drives()) {
        assert_same(&node(kind, offset, keyed), &rows, &drive)?;
    }

    #[test]
    fn results_are_those_of_the_definition(kind in kinds(), offset in -5i64..5, rows in rows(true)) {
        let (out, late) = run(&node(kind, offset, true), &rows, &Drive::straight());
        let (expected, expected_late) = naive(kind, offset, &rows);
        prop_assert_eq!(late.len(), expected_late);
        prop_assert_eq!(out.len(), expected.len());
        for (line, ((end, key), (count, sum))) in out.iter().zip(expected) {
            let c: Vec<&str> = line.split(' ').collect();
            let found = chrono::NaiveDateTime::parse_from_str(c[1], "%Y-%m-%dT%H:%M:%S%.f").unwrap().and_utc().timestamp_millis();
            let found_sum: f64 = if c[5] == "NULL" { 0.0 } else { c[5].parse().unwrap() };
            let count = count.to_string();
            prop_assert_eq!((found, c[3], c[4]), (end, key.as_str(), count.as_str()));
            prop_assert!((found_sum - sum).abs() < 1e-6, "{} {}", line, sum);
        }
    }
}
