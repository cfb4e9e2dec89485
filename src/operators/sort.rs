//! `ORDER BY` event time: rows wait until the watermark has passed them and leave in the order of their time, rows of
//! one moment in the order of the further keys, then as they came.
//!
//! As in Flink a row is late only if it is not newer than the last one that has left; one behind the watermark that is
//! newer leaves when the watermark next moves. What has left is judged by the watermark that was read with the row, per
//! source partition ([`Fired`]), so that it is the same for every interleaving.
//!
//! # Source
//! Flink `RowTimeSortOperator`.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{SortOptions, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::physical_expr::PhysicalExpr;

use super::columns::{evaluate_all, int32, int64, misfit, row_times};
use super::lateness::{Fired, fires_at};
use super::waiting::Waiting;
use super::windows::{made_origin, progress, take_progress};
use super::{Firing, KeyFilter, Operator, Output, Snapshot};
use crate::error::{Error, Result};
use crate::limits::BATCH_ROWS_MAX;
use crate::plan::Sort;
use crate::stream::{LateRow, Origin, PartitionId, user_columns, with_origin};
use crate::time::{EventTime, WATERMARK_MIN};

const NAME: &str = "sort";

/// Schema of the part of a snapshot that says which row of each partition was the last to leave.
static FIRED: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("$fired_partition", DataType::Int32, false),
        Field::new("$fired_time", DataType::Int64, false),
    ]))
});

/// Rows that wait for their turn.
pub struct SortOperator {
    rowtime: usize,
    order: Vec<Arc<dyn PhysicalExpr>>,
    /// For `order`; `None` without one: the converter makes no rows of no columns.
    converter: Option<RowConverter>,
    /// Of the input, with origin columns.
    input: SchemaRef,
    /// Of the output, with origin columns.
    schema: SchemaRef,

    fired: BTreeMap<i32, Fired>,
    waiting: Waiting,
    /// Rows accepted since the last snapshot; `None` until there is one.
    unsaved: Option<Vec<RecordBatch>>,
    watermark: EventTime,
}

impl SortOperator {
    /// `input` and `schema` are those of the node's input and of the node, without origin columns.
    ///
    /// # Errors
    /// `Internal` if plan and schemas do not fit.
    pub fn new(plan: &Sort, input: &SchemaRef, schema: &SchemaRef) -> Result<Self> {
        let fields = plan.order.iter().map(|key| {
            let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
            Ok(SortField::new_with_options(key.expr.expr.data_type(input)?, options))
        });
        let fields = fields.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            rowtime: plan.rowtime,
            order: plan.order.iter().map(|key| Arc::clone(&key.expr.expr)).collect(),
            converter: if fields.is_empty() { None } else { Some(RowConverter::new(fields)?) },
            input: with_origin(input),
            schema: with_origin(schema),
            fired: BTreeMap::new(),
            waiting: Waiting::new(Some(plan.rowtime)),
            unsaved: None,
            watermark: WATERMARK_MIN,
        })
    }

    /// The rows in time; the others go to `output`.
    fn in_time(&mut self, batch: RecordBatch, output: &mut Output) -> Result<RecordBatch> {
        let times = row_times(&batch, self.rowtime)?;
        let origin = Origin::of(&batch)?;
        let mut accepted: Vec<u32> = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let (partition, time, watermark) =
                (origin.partition.value(row), times.value(row), origin.watermark.value(row));
            if self.fired.entry(partition).or_insert_with(|| Fired::of_order(partition)).accept(time, watermark, None) {
                if fires_at(time, watermark) <= self.watermark {
                    let passed = self.watermark;
                    return Err(Error::internal(format!("a row of {time} ms came after the watermark {passed} ms")));
                }
                accepted.push(row as u32);
                continue;
            }
            output.late.push(LateRow {
                partition: PartitionId(partition),
                offset: origin.offset.value(row),
                event_time: time,
                watermark,
                operator: NAME.into(),
            });
        }
        match accepted.len() == batch.num_rows() {
            true => Ok(batch),
            false => Ok(take_record_batch(&batch, &UInt32Array::from(accepted))?),
        }
    }

    /// Rows that leave together, by their turns, with those of one moment in the order of the keys.
    fn sorted(&self, rows: RecordBatch) -> Result<RecordBatch> {
        let Some(converter) = &self.converter else { return Ok(rows) };
        let turns = self.waiting.turns(&rows)?;
        let keys = converter.convert_columns(&evaluate_all(&self.order, &rows)?)?;
        let mut places: Vec<u32> = (0..rows.num_rows() as u32).collect();
        for moment in places.chunk_by_mut(|a, b| {
            let [a, b] = [turns[*a as usize], turns[*b as usize]];
            (a.0, a.1) == (b.0, b.1)
        }) {
            moment.sort_by(|a, b| keys.row(*a as usize).cmp(&keys.row(*b as usize)));
        }
        Ok(take_record_batch(&rows, &UInt32Array::from(places))?)
    }

    /// The rows with the columns of the node. No operator finds them late again.
    fn made(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = rows.columns()[..user_columns(rows)?].to_vec();
        let ends = self.waiting.turns(rows)?.into_iter().map(|turn| turn.0.saturating_add(1));
        columns.extend(made_origin(&columns, ends, rows.num_rows())?);
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// Puts the rows of a snapshot in their places.
    fn read(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_columns() != self.input.fields().len() {
            return Err(misfit(batch));
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.input), batch.columns().to_vec())?;
        for (due, time, partition, _) in self.waiting.turns(&batch)? {
            self.fired.entry(partition).or_insert_with(|| Fired::of_order(partition)).leaves(due, time);
        }
        self.waiting.push(batch)
    }
}

