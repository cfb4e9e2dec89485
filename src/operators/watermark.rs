//! What a source task does to rows before anything else sees them: declared columns, watermark, origin.
//!
//! A partition's watermark is the highest value of the `WATERMARK FOR` expression among its earlier
//! rows, per record; it never falls. Each row is stamped with the watermark *before* it, so that later
//! operators judge lateness by the partition's own order. Rows that cannot take part come out as
//! [`Casualty`]s and harm neither their neighbours nor the watermark.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{Field, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;

use super::columns::{evaluate, event_millis};
use super::windows::constant_time;
use crate::error::{Error, ErrorKind, Result, Span};
use crate::plan;
use crate::stream::{PartitionId, with_origin};
use crate::time::{EventTime, WATERMARK_MIN, length_text, moment_text};

/// Event times beyond this many ms from 1970 (73 million years) are refused: window arithmetic stays in range.
const EVENT_TIME_MAX: i64 = i64::MAX / 4;

/// Code of a row whose declared columns cannot be computed.
pub const COMPUTED_COLUMN: &str = "COMPUTED_COLUMN";
/// Code of a row without event time.
pub const NULL_EVENT_TIME: &str = "NULL_EVENT_TIME";
/// Code of a row whose event time no calendar knows.
pub const EVENT_TIME_RANGE: &str = "EVENT_TIME_RANGE";
/// Code of a row whose event time is too far ahead of its record's own time stamp.
pub const FUTURE_EVENT_TIME: &str = "FUTURE_EVENT_TIME";

/// Rows on their way to the first operator, and those that do not get there.
#[derive(Debug)]
pub struct Assigned {
    /// Declared columns, then origin columns. May be empty.
    pub batch: RecordBatch,
    /// For the ledger, in the order of offsets.
    pub casualties: Vec<Casualty>,
}

/// A row that does not take part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Casualty {
    /// Offset in the partition.
    pub offset: i64,
    /// What the ledger counts it as.
    pub kind: CasualtyKind,
    /// Stable name of the reason, upper case.
    pub code: &'static str,
    /// The reason, for people.
    pub message: String,
    /// The column at fault.
    pub field: Option<String>,
    /// The expression at fault, in the script.
    pub place: Option<Span>,
    /// Its record's own time stamp in ms, where the system has one.
    pub record_time: Option<i64>,
    /// Its event time in ms, if there is one.
    pub event_time: Option<i64>,
    /// The partition's watermark just before it.
    pub watermark: EventTime,
}

/// Sorts of [`Casualty`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CasualtyKind {
    /// The time stamp is too far in the future.
    Future,
    /// The row cannot be used.
    Bad,
}

struct Rule {
    rowtime: usize,
    expr: Arc<dyn PhysicalExpr>,
    max_future_skew_ms: Option<i64>,
    /// Watermarks up to this are not told.
    above: EventTime,
}

/// Watermark and declared columns of one partition.
pub struct WatermarkAssigner {
    columns: Vec<Arc<dyn PhysicalExpr>>,
    declared: SchemaRef,
    schema: SchemaRef,
    rule: Option<Rule>,
    partition: PartitionId,
    /// Place of the declared column that gets the time at which rows are taken.
    proctime: Option<usize>,
    /// That time is event time.
    by_the_clock: bool,

    watermark: EventTime,
    /// The time at which rows are taken, ms since 1970.
    now: EventTime,
}

/// The rows of a batch that could be computed.
struct Computed {
    /// Their places in the batch, rising.
    places: Vec<usize>,
    /// Declared columns.
    declared: RecordBatch,
    /// Value of the watermark expression, if the table has one.
    marks: Option<Int64Array>,
}

/// A row whose declared columns or watermark cannot be computed.
struct Failed {
    /// Its place in the batch.
    place: usize,
    /// The first column that fails.
    field: Option<String>,
    error: Error,
}

/// A stretch of consecutive rows of which every one could be computed.
type Stretch = (std::ops::Range<usize>, RecordBatch, Option<ArrayRef>);

