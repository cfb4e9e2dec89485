//! Aggregates that keep the values they see, in windows and OVER: the same rows for any batches, interleaving,
//! checkpoints with restore and parallelism.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::physical_expr::aggregate::AggregateExprBuilder;
use proptest::prelude::*;

use super::testing::{Drive, assert_same, column, drives, plan_expr, rows, run, schema, stamp};
use crate::plan::{
    Node, NodeKind, OverAggregate, OverFrame, PlanAggregate, WindowAggregate, WindowKind, WindowOutput, WindowSpec,
};

/// `array_agg(v)`, `sum(DISTINCT v)`, `listagg(k)`, `collect(v)`, `first_value(v)`, `last_value(v)`.
fn aggregates() -> Vec<PlanAggregate> {
    let calls = [
        ("array_agg", "v", false),
        ("sum", "v", true),
        ("listagg", "k", false),
        ("collect", "v", false),
        ("first_value", "v", false),
        ("last_value", "v", false),
    ];
    let functions = crate::functions::aggregate_functions();
    calls
        .into_iter()
        .map(|(name, argument, distinct)| {
            let function = functions.iter().find(|f| f.name().eq_ignore_ascii_case(name)).unwrap();
            let builder = AggregateExprBuilder::new(Arc::clone(function), vec![column(argument)]).schema(schema());
            let call = builder.alias(name).with_distinct(distinct).build().unwrap();
            PlanAggregate { call: Arc::new(call), filter: None, text: name.into() }
        })
        .collect()
}

fn results(aggregates: &[PlanAggregate]) -> impl Iterator<Item = Field> {
    aggregates.iter().map(|a| Field::new(a.text.clone(), a.call.field().data_type().clone(), true))
}

/// With the first `count` of [`aggregates`].
fn window(kind: WindowKind, count: usize) -> Node {
    let mut aggregates = aggregates();
    aggregates.truncate(count);
    let end = Field::new("end", DataType::Timestamp(TimeUnit::Millisecond, None), false);
    let fields: Vec<Field> =
        [end, Field::new("k", DataType::Utf8, true)].into_iter().chain(results(&aggregates)).collect();
    let output = [WindowOutput::End, WindowOutput::Key(0)].into_iter();
    let plan = WindowAggregate {
        window: WindowSpec { kind, offset_ms: 0, rowtime: 0, zone: None },
        keys: vec![plan_expr("k")],
        output: output.chain((0..count).map(WindowOutput::Aggregate)).collect(),
        aggregates,
    };
    let schema = Arc::new(Schema::new(fields));
    Node { kind: NodeKind::WindowAggregate(plan), inputs: vec![0], schema }
}

fn over(frame: OverFrame) -> Node {
    let (input, calls) = (schema(), aggregates());
    let fields: Vec<Field> = input.fields().iter().map(|f| f.as_ref().clone()).chain(results(&calls)).collect();
    let kind =
        OverAggregate { keys: vec![plan_expr("k")], rowtime: 0, frame, keeps_first: false, aggregates: aggregates() };
    Node { kind: NodeKind::OverAggregate(kind), inputs: vec![0], schema: Arc::new(Schema::new(fields)) }
}

#[test]
fn values_of_a_window_stand_in_the_order_of_its_slices() {
    let a = Some("a");
    let given = stamp(&[(0, 12, a, Some(3.0)), (0, 1, a, Some(1.0)), (0, 3, a, None), (0, 14, a, Some(3.0))], 100);
    let hop = |count: usize| -> Vec<String> {
        let node = window(WindowKind::Hop { slide_ms: 10, size_ms: 20 }, count);
        let (out, _) = run(&node, &given, &Drive::straight());
        out.iter().map(|line| line.split_once(" a ").unwrap().1.split(" 0 ").next().unwrap().to_owned()).collect()
    };
    // FIRST_VALUE and LAST_VALUE need the order of rows; without them Flink's order is that from the newest slice on
    let lines = hop(6);
    assert_eq!(lines[0], "[1.0, NULL] 1.0 a,a {{key: 1.0}: 1} 1.0 1.0");
    assert_eq!(lines[1], "[1.0, NULL, 3.0, 3.0] 4.0 a,a,a,a {{key: 1.0}: 1, {key: 3.0}: 2} 1.0 3.0");
    assert_eq!(lines[2], "[3.0, 3.0] 3.0 a,a {{key: 3.0}: 2} 3.0 3.0");
    assert_eq!(hop(4)[1], "[3.0, 3.0, 1.0, NULL] 4.0 a,a,a,a {{key: 1.0}: 1, {key: 3.0}: 2}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn windows_collect_the_same_however_driven(rows in rows(true), drive in drives()) {
        assert_same(&window(WindowKind::Tumble { size_ms: 20 }, 6), &rows, &drive)?;
        assert_same(&window(WindowKind::Cumulate { step_ms: 10, size_ms: 40 }, 6), &rows, &drive)?;
        assert_same(&window(WindowKind::Hop { slide_ms: 10, size_ms: 40 }, 4), &rows, &drive)?;
    }

    #[test]
    fn overs_collect_the_same_however_driven(rows in rows(false), drive in drives()) {
        assert_same(&over(OverFrame::Rows(None)), &rows, &drive)?;
        assert_same(&over(OverFrame::Range(None)), &rows, &drive)?;
        assert_same(&over(OverFrame::Rows(Some(3))), &rows, &drive)?;
    }
}