impl Operator for SortOperator {
    fn name(&self) -> &str {
        NAME
    }

    fn process(&mut self, batch: RecordBatch, output: &mut Output) -> Result<()> {
        let batch = self.in_time(batch, output)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.push(batch.clone());
        }
        self.waiting.push(batch)
    }

    fn on_watermark(&mut self, watermark: EventTime, output: &mut Output) -> Result<Firing> {
        if let Some(ready) = self.waiting.take(watermark)? {
            let made = self.made(&self.sorted(ready)?)?;
            let rows = made.num_rows();
            let pieces = (0..rows).step_by(BATCH_ROWS_MAX).map(|at| made.slice(at, BATCH_ROWS_MAX.min(rows - at)));
            output.batches.extend(pieces);
        }
        self.watermark = self.watermark.max(watermark);
        Ok(Firing::Done)
    }

    fn snapshot(&mut self, how: Snapshot) -> Result<Vec<RecordBatch>> {
        let unsaved = self.unsaved.replace(Vec::new());
        let mut batches = match (how, unsaved) {
            (Snapshot::Changes, Some(unsaved)) => unsaved,
            _ => self.waiting.batches().cloned().collect(),
        };
        // no row still to come was read at a lower watermark than this operator's, the lowest of all partitions
        self.fired.values_mut().for_each(|fired| fired.advance(self.watermark));
        let partitions = Int32Array::from_iter_values(self.fired.keys().copied());
        let times = Int64Array::from_iter_values(self.fired.values().map(|fired| fired.last));
        batches.push(RecordBatch::try_new(Arc::clone(&FIRED), vec![Arc::new(partitions), Arc::new(times)])?);
        batches.push(progress(self.watermark, 0)?);
        Ok(batches)
    }

    /// There is one instance: every key is its own.
    fn restore(&mut self, mut snapshot: Vec<RecordBatch>, _owns: &KeyFilter) -> Result<()> {
        let watermark = take_progress(&mut snapshot)?;
        for batch in snapshot.extract_if(.., |batch| batch.schema_ref().field(0).name() == FIRED.field(0).name()) {
            for (partition, last) in int32(&batch, 0)?.values().iter().zip(int64(&batch, 1)?.values()) {
                let fired = self.fired.entry(*partition).or_insert_with(|| Fired::of_order(*partition));
                fired.last = fired.last.max(*last);
            }
        }
        for batch in snapshot {
            self.read(&batch)?;
        }
        self.watermark = watermark.map_or(self.watermark, |watermark| watermark.max(self.watermark));
        // what an older snapshot of the chain had waiting has left since
        self.waiting.take(self.watermark)?;
        self.unsaved = Some(Vec::new());
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        let ahead: usize = self.fired.values().map(|fired| fired.ahead.len() * size_of::<(i64, i64)>()).sum();
        self.waiting.bytes() + ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::testing::{Drive, Row, assert_same, drives, plan_expr, rows, run, schema, stamp, text};
    use crate::plan::{Node, NodeKind, SortKey};
    use proptest::prelude::*;

    fn node(keys: &[(&str, bool)]) -> Node {
        let key = |(name, descending): &(&str, bool)| SortKey {
            expr: plan_expr(name),
            descending: *descending,
            nulls_first: !descending,
        };
        let order = keys.iter().map(key).collect();
        Node { kind: NodeKind::Sort(Sort { rowtime: 0, order }), inputs: vec![0], schema: schema() }
    }

    /// The seconds and keys of what leaves, and the offsets of late rows.
    fn check(delay: i64, keys: &[(&str, bool)], rows: &[(i64, &'static str)]) -> (Vec<String>, Vec<i64>) {
        let rows: Vec<_> = rows.iter().map(|(time, key)| (0, *time, Some(*key), None)).collect();
        let (out, late) = run(&node(keys), &stamp(&rows, delay), &Drive::straight());
        let short = |line: &String| {
            let columns: Vec<&str> = line.split(' ').collect();
            format!("{} {}", columns[0].rsplit_once('.').map_or("000", |(_, ms)| ms), columns[1])
        };
        (out.iter().map(short).collect(), late.iter().map(|row| row.offset).collect())
    }

    #[test]
    fn a_row_behind_the_watermark_is_taken_if_none_newer_has_left() {
        // 300 takes the watermark to 200: 100 leaves; 150 is behind it, but newer than what has left; 90 is not
        let rows = [(100, "a"), (300, "b"), (150, "c"), (90, "d"), (160, "e"), (400, "f")];
        assert_eq!(
            check(100, &[], &rows),
            (vec!["100 a".into(), "150 c".into(), "160 e".into(), "300 b".into(), "400 f".into()], vec![3])
        );
    }

    #[test]
    fn rows_of_one_moment_stand_in_the_order_of_the_keys_then_as_they_came() {
        let rows = [(100, "b"), (100, "a"), (50, "z"), (100, "b"), (100, "c")];
        assert_eq!(check(1000, &[("k", true)], &rows).0, ["050 z", "100 c", "100 b", "100 b", "100 a"]);
        assert_eq!(check(1000, &[], &rows).0, ["050 z", "100 b", "100 a", "100 b", "100 c"]);
    }

    /// By definition: each partition goes by its own watermarks; what is left is in the order of (turn, time, key).
    fn naive(rows: &[Row]) -> (Vec<i64>, usize) {
        let (mut kept, mut late) = (Vec::<(i64, i64, usize)>::new(), 0);
        for (i, row) in rows.iter().enumerate() {
            let before = |(turn, time, _): &(i64, i64, usize)| *turn <= row.watermark && *time >= row.time;
            if kept.iter().filter(|(.., at)| rows[*at].partition == row.partition).any(before) {
                late += 1;
            } else {
                kept.push((row.time.max(row.watermark.saturating_add(1)), row.time, i));
            }
        }
        kept.sort_unstable();
        (kept.into_iter().map(|(_, time, _)| time).collect(), late)
    }

    proptest! {
        #[test]
        fn rows_are_those_of_the_definition_however_they_come(rows in rows(true), drive in drives()) {
            let node = node(&[("v", false)]);
            assert_same(&node, &rows, &Drive { instances: vec![1], ..drive })?;
            let straight = run(&node, &rows, &Drive::straight());
            let (times, late) = naive(&rows);
            prop_assert_eq!(straight.1.len(), late);
            let instants: Vec<String> = straight.0.iter().map(|line| line.split(' ').next().unwrap_or_default().into()).collect();
            let expected: Vec<String> = times
                .iter()
                .map(|time| text(&crate::operators::testing::batch(&stamp(&[(0, *time, None, None)], 0)))[0].split(' ').next().unwrap_or_default().into())
                .collect();
            prop_assert_eq!(instants, expected);
        }
    }
}