impl WatermarkAssigner {
    /// `watermark` is the partition's stored watermark; for a new partition the source's present one, or
    /// `i64::MIN`.
    ///
    /// # Errors
    /// `Internal` if the plan does not fit the table.
    pub fn new(source: &plan::Source, partition: PartitionId, watermark: EventTime) -> Result<Self> {
        let declared = source.table.schema();
        let rule = source.watermark.as_ref().map(|w| Rule {
            rowtime: w.rowtime,
            expr: Arc::clone(&w.expr.expr),
            max_future_skew_ms: w.max_future_skew.map(millis),
            above: source.table.watermarks_above(),
        });
        let rowtime_missing = rule.as_ref().is_some_and(|r| r.rowtime >= declared.fields().len());
        if source.columns.len() != declared.fields().len() || rowtime_missing {
            return Err(Error::internal(format!("the columns of table \"{}\" do not fit its plan", source.table.name)));
        }
        Ok(Self {
            columns: source.columns.iter().map(|c| Arc::clone(&c.expr)).collect(),
            schema: with_origin(&declared),
            declared,
            rule,
            partition,
            proctime: source.proctime,
            by_the_clock: source.goes_by_the_clock(),
            watermark,
            now: 0,
        })
    }

    /// The highest watermark among the rows so far.
    pub fn watermark(&self) -> EventTime {
        self.watermark
    }

    /// Lifts the watermark to what the source has told meanwhile (the partition was idle, or is new).
    pub fn raise(&mut self, floor: EventTime) {
        self.watermark = self.watermark.max(floor);
    }

    /// Tells the time of the machine: rows taken from now on have it in their `PROCTIME()` column, and where that is
    /// event time, all before it has passed. It never goes back.
    pub fn at(&mut self, now: EventTime) {
        self.now = self.now.max(now);
        if self.by_the_clock {
            self.now = self.now.max(self.watermark.saturating_add(1));
            self.watermark = self.watermark.max(self.now.saturating_sub(1));
        }
    }

    /// Takes rows of the connector (`table.source_schema()`) with the offset of each, and the time stamp
    /// (ms) of its record where there is one.
    ///
    /// # Errors
    /// `Internal` for a broken invariant, `Sql` for an expression that cannot be computed for any row.
    /// What is wrong with single rows is a casualty.
    pub fn assign(
        &mut self,
        rows: &RecordBatch,
        offsets: &Int64Array,
        timestamps: Option<&Int64Array>,
    ) -> Result<Assigned> {
        if offsets.len() != rows.num_rows() || timestamps.is_some_and(|t| t.len() != rows.num_rows()) {
            return Err(Error::internal("rows, offsets and time stamps of a source differ in number"));
        }
        let mut failed = Vec::new();
        let computed = self.compute(rows, &mut failed)?;
        let (keep, watermarks, casualties) = self.judge(&computed, failed, offsets, timestamps)?;
        let mut columns = computed.declared.columns().to_vec();
        let offsets = computed.places.iter().map(|&place| offsets.value(place));
        columns.push(Arc::new(Int32Array::from_value(self.partition.0, keep.len())));
        columns.push(Arc::new(Int64Array::from_iter_values(offsets)));
        columns.push(Arc::new(Int64Array::from(watermarks)));
        let mut batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        if keep.contains(&false) {
            batch = filter_record_batch(&batch, &BooleanArray::from(keep))?;
        }
        Ok(Assigned { batch, casualties })
    }

