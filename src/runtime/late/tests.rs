//! Late rows over plans drawn by hand: counted once, remembered as long as they can come again, and no longer.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::physical_expr::expressions::Column;

use super::*;
use crate::error::ErrorKind;
use crate::plan::{
    Node, OverAggregate, OverFrame, PlanExpr, Settings, Source, Unnest, WatermarkSpec, WindowAggregate, WindowAssign,
    WindowKind, WindowSpec,
};
use crate::stream::RowCounts;
use crate::table::{Options, TableSpec};

const SOURCE: NodeId = 0;
const WINDOW: NodeId = 1;
const OVER: NodeId = 2;
const BEHIND_OVER: NodeId = 3;

fn node(kind: NodeKind, inputs: &[NodeId]) -> Node {
    Node { kind, inputs: inputs.to_vec(), schema: Arc::new(Schema::empty()) }
}

fn source() -> NodeKind {
    let table = TableSpec {
        name: "t".into(),
        columns: vec![],
        primary_key: vec![],
        partitioned_by: vec![],
        options: Options::default(),
        span: None,
    };
    let expr = PlanExpr { expr: Arc::new(Column::new("ts", 0)), text: String::new() };
    let watermark = Some(WatermarkSpec { rowtime: 0, expr, idle_timeout: None, max_future_skew: None });
    NodeKind::Source(Source { table: Arc::new(table), columns: vec![], watermark, proctime: None })
}

fn window() -> NodeKind {
    let window = WindowSpec { kind: WindowKind::Tumble { size_ms: 10 }, offset_ms: 0, rowtime: 0, zone: None };
    NodeKind::WindowAggregate(WindowAggregate { window, keys: vec![], aggregates: vec![], output: vec![] })
}

fn over() -> NodeKind {
    let frame = OverFrame::Rows(Some(1));
    NodeKind::OverAggregate(OverAggregate { keys: vec![], rowtime: 0, frame, keeps_first: false, aggregates: vec![] })
}

fn plan(nodes: Vec<Node>) -> StreamPlan {
    StreamPlan { nodes, settings: Settings::default() }
}

/// `t → window`, `t → OVER → window`.
fn branches() -> StreamPlan {
    plan(vec![node(source(), &[]), node(window(), &[SOURCE]), node(over(), &[SOURCE]), node(window(), &[OVER])])
}

fn position(watermark: EventTime, read: u64) -> SourcePosition {
    SourcePosition {
        table: "t".into(),
        topic: "t".into(),
        partition: 0,
        id: PartitionId(0),
        next_offset: 100,
        watermark,
        finished: false,
        fingerprint: None,
        counts: RowCounts { read, processed: read, ..RowCounts::default() },
    }
}

fn positions() -> BTreeMap<PartitionId, SourcePosition> {
    BTreeMap::from([(PartitionId(0), position(0, 10))])
}

/// Row `offset` with time 5, behind the watermark 20, too late for `node`.
fn late(node: NodeId, offset: i64) -> (NodeId, LateRow) {
    let operator = if node == OVER { "over_aggregate" } else { "window_aggregate" }.to_owned();
    (node, LateRow { partition: PartitionId(0), offset, event_time: 5, watermark: 20, operator })
}

fn entry(offset: i64, operators: &str, reason: &str) -> LedgerEntry {
    LedgerEntry::of_late(&position(0, 10), &late(WINDOW, offset).1, operators, reason)
}

fn counted(count: &LateCount) -> u64 {
    count.account(positions()).unwrap()[0].counts.late
}

#[test]
fn a_row_late_for_several_operators_counts_once() {
    let mut count = LateCount::new(&branches(), &BTreeMap::new()).unwrap();
    let rows = vec![late(OVER, 8), late(WINDOW, 7), late(WINDOW, 8)];
    let entries = count.take(rows, &positions(), &[position(0, 10)]).unwrap();
    assert_eq!(entries, [entry(7, "window_aggregate", "LATE"), entry(8, "over_aggregate, window_aggregate", "LATE")]);
    let row = &count.account(positions()).unwrap()[0];
    assert_eq!((row.counts.late, row.counts.processed), (2, 8));
}

#[test]
fn what_unnest_makes_of_a_row_is_late_as_one_row() {
    let expr = PlanExpr { expr: Arc::new(Column::new("a", 1)), text: String::new() };
    let unnest = Unnest { collection: expr, kept: vec![0], outer: false, ordinality: false };
    let nodes = vec![
        node(source(), &[]),
        node(NodeKind::Unnest(unnest), &[SOURCE]),
        node(window(), &[1]),
        node(NodeKind::Union, &[SOURCE, 1]),
        node(window(), &[3]),
    ];
    let mut count = LateCount::new(&plan(nodes), &BTreeMap::new()).unwrap();
    let rows = vec![late(2, 7), late(2, 7), late(2, 7), late(4, 7), late(4, 7), late(4, 8)];
    let entries = count.take(rows, &positions(), &[position(0, 10)]).unwrap();
    assert_eq!(entries, [entry(7, "over_aggregate, window_aggregate", "LATE"), entry(8, "window_aggregate", "LATE")]);
    assert_eq!(counted(&count), 2);
}

