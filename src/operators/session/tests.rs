//! Sessions against a recomputation in the order of the log, and the same rows however they are driven.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use proptest::prelude::*;

use super::{Key, Session, SessionAggregate, bucket};
use crate::operators::testing::{Drive, Row, aggregates, assert_same, drives, plan_expr, rows, run, schema, stamp};
use crate::plan::{Node, NodeKind, WindowAggregate, WindowKind, WindowOutput, WindowSpec};

const GAP: i64 = 10;

fn node(keyed: bool) -> Node {
    let mut output = vec![WindowOutput::Start, WindowOutput::End, WindowOutput::Time];
    output.extend(keyed.then_some(WindowOutput::Key(0)));
    output.extend((0..aggregates().len()).map(WindowOutput::Aggregate));
    let instant = DataType::Timestamp(TimeUnit::Millisecond, None);
    let fields: Vec<Field> = output
        .iter()
        .enumerate()
        .map(|(i, output)| match output {
            WindowOutput::Key(_) => Field::new("k", DataType::Utf8, true),
            WindowOutput::Aggregate(a) => {
                Field::new(format!("o{i}"), aggregates()[*a].call.field().data_type().clone(), true)
            }
            _ => Field::new(format!("o{i}"), instant.clone(), false),
        })
        .collect();
    let plan = WindowAggregate {
        window: WindowSpec { kind: WindowKind::Session { gap_ms: GAP }, offset_ms: 0, rowtime: 0, zone: None },
        keys: if keyed { vec![plan_expr("k")] } else { vec![] },
        aggregates: aggregates(),
        output,
    };
    Node { kind: NodeKind::WindowAggregate(plan), inputs: vec![0], schema: Arc::new(Schema::new(fields)) }
}

fn ms(text: &str) -> i64 {
    chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").unwrap().and_utc().timestamp_millis()
}

/// Start, end, key and count of a session.
type Counted = (i64, i64, String, i64);

/// What leaves, and the offsets of late rows.
fn sessions(rows: &[Row]) -> (Vec<Counted>, Vec<i64>) {
    let (out, late) = run(&node(true), rows, &Drive::straight());
    let found = out.iter().map(|line| {
        let c: Vec<&str> = line.split(' ').collect();
        assert_eq!(ms(c[1]) - 1, ms(c[2]), "window_time");
        (ms(c[0]), ms(c[1]), c[3].to_owned(), c[4].parse().unwrap())
    });
    (found.collect(), late.iter().map(|row| row.offset).collect())
}

const A: Option<&str> = Some("a");

#[test]
fn rows_a_gap_apart_are_one_session_and_a_ms_more_is_two() {
    let rows = stamp(&[(0, 0, A, None), (0, 10, A, None), (0, 21, A, None), (0, 21, None, None)], 100);
    let expected = [(0, 20, "a", 2), (21, 31, "a", 1), (21, 31, "NULL", 1)];
    let (mut found, late) = sessions(&rows);
    found.sort_by_key(|(start, _, key, _)| (*start, key == "NULL"));
    assert_eq!(found, expected.map(|(s, e, k, n)| (s, e, k.to_owned(), n)));
    assert!(late.is_empty());
}

#[test]
fn lateness_is_judged_after_merging() {
    // Read at watermark 12: a row at 1 alone would have ended at 11, but it joins the open session [5, 22).
    let rows = stamp(&[(0, 5, A, None), (0, 12, A, None), (0, 1, A, None)], 0);
    assert_eq!(sessions(&rows), (vec![(1, 22, "a".to_owned(), 3)], vec![]));
    // Of another key it is late; 3 is not, for [3, 13) is complete at 12 only.
    let rows = stamp(&[(0, 12, A, None), (0, 1, Some("b"), None), (0, 3, Some("c"), None)], 0);
    let (found, late) = sessions(&rows);
    assert_eq!(late, [1, 2]);
    assert_eq!(found, [(12, 22, "a".to_owned(), 1)]);
    // A session that has ended takes no row, though it would touch.
    let rows = stamp(&[(0, 0, A, None), (0, 9, None, None), (0, 10, A, None)], 0);
    let (found, _) = sessions(&rows);
    assert!(found.contains(&(0, 10, "a".to_owned(), 1)) && found.contains(&(10, 20, "a".to_owned(), 1)), "{found:?}");
}

#[test]
fn a_row_between_joins_two_sessions() {
    let rows = stamp(&[(0, 0, A, None), (0, 18, A, None), (0, 9, A, None)], 100);
    assert_eq!(sessions(&rows).0, [(0, 28, "a".to_owned(), 3)]);
}

#[test]
fn a_row_that_joins_sessions_is_merged_after_their_rows() {
    let node = node(true);
    let NodeKind::WindowAggregate(plan) = &node.kind else { panic!("{}", node.kind) };
    let mut operator = SessionAggregate::new(plan, &schema(), &node.schema).unwrap();
    let parts = [0, 18, 9, 10].map(|time| operator.part_of(&Key::from(*b"a"), time, i64::MIN).unwrap());
    assert_eq!(parts, [0, 1, 2, 2].map(Some));
    let [session] = &operator.sessions[b"a".as_slice()][..] else { panic!("one session") };
    assert_eq!((session.start, session.end, session.parts.last()), (0, 28, Some(&2)));
}

/// Two sessions of a real Flink 2.3, which merged the accumulators of the later one first.
#[test]
fn sessions_are_merged_in_the_order_of_their_buckets() {
    let session = |start: i64, end: i64| Session { start, end, parts: Vec::new() };
    let (earlier, later) =
        (session(1_729_990_102_092, 1_729_990_113_592), session(1_729_990_113_973, 1_729_990_124_973));
    assert_eq!((bucket(&earlier), bucket(&later)), (6, 0));
}

/// Sessions of one partition by definition: rows in the order of the log, each after the sessions have ended that its
/// watermark completes.
fn naive(rows: &[Row]) -> (Vec<Counted>, usize) {
    let (mut open, mut ended, mut late) = (Vec::<Counted>::new(), Vec::new(), 0);
    for row in rows {
        ended.extend(open.extract_if(.., |s| s.1 - 1 <= row.watermark));
        let key = row.key.unwrap_or("NULL").to_owned();
        let mut merged = (row.time, row.time + GAP, key.clone(), 1);
        let joined: Vec<_> = open.extract_if(.., |s| s.2 == key && s.0 <= row.time + GAP && s.1 >= row.time).collect();
        if joined.is_empty() && merged.1 - 1 <= row.watermark {
            late += 1;
            continue;
        }
        for s in joined {
            merged = (merged.0.min(s.0), merged.1.max(s.1), key.clone(), merged.3 + s.3);
        }
        open.push(merged);
    }
    ended.extend(open);
    ended.sort();
    (ended, late)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_way_of_driving_gives_the_same_rows(keyed: bool, shared: bool, rows in rows(true), own in rows(false), drive in drives()) {
        let rows = if shared { rows } else { own };
        assert_same(&node(keyed), &rows, &drive)?;
    }

    #[test]
    fn results_are_those_of_the_definition(rows in rows(true)) {
        let rows: Vec<Row> = rows.into_iter().filter(|row| row.partition == 0).collect();
        let (mut found, late) = sessions(&rows);
        found.sort();
        let (expected, expected_late) = naive(&rows);
        prop_assert_eq!(found, expected);
        prop_assert_eq!(late.len(), expected_late);
    }
}
