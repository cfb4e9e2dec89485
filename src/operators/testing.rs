//! A small driver for operator tests: partitions with per-record watermarks, an exchange by key,
//! checkpoints with restore at any parallelism. What it returns must not depend on how it is driven.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::Operator as Op;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateExprBuilder;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use proptest::prelude::*;

use super::{Firing, KeyFilter, Operator, Output, Snapshot};
use crate::error::Result;
use crate::plan::{Node, PlanAggregate, PlanExpr};
use crate::stream::{LateRow, with_origin};
use crate::time::{EventTime, WATERMARK_MAX, WATERMARK_MIN};

/// A row of the table `t (ts, k, v)`.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) time: i64,
    pub(super) key: Option<&'static str>,
    pub(super) value: Option<f64>,
    pub(super) watermark: i64,
}

/// Stamps rows `(partition, time, key, value)` with offsets and watermarks `max(time) - delay`.
pub(super) fn stamp(rows: &[(i32, i64, Option<&'static str>, Option<f64>)], delay: i64) -> Vec<Row> {
    let mut marks = std::collections::BTreeMap::new();
    rows.iter()
        .map(|&(partition, time, key, value)| {
            let (offset, watermark) = marks.entry(partition).or_insert((0i64, WATERMARK_MIN));
            let row = Row { partition, offset: *offset, time, key, value, watermark: *watermark };
            *offset += 1;
            *watermark = (*watermark).max(time - delay);
            row
        })
        .collect()
}

/// Rows of three partitions; a partition's keys are its own unless `shared`.
pub(super) fn rows(shared: bool) -> impl Strategy<Value = Vec<Row>> {
    let row = (0..3i32, -30i64..30, 0..4usize, prop::option::weighted(0.9, -1000i32..1000), 0..6i64);
    prop::collection::vec(row, 0..120).prop_map(move |raw| {
        let mut clock = -150;
        let rows: Vec<_> = raw
            .into_iter()
            .map(|(partition, jitter, key, value, pace)| {
                clock += pace;
                let names = [
                    Some("a"),
                    None,
                    Some("c"),
                    Some("d"),
                    Some("e"),
                    Some("f"),
                    Some("g"),
                    Some("h"),
                    Some("i"),
                    Some("j"),
                    Some("k"),
                    Some("l"),
                ];
                let key = names[if shared { key } else { key + 4 * partition as usize }];
                (partition, clock + jitter, key, value.map(|v| f64::from(v) * 0.1))
            })
            .collect();
        stamp(&rows, 10)
    })
}

pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), true),
        Field::new("k", DataType::Utf8, true),
        Field::new("v", DataType::Float64, true),
    ]))
}

pub(super) fn batch(rows: &[Row]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMillisecondArray::from_iter_values(rows.iter().map(|r| r.time))),
        Arc::new(StringArray::from_iter(rows.iter().map(|r| r.key))),
        Arc::new(Float64Array::from_iter(rows.iter().map(|r| r.value))),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|r| r.partition))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.offset))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.watermark))),
    ];
    RecordBatch::try_new(with_origin(&schema()), columns).unwrap()
}

pub(super) fn column(name: &str) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new_with_schema(name, &schema()).unwrap())
}

pub(super) fn plan_expr(name: &str) -> PlanExpr {
    PlanExpr { expr: column(name), text: name.into() }
}

/// `count(1)`, `sum(v)`, `avg(v)`, `min(v)`, `max(v) FILTER (WHERE v > 0)`, `count(DISTINCT v)`.
pub(super) fn aggregates() -> Vec<PlanAggregate> {
    let one: Arc<dyn PhysicalExpr> = Arc::new(Literal::new(ScalarValue::Int64(Some(1))));
    let zero: Arc<dyn PhysicalExpr> = Arc::new(Literal::new(ScalarValue::Float64(Some(0.0))));
    let positive: Arc<dyn PhysicalExpr> = Arc::new(BinaryExpr::new(column("v"), Op::Gt, zero));
    let calls = [
        (count_udaf(), one, false, None),
        (sum_udaf(), column("v"), false, None),
        (avg_udaf(), column("v"), false, None),
        (min_udaf(), column("v"), false, None),
        (max_udaf(), column("v"), false, Some(positive)),
        (count_udaf(), column("v"), true, None),
    ];
    calls
        .into_iter()
        .enumerate()
        .map(|(i, (function, argument, distinct, filter))| {
            let builder = AggregateExprBuilder::new(function, vec![argument]).schema(schema()).alias(format!("a{i}"));
            let call = builder.with_distinct(distinct).build().unwrap();
            PlanAggregate { call: Arc::new(call), filter, text: format!("a{i}") }
        })
        .collect()
}