#[test]
fn a_session_judges_epochs_later_what_a_window_has_judged() {
    let session = WindowSpec { kind: WindowKind::Session { gap_ms: 10 }, offset_ms: 0, rowtime: 0, zone: None };
    let session = WindowAggregate { window: session, keys: vec![], aggregates: vec![], output: vec![] };
    let nodes =
        vec![node(source(), &[]), node(window(), &[SOURCE]), node(NodeKind::WindowAggregate(session), &[SOURCE])];
    let mut count = LateCount::new(&plan(nodes), &BTreeMap::new()).unwrap();
    count.take(vec![late(WINDOW, 7)], &positions(), &[position(0, 10)]).unwrap();
    let again = count.take(vec![late(3, 7), late(3, 8)], &positions(), &[position(20, 10)]).unwrap();
    assert_eq!(again, [entry(7, "window_aggregate", "LATE_AGAIN"), entry(8, "window_aggregate", "LATE")]);
    assert_eq!(counted(&count), 2);
}

#[test]
fn copies_of_a_row_in_several_windows_are_late_as_one_row() {
    let hop = WindowSpec { kind: WindowKind::Hop { slide_ms: 5, size_ms: 10 }, offset_ms: 0, rowtime: 0, zone: None };
    let attached = WindowSpec { kind: WindowKind::Attached { end: 2 }, offset_ms: 0, rowtime: 0, zone: None };
    let attached = WindowAggregate { window: attached, keys: vec![], aggregates: vec![], output: vec![] };
    let nodes = vec![
        node(source(), &[]),
        node(NodeKind::WindowAssign(WindowAssign { window: hop }), &[SOURCE]),
        node(NodeKind::WindowAggregate(attached), &[1]),
    ];
    let mut count = LateCount::new(&plan(nodes), &BTreeMap::new()).unwrap();
    count.take(vec![late(2, 7), late(2, 7), late(2, 8)], &positions(), &[position(0, 10)]).unwrap();
    assert_eq!(counted(&count), 2);
}

#[test]
fn a_row_late_again_epochs_later_and_after_a_restart_counts_once() {
    let mut count = LateCount::new(&branches(), &BTreeMap::new()).unwrap();
    count.take(vec![late(WINDOW, 7)], &positions(), &[position(0, 10)]).unwrap();
    let mut extras = BTreeMap::new();
    count.store(&mut extras).unwrap();
    let text = serde_json::to_string(&extras).unwrap();
    let mut restarted = LateCount::new(&branches(), &serde_json::from_str(&text).unwrap()).unwrap();
    for count in [&mut count, &mut restarted] {
        // The OVER lets the row go once the watermark is past 20.
        assert!(count.take(vec![], &positions(), &[position(20, 10)]).unwrap().is_empty());
        let again = count.take(vec![late(BEHIND_OVER, 7), late(BEHIND_OVER, 9)], &positions(), &[position(20, 10)]);
        let expected = [entry(7, "window_aggregate", "LATE_AGAIN"), entry(9, "window_aggregate", "LATE")];
        assert_eq!(again.unwrap(), expected);
    }
    assert_eq!((counted(&count), counted(&restarted)), (2, 1));
    // Every operator has seen 21: nothing is to come of these rows.
    count.take(vec![], &positions(), &[position(21, 10)]).unwrap();
    count.store(&mut extras).unwrap();
    assert!(extras.is_empty(), "{extras:?}");
}

#[test]
fn the_slowest_source_that_comes_to_the_same_over_keeps_rows_in_mind() {
    // `(t ∪ slow) → OVER → window`, `t → window`; `silent → window`, and one without event time, on their own.
    let NodeKind::Source(mut timeless) = source() else { panic!() };
    timeless.watermark = None;
    let nodes = vec![
        node(source(), &[]),
        node(window(), &[SOURCE]),
        node(source(), &[]),
        node(NodeKind::Union, &[SOURCE, 2]),
        node(over(), &[3]),
        node(window(), &[4]),
        node(source(), &[]),
        node(window(), &[6]),
        node(NodeKind::Source(timeless), &[]),
    ];
    let of = |source: usize, watermark| SourcePosition {
        id: PartitionId::new(source, 0, 0).unwrap(),
        ..position(watermark, 10)
    };
    let all: BTreeMap<_, _> = (0..4).map(|source| of(source, 0)).map(|p| (p.id, p)).collect();
    let silent = LateRow { partition: of(2, 0).id, ..late(WINDOW, 9).1 };
    let mut count = LateCount::new(&plan(nodes), &BTreeMap::new()).unwrap();
    count.take(vec![late(WINDOW, 7), (7, silent)], &all, &[]).unwrap();
    let remembered = |count: &LateCount| count.counted.keys().map(|key| key.offset).collect::<Vec<_>>();
    assert_eq!(remembered(&count), [7], "no OVER lets rows of the silent source go");
    let stand = |slow| [of(0, 90), of(1, slow), of(2, WATERMARK_MIN), of(3, WATERMARK_MIN)];
    count.take(vec![], &all, &stand(3)).unwrap();
    assert_eq!(remembered(&count), [7]);
    count.take(vec![], &all, &stand(30)).unwrap();
    assert!(remembered(&count).is_empty(), "the silent source does not keep it");
}