    /// Walks over the rows in order: which are kept, the watermark before each, and the casualties.
    fn judge(
        &mut self,
        computed: &Computed,
        failed: Vec<Failed>,
        offsets: &Int64Array,
        timestamps: Option<&Int64Array>,
    ) -> Result<(Vec<bool>, Vec<i64>, Vec<Casualty>)> {
        let count = computed.places.len();
        let (mut keep, mut watermarks) = (vec![true; count], vec![WATERMARK_MIN; count]);
        let mut casualties = Vec::new();
        let mut failed = failed.into_iter().peekable();
        let stamp = |place| timestamps.and_then(|t| t.is_valid(place).then(|| t.value(place)));
        let judged = match (&self.rule, &computed.marks) {
            (Some(rule), Some(marks)) => Some((rule, event_millis(computed.declared.column(rule.rowtime))?, marks)),
            _ => None,
        };
        let mut watermark = self.watermark;
        for (row, &place) in computed.places.iter().enumerate() {
            while let Some(failed) = failed.next_if(|failed| failed.place < place) {
                let record_time = stamp(failed.place);
                casualties.push(failed.into_casualty(offsets, record_time, watermark));
            }
            let Some((rule, times, marks)) = &judged else { continue };
            watermarks[row] = watermark;
            let time = times.is_valid(row).then(|| times.value(row));
            let record_time = stamp(place);
            match rule.refuse(time, record_time) {
                None if marks.is_valid(row) && marks.value(row) > rule.above => {
                    watermark = watermark.max(marks.value(row).min(EVENT_TIME_MAX));
                }
                None => {}
                Some((kind, code, message)) => {
                    keep[row] = false;
                    casualties.push(Casualty {
                        offset: offsets.value(place),
                        kind,
                        code,
                        message,
                        field: Some(self.declared.field(rule.rowtime).name().clone()),
                        place: None,
                        record_time,
                        event_time: time,
                        watermark,
                    });
                }
            }
        }
        casualties.extend(failed.map(|failed| {
            let record_time = stamp(failed.place);
            failed.into_casualty(offsets, record_time, watermark)
        }));
        self.watermark = watermark;
        Ok((keep, watermarks, casualties))
    }

    /// Computes declared columns and watermarks of all rows, leaving out those that fail.
    fn compute(&self, rows: &RecordBatch, failed: &mut Vec<Failed>) -> Result<Computed> {
        let mut stretches = Vec::new();
        self.compute_stretch(rows, 0..rows.num_rows(), &mut stretches, failed)?;
        let marks = match &self.rule {
            None => None,
            Some(_) => {
                let pieces: Vec<&dyn Array> = stretches.iter().filter_map(|(_, _, m)| m.as_deref()).collect();
                match pieces.is_empty() {
                    true => Some(Int64Array::from(Vec::<i64>::new())),
                    false => Some(event_millis(&arrow::compute::concat(&pieces)?)?),
                }
            }
        };
        let declared = match stretches.as_slice() {
            [(_, only, _)] => only.clone(),
            _ => concat_batches(&self.declared, stretches.iter().map(|(_, batch, _)| batch))?,
        };
        Ok(Computed { places: stretches.into_iter().flat_map(|(range, _, _)| range).collect(), declared, marks })
    }

    /// Halves a stretch that fails until the guilty rows stand alone.
    fn compute_stretch(
        &self,
        rows: &RecordBatch,
        range: std::ops::Range<usize>,
        stretches: &mut Vec<Stretch>,
        failed: &mut Vec<Failed>,
    ) -> Result<()> {
        let whole = range.len() == rows.num_rows();
        let part = if whole { rows.clone() } else { rows.slice(range.start, range.len()) };
        match self.evaluate(&part) {
            Ok((declared, mark)) => stretches.push((range, declared, mark)),
            Err(error) if error.kind() != ErrorKind::Data => return Err(error),
            Err(error) if range.len() <= 1 => {
                failed.push(Failed { place: range.start, field: self.at_fault(&part), error });
            }
            Err(_) => {
                let middle = range.start + range.len() / 2;
                self.compute_stretch(rows, range.start..middle, stretches, failed)?;
                self.compute_stretch(rows, middle..range.end, stretches, failed)?;
            }
        }
        Ok(())
    }