/// How to drive.
#[derive(Debug, Clone)]
pub(super) struct Drive {
    /// Partition whose turn it is, and how many rows it sends; in a circle.
    pub(super) steps: Vec<(i32, usize)>,
    /// Parallelism, a new one after each restore.
    pub(super) instances: Vec<usize>,
    /// Steps between checkpoints with restore; 0: none.
    pub(super) restore_every: usize,
}

impl Drive {
    /// All rows of each partition at once.
    pub(super) fn straight() -> Self {
        Self { steps: vec![(0, usize::MAX), (1, usize::MAX), (2, usize::MAX)], instances: vec![1], restore_every: 0 }
    }
}

pub(super) fn drives() -> impl Strategy<Value = Drive> {
    let steps = prop::collection::vec((0..3i32, 1..9usize), 1..12);
    let instances = prop_oneof![Just(vec![1]), Just(vec![2]), Just(vec![4]), Just(vec![1, 4, 2])];
    (steps, instances, prop_oneof![Just(0usize), Just(1), Just(3)]).prop_map(|(mut steps, instances, restore_every)| {
        steps.extend([(0, 7), (1, 2), (2, 5)]);
        Drive { steps, instances, restore_every }
    })
}

struct Running {
    locals: Vec<Option<Box<dyn Operator>>>,
    keyed: Vec<Box<dyn Operator>>,
    chain: Vec<(Vec<Vec<RecordBatch>>, Vec<RecordBatch>)>,
}

/// All that a watermark completes.
pub(super) fn fire(operator: &mut dyn Operator, watermark: EventTime, all: &mut Output) {
    let mut firing = Firing::More;
    while firing == Firing::More {
        let mut output = Output::default();
        firing = operator.on_watermark(watermark, &mut output).unwrap();
        all.batches.extend(output.batches);
        all.late.extend(output.late);
    }
}