#[test]
fn rows_behind_a_window_are_not_those_an_over_held() {
    // `t → window → OVER → window`: what the OVER holds the first window has made.
    let nodes = vec![node(source(), &[]), node(window(), &[SOURCE]), node(over(), &[1]), node(window(), &[2])];
    assert!(LateCount::new(&plan(nodes), &BTreeMap::new()).unwrap().holding.is_empty());
    let all = LateCount::new(&branches(), &BTreeMap::new()).unwrap().holding;
    assert_eq!(all, BTreeMap::from([(0, BTreeSet::from([0]))]));
}

#[test]
fn beyond_the_bound_the_oldest_rows_are_given_up_and_none_counts_twice() {
    let mut count = LateCount::new(&branches(), &BTreeMap::new()).unwrap();
    count.counted_max = 2;
    let row = |node, offset, watermark| (node, LateRow { watermark, ..late(node, offset).1 });
    let rows = (1..=5).map(|offset| row(WINDOW, offset, 20 + offset)).collect();
    count.take(rows, &positions(), &[position(0, 10)]).unwrap();
    assert_eq!(count.counted.keys().map(|key| key.offset).collect::<Vec<_>>(), [4, 5]);
    let mut extras = BTreeMap::new();
    count.store(&mut extras).unwrap();
    let mut count = LateCount::new(&branches(), &extras).unwrap();
    count.counted_max = 2;
    // Given up, remembered, and a row later than both.
    let rows = vec![row(BEHIND_OVER, 2, 22), row(BEHIND_OVER, 5, 25), row(WINDOW, 6, 26)];
    let entries = count.take(rows, &positions(), &[position(23, 10)]).unwrap();
    let expected =
        [(2, 22, "LATE_AGAIN"), (5, 25, "LATE_AGAIN"), (6, 26, "LATE")].map(|(offset, watermark, reason)| {
            LedgerEntry::of_late(&position(0, 10), &row(WINDOW, offset, watermark).1, "window_aggregate", reason)
        });
    assert_eq!(entries, expected);
    assert_eq!(counted(&count), 1, "the first five were counted before the restart");
    assert_eq!(count.given_up[&PartitionId(0)], GivenUp { offset: 4, watermark: 24 });
    // Every operator has seen 25: what was given up cannot come again.
    count.take(vec![], &positions(), &[position(25, 10)]).unwrap();
    assert!(count.given_up.is_empty());
    assert_eq!(count.counted.len(), 2);
    count.take(vec![], &positions(), &[position(27, 10)]).unwrap();
    count.store(&mut extras).unwrap();
    assert!(extras.is_empty(), "{extras:?}");
}

#[test]
fn rows_of_one_record_are_told_apart_from_copies_of_one_row() {
    let mut count = LateCount::new(&branches(), &BTreeMap::new()).unwrap();
    let entries = count.take(vec![late(WINDOW, 7), late(WINDOW, 7)], &positions(), &[]).unwrap();
    assert_eq!((entries.len(), counted(&count)), (2, 2));
    // A union reads the source twice: each row comes twice.
    let twice = plan(vec![node(source(), &[]), node(NodeKind::Union, &[SOURCE, SOURCE]), node(over(), &[1])]);
    let mut count = LateCount::new(&twice, &BTreeMap::new()).unwrap();
    let entries = count.take(vec![late(OVER, 7), late(OVER, 7)], &positions(), &[]).unwrap();
    assert_eq!((entries.len(), counted(&count)), (1, 1));
    // One operator: nothing can be told again, nothing is remembered.
    assert!(count.counted.is_empty());
}

#[test]
fn counts_that_do_not_add_up_fail_the_epoch() {
    let mut count = LateCount::new(&branches(), &BTreeMap::new()).unwrap();
    let wrong = SourcePosition {
        counts: RowCounts { read: 10, processed: 8, bad: 1, ..RowCounts::default() },
        ..position(0, 0)
    };
    let error = count.account(BTreeMap::from([(PartitionId(0), wrong)])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.message().contains("10 were read, but 8 processed + 0 late + 1 bad"), "{error}");
    let rows = (0..11).map(|offset| late(WINDOW, offset)).collect();
    count.take(rows, &positions(), &[]).unwrap();
    assert!(count.account(positions()).unwrap_err().message().contains("more late rows than rows"));
    let stranger = LateRow { partition: PartitionId(9), ..late(WINDOW, 1).1 };
    assert_eq!(count.take(vec![(WINDOW, stranger)], &positions(), &[]).unwrap_err().kind(), ErrorKind::Internal);
}