    fn evaluate(&self, rows: &RecordBatch) -> Result<(RecordBatch, Option<ArrayRef>)> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for (place, (expr, field)) in self.columns.iter().zip(self.declared.fields()).enumerate() {
            columns.push(match self.proctime == Some(place) {
                true => constant_time(self.now, field.data_type(), rows.num_rows())?,
                false => declared_column(expr, field, rows)?,
            });
        }
        let declared = RecordBatch::try_new(Arc::clone(&self.declared), columns)?;
        let mark = match &self.rule {
            Some(rule) => Some(evaluate(&rule.expr, &declared)?),
            None => None,
        };
        Ok((declared, mark))
    }

    /// The column for which a row fails; if the watermark does, that is the event time.
    fn at_fault(&self, row: &RecordBatch) -> Option<String> {
        let mut columns = self.columns.iter().zip(self.declared.fields());
        let column = columns.find(|(expr, field)| declared_column(expr, field, row).is_err()).map(|(_, field)| field);
        let rowtime = || self.rule.as_ref().and_then(|rule| self.declared.fields().get(rule.rowtime));
        column.or_else(rowtime).map(|field| field.name().clone())
    }
}

fn declared_column(expr: &Arc<dyn PhysicalExpr>, field: &Field, rows: &RecordBatch) -> Result<ArrayRef> {
    let column = evaluate(expr, rows)?;
    if !field.is_nullable() && column.null_count() > 0 {
        return Err(Error::data(format!("column \"{}\" is NOT NULL, but its value is NULL", field.name())));
    }
    Ok(column)
}

impl Rule {
    /// Why a row with this event time cannot take part.
    fn refuse(&self, time: Option<i64>, record: Option<i64>) -> Option<(CasualtyKind, &'static str, String)> {
        let Some(time) = time else {
            return Some((CasualtyKind::Bad, NULL_EVENT_TIME, "the event time is NULL".into()));
        };
        if !(-EVENT_TIME_MAX..=EVENT_TIME_MAX).contains(&time) {
            let message = format!("the event time {} is too far from 1970", moment_text(time));
            return Some((CasualtyKind::Bad, EVENT_TIME_RANGE, message));
        }
        let (record, skew) = (record?, self.max_future_skew_ms?);
        (time > record.saturating_add(skew)).then(|| {
            let message = format!(
                "the event time {} is more than {} ahead of the record's time stamp {}",
                moment_text(time),
                length_text(skew),
                moment_text(record)
            );
            (CasualtyKind::Future, FUTURE_EVENT_TIME, message)
        })
    }
}