/// Rows as text (floating-point numbers by their bits) in the order they left, and the late rows, sorted.
pub(super) fn run(node: &Node, rows: &[Row], drive: &Drive) -> (Vec<String>, Vec<LateRow>) {
    let input = schema();
    let selector = super::route(node, &input).unwrap().unwrap();
    let start = |instances: usize| Running {
        locals: (0..3).map(|_| super::local(node, &input).unwrap()).collect(),
        keyed: (0..instances).map(|_| super::keyed(node, &input).unwrap().unwrap()).collect(),
        chain: Vec::new(),
    };
    let mut running = start(drive.instances[0]);
    let mut partitions: Vec<Vec<Row>> =
        (0..3).map(|p| rows.iter().filter(|r| r.partition == p).cloned().collect()).collect();
    let mut marks: Vec<i64> = vec![WATERMARK_MIN; 3];
    let (mut told, mut output, mut late) = (WATERMARK_MIN, Vec::new(), Vec::new());
    let mut restores = 0;
    let exchange =
        |running: &mut Running, batches: Vec<RecordBatch>, output: &mut Vec<String>, late: &mut Vec<LateRow>| {
            let instances = running.keyed.len();
            for batch in batches {
                let hashes = selector.hashes(&batch).unwrap();
                for (instance, operator) in running.keyed.iter_mut().enumerate() {
                    let filter = KeyFilter { instance, instances };
                    let own: Vec<u32> =
                        (0u32..).zip(&hashes).filter(|(_, h)| filter.owns(**h)).map(|(i, _)| i).collect();
                    let mut out = Output::default();
                    if !own.is_empty() {
                        let own = take_record_batch(&batch, &arrow::array::UInt32Array::from(own)).unwrap();
                        operator.process(own, &mut out).unwrap();
                    }
                    output.extend(out.batches.iter().flat_map(text));
                    late.extend(out.late);
                }
            }
        };
    let mut step = 0;
    while partitions.iter().any(|p| !p.is_empty()) || told < WATERMARK_MAX {
        let (partition, size) = drive.steps[step % drive.steps.len()];
        step += 1;
        let p = partition as usize;
        let size = size.min(partitions[p].len());
        let taken: Vec<Row> = partitions[p].drain(..size).collect();
        let after = partitions[p].first().map_or(WATERMARK_MAX, |next| next.watermark);
        let mut out = Output::default();
        if !taken.is_empty() {
            match &mut running.locals[p] {
                Some(local) => local.process(batch(&taken), &mut out).unwrap(),
                None => out.batches.push(batch(&taken)),
            }
        }
        marks[p] = marks[p].max(after);
        if let Some(local) = &mut running.locals[p] {
            fire(local.as_mut(), marks[p], &mut out);
        }
        late.extend(out.late);
        exchange(&mut running, out.batches, &mut output, &mut late);
        let lowest = marks.iter().copied().min().unwrap();
        if lowest > told {
            told = lowest;
            for operator in &mut running.keyed {
                let mut out = Output::default();
                fire(operator.as_mut(), told, &mut out);
                output.extend(out.batches.iter().flat_map(text));
                late.extend(out.late);
            }
        }
        if drive.restore_every > 0 && step % drive.restore_every == 0 {
            restores += 1;
            running = restore(running, restores, start(drive.instances[restores % drive.instances.len()]));
        }
    }
    late.sort();
    (output, late)
}

/// A checkpoint, then a new start from it; every fourth is a full one.
fn restore(mut old: Running, number: usize, mut new: Running) -> Running {
    let how = if number % 4 == 1 { Snapshot::Full } else { Snapshot::Changes };
    if how == Snapshot::Full {
        old.chain.clear();
    }
    let locals = old.locals.iter_mut().map(|l| l.as_mut().map_or(Vec::new(), |l| l.snapshot(how).unwrap())).collect();
    let keyed: Vec<RecordBatch> = old.keyed.iter_mut().flat_map(|o| o.snapshot(how).unwrap()).collect();
    old.chain.push((locals, keyed));
    let instances = new.keyed.len();
    for (locals, keyed) in &old.chain {
        for (local, snapshot) in new.locals.iter_mut().zip(locals) {
            if let Some(local) = local {
                local.restore(snapshot.clone(), &KeyFilter::ALL).unwrap();
            }
        }
        for (instance, operator) in new.keyed.iter_mut().enumerate() {
            operator.restore(keyed.clone(), &KeyFilter { instance, instances }).unwrap();
        }
    }
    new.chain = old.chain;
    new
}

/// Rows of a batch as text.
pub(super) fn text(batch: &RecordBatch) -> Vec<String> {
    let options = arrow::util::display::FormatOptions::default().with_null("NULL");
    let cell = |column: &ArrayRef, row: usize| match column.as_primitive_opt::<Float64Type>() {
        Some(numbers) if numbers.is_valid(row) => format!("{:?}", numbers.value(row)),
        _ => arrow::util::display::ArrayFormatter::try_new(column, &options).unwrap().value(row).to_string(),
    };
    (0..batch.num_rows())
        .map(|row| batch.columns().iter().map(|c| cell(c, row)).collect::<Vec<_>>().join(" "))
        .collect()
}

/// Driven in another way, the same rows must leave; in the same order if by one instance.
pub(super) fn assert_same(node: &Node, rows: &[Row], drive: &Drive) -> Result<(), TestCaseError> {
    let (mut expected, expected_late) = run(node, rows, &Drive::straight());
    let (mut found, found_late) = run(node, rows, drive);
    if drive.instances != [1] {
        expected.sort();
        found.sort();
    }
    prop_assert_eq!(expected, found);
    prop_assert_eq!(expected_late, found_late);
    Ok(())
}