impl Failed {
    fn into_casualty(self, offsets: &Int64Array, record_time: Option<i64>, watermark: EventTime) -> Casualty {
        Casualty {
            offset: offsets.value(self.place),
            kind: CasualtyKind::Bad,
            code: COMPUTED_COLUMN,
            message: self.error.to_string(),
            field: self.field,
            place: self.error.span(),
            record_time,
            event_time: None,
            watermark,
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{PlanExpr, WatermarkSpec};
    use crate::stream::Origin;
    use crate::table::{ColumnKind, ColumnSpec, OptionValue, Options, TableSpec};
    use arrow::array::{AsArray, TimestampMillisecondArray};
    use arrow::datatypes::{DataType, Int64Type, TimeUnit};
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::Operator as Op;
    use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};

    const P: PartitionId = PartitionId(5);

    fn spec(name: &str, data_type: DataType, kind: ColumnKind) -> ColumnSpec {
        ColumnSpec { name: name.into(), data_type, sql_type: String::new(), nullable: true, kind }
    }

    /// `ts TIMESTAMP(3), v BIGINT, share AS 100 / v, WATERMARK FOR ts AS ts - INTERVAL '10' MILLISECOND`.
    fn source(with_watermark: bool) -> plan::Source {
        let millis = DataType::Timestamp(TimeUnit::Millisecond, None);
        let kafka = OptionValue { value: "kafka".into(), span: None };
        let table = TableSpec {
            name: "t".into(),
            columns: vec![
                spec("ts", millis, ColumnKind::Physical),
                spec("v", DataType::Int64, ColumnKind::Physical),
                spec("share", DataType::Int64, ColumnKind::Computed),
            ],
            primary_key: vec![],
            partitioned_by: vec![],
            options: Options([("connector".to_owned(), kafka)].into()),
            span: None,
        };
        let plan = |expr: Arc<dyn PhysicalExpr>| PlanExpr { expr, text: String::new() };
        let column = |name: &str, at| Arc::new(Column::new(name, at)) as Arc<dyn PhysicalExpr>;
        let literal = |value| Arc::new(Literal::new(value)) as Arc<dyn PhysicalExpr>;
        let share = BinaryExpr::new(literal(ScalarValue::Int64(Some(100))), Op::Divide, column("v", 1));
        let ten = literal(ScalarValue::new_interval_mdn(0, 0, 10_000_000));
        let watermark = WatermarkSpec {
            rowtime: 0,
            expr: plan(Arc::new(BinaryExpr::new(column("ts", 0), Op::Minus, ten))),
            idle_timeout: None,
            max_future_skew: Some(Duration::from_millis(1000)),
        };
        plan::Source {
            proctime: None,
            table: Arc::new(table),
            columns: vec![plan(column("ts", 0)), plan(column("v", 1)), plan(Arc::new(share))],
            watermark: with_watermark.then_some(watermark),
        }
    }

    fn rows(rows: &[(Option<i64>, i64)]) -> RecordBatch {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMillisecondArray::from_iter(rows.iter().map(|r| r.0))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.1))),
        ];
        RecordBatch::try_new(source(true).table.source_schema(), columns).unwrap()
    }

    fn offsets(from: i64, count: usize) -> Int64Array {
        Int64Array::from_iter_values(from..from + count as i64)
    }

    #[test]
    fn the_clock_of_a_table_goes_on_and_never_back() -> Result<()> {
        let mut by_the_clock = source(true);
        by_the_clock.proctime = by_the_clock.watermark.as_ref().map(|watermark| watermark.rowtime);
        let mut assigner = WatermarkAssigner::new(&by_the_clock, PartitionId(0), 100)?;
        for (now, watermark) in [(500, 499), (300, 499), (501, 500)] {
            assigner.at(now);
            assert_eq!(assigner.watermark(), watermark, "at {now}");
        }
        let mut event_time = WatermarkAssigner::new(&source(true), PartitionId(0), 100)?;
        event_time.at(500);
        assert_eq!(event_time.watermark(), 100, "event time does not follow the clock");
        Ok(())
    }

    #[test]
    fn watermarks_of_files_begin_after_1970() {
        let mut file = source(true);
        Arc::make_mut(&mut file.table).options = Options::default();
        let mut assigner = WatermarkAssigner::new(&file, P, WATERMARK_MIN).unwrap();
        for (time, watermark) in [(-50, WATERMARK_MIN), (10, WATERMARK_MIN), (11, 1), (-50, 1)] {
            assigner.assign(&rows(&[(Some(time), 1)]), &offsets(0, 1), None).unwrap();
            assert_eq!(assigner.watermark(), watermark, "after {time}");
        }
    }

    #[test]
    fn each_row_bears_the_watermark_before_it() {
        let mut assigner = WatermarkAssigner::new(&source(true), P, WATERMARK_MIN).unwrap();
        let input = [(Some(-50), 1), (Some(100), 1), (Some(40), 1), (Some(120), 1)];
        let all = assigner.assign(&rows(&input), &offsets(7, 4), None).unwrap();
        let origin = Origin::of(&all.batch).unwrap();
        assert_eq!(origin.watermark.values(), &[WATERMARK_MIN, -60, 90, 90]);
        assert_eq!((origin.offset.values().as_ref(), origin.partition.value(3)), ([7, 8, 9, 10].as_slice(), P.0));
        assert_eq!(assigner.watermark(), 110);
        // Row by row: the same.
        let mut single = WatermarkAssigner::new(&source(true), P, WATERMARK_MIN).unwrap();
        for (i, row) in input.iter().enumerate() {
            let one = single.assign(&rows(&[*row]), &offsets(7 + i as i64, 1), None).unwrap();
            assert_eq!(one.batch, all.batch.slice(i, 1));
        }
        assigner.raise(5);
        assert_eq!(assigner.watermark(), 110, "never back");
        assigner.raise(500);
        assert_eq!(assigner.watermark(), 500);
    }

    #[test]
    fn casualties_harm_neither_neighbours_nor_the_watermark() {
        let mut assigner = WatermarkAssigner::new(&source(true), P, WATERMARK_MIN).unwrap();
        let input = [
            (Some(100), 5),
            (Some(101), 0),
            (None, 1),
            (Some(9_000), 1),
            (Some(1_150), 4),
            (Some(i64::MAX / 2), 0),
            (Some(7), 0),
        ];
        let stamps = Int64Array::from(vec![Some(100), Some(100), Some(100), Some(100), Some(150), None, None]);
        let out = assigner.assign(&rows(&input), &offsets(0, 7), Some(&stamps)).unwrap();
        let found = out.casualties.iter();
        let found: Vec<_> =
            found.map(|c| (c.offset, c.code, c.field.as_deref().unwrap(), c.record_time, c.watermark)).collect();
        let expected = [
            (1, COMPUTED_COLUMN, "share", Some(100), 90),
            (2, NULL_EVENT_TIME, "ts", Some(100), 90),
            (3, FUTURE_EVENT_TIME, "ts", Some(100), 90),
            (5, COMPUTED_COLUMN, "share", None, 1140),
            (6, COMPUTED_COLUMN, "share", None, 1140),
        ];
        assert_eq!(found, expected);
        assert_eq!(out.casualties[2].kind, CasualtyKind::Future);
        assert_eq!(out.casualties[2].event_time, Some(9_000));
        assert_eq!(out.batch.column(2).as_primitive::<Int64Type>().values(), &[20, 25]);
        assert_eq!(assigner.watermark(), 1140, "exactly the allowed skew moves it");
    }

    #[test]
    fn a_time_beyond_all_calendars_never_moves_the_watermark() {
        let mut source = source(true);
        let watermark = source.watermark.as_mut().unwrap();
        watermark.expr.expr = Arc::new(Column::new("ts", 0));
        let mut assigner = WatermarkAssigner::new(&source, P, WATERMARK_MIN).unwrap();
        let out = assigner.assign(&rows(&[(Some(4), 1), (Some(i64::MAX / 2), 1)]), &offsets(0, 2), None).unwrap();
        assert_eq!(out.casualties[0].code, EVENT_TIME_RANGE);
        assert_eq!((out.batch.num_rows(), assigner.watermark()), (1, 4));
    }

    #[test]
    fn a_batch_of_nothing_but_casualties_is_empty() {
        let mut assigner = WatermarkAssigner::new(&source(true), P, 3).unwrap();
        let out = assigner.assign(&rows(&[(Some(1), 0)]), &offsets(0, 1), None).unwrap();
        assert_eq!((out.batch.num_rows(), out.casualties.len(), assigner.watermark()), (0, 1, 3));
        assert_eq!(assigner.assign(&rows(&[]), &offsets(0, 0), None).unwrap().batch.num_rows(), 0);
    }

    #[test]
    fn tables_without_watermark_know_only_computed_columns() {
        let mut assigner = WatermarkAssigner::new(&source(false), P, WATERMARK_MIN).unwrap();
        let out = assigner.assign(&rows(&[(None, 1), (Some(5), 0), (Some(9), 2)]), &offsets(0, 3), None).unwrap();
        assert_eq!(Origin::of(&out.batch).unwrap().watermark.values(), &[WATERMARK_MIN; 2]);
        assert_eq!(out.casualties.iter().map(|c| c.offset).collect::<Vec<_>>(), [1]);
    }
}
