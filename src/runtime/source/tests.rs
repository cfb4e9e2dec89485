//! A partition whose reader is a list of batches: what the task counts, and what it refuses.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator as Op;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use futures::future::BoxFuture;

use super::*;
use crate::connectors::{BadRecord, BadRecords};
use crate::error::ErrorKind;
use crate::plan;
use crate::runtime::fragment::Step;
use crate::stream::PartitionId;
use crate::table::{ColumnKind, ColumnSpec, Options, TableSpec};
use crate::time::{WATERMARK_MIN, system_clock};

/// `Err`: a gap.
struct Batches(VecDeque<Result<SourceBatch, Gap>>);

impl SplitReader for Batches {
    fn next(&mut self) -> BoxFuture<'_, Result<Fetched>> {
        Box::pin(async {
            Ok(match self.0.pop_front() {
                Some(Ok(batch)) => Fetched::Rows(Box::new(batch)),
                Some(Err(gap)) => Fetched::Gap(gap),
                None => Fetched::End,
            })
        })
    }

    fn next_offset(&self) -> i64 {
        0
    }

    fn lag(&self) -> Option<u64> {
        None
    }
}

fn table() -> TableSpec {
    let column = |name: &str| ColumnSpec {
        name: name.into(),
        data_type: DataType::Int64,
        sql_type: "BIGINT".into(),
        nullable: true,
        kind: ColumnKind::Physical,
    };
    TableSpec {
        name: "t".into(),
        columns: vec![column("n")],
        primary_key: vec![],
        partitioned_by: vec![],
        options: Options::default(),
        span: None,
    }
}

fn source() -> plan::Source {
    let expr = Arc::new(Column::new("n", 0));
    plan::Source {
        table: Arc::new(table()),
        columns: vec![plan::PlanExpr { expr, text: "n".into() }],
        watermark: None,
        proctime: None,
    }
}

/// Rows at these offsets, of `read` records in all.
fn batch(offsets: &[i64], read: u64, next_offset: i64) -> SourceBatch {
    let numbers = Int64Array::from(offsets.to_vec());
    SourceBatch {
        rows: RecordBatch::try_new(table().source_schema(), vec![Arc::new(numbers.clone())]).unwrap(),
        offsets: numbers,
        timestamps: None,
        bad: Vec::new(),
        tombstones: 0,
        read,
        next_offset,
    }
}

/// Reads the batches to their end and one epoch; returns the report of it.
async fn run(source: plan::Source, batches: Vec<SourceBatch>) -> Result<TaskReport> {
    run_with(source, BadRecords::Ledger, batches).await
}

/// A task about to run, and what it is led by.
struct Started {
    task: SourceTask,
    barrier: watch::Sender<Option<Barrier>>,
    reported: mpsc::Receiver<TaskReport>,
    unfinished: Arc<AtomicUsize>,
    job_metrics: Arc<Metrics>,
}

fn start(
    source: &plan::Source,
    bad_records: BadRecords,
    rows_max: Option<u64>,
    batches: Vec<SourceBatch>,
) -> Result<Started> {
    let position = SourcePosition {
        table: "t".into(),
        topic: "topic".into(),
        partition: 3,
        id: PartitionId(3),
        next_offset: 0,
        watermark: WATERMARK_MIN,
        finished: false,
        fingerprint: None,
        counts: RowCounts::default(),
    };
    let mut fragment = Fragment::default();
    fragment.steps.push(Step {
        node: 0,
        operator: None,
        state_key: "0.p3".into(),
        metrics: Arc::default(),
        next: Vec::new(),
    });
    let (barrier, barriers) = watch::channel(None);
    let (reports, reported) = mpsc::channel(1);
    let unfinished = Arc::new(AtomicUsize::new(1));
    let (metrics, job_metrics) = (Arc::<PartitionMetrics>::default(), Arc::<Metrics>::default());
    job_metrics.partitions.insert(position.id, Arc::clone(&metrics));
    let task = SourceTask {
        reader: Some(Box::new(Batches(batches.into_iter().map(Ok).collect()))),
        idle_timeout: None,
        bad_records,
        progress: Arc::new(SourceProgress::new(&[WATERMARK_MIN])),
        place: 0,
        metrics,
        rows_max,
        job_metrics: Arc::clone(&job_metrics),
        barriers,
        reports,
        unfinished: Arc::clone(&unfinished),
        clock: system_clock(),
        first_epoch: 1,
        assigner: WatermarkAssigner::new(source, position.id, position.watermark)?,
        by_the_clock: source.goes_by_the_clock(),
        fragment,
        position,
        idle: false,
        ahead: RowsAhead::default(),
        ledger: Vec::new(),
    };
    Ok(Started { task, barrier, reported, unfinished, job_metrics })
}

async fn run_with(source: plan::Source, bad_records: BadRecords, batches: Vec<SourceBatch>) -> Result<TaskReport> {
    let Started { task, barrier, mut reported, unfinished, .. } = start(&source, bad_records, None, batches)?;
    let task = tokio::spawn(task.run());
    while unfinished.load(Ordering::Acquire) > 0 && !task.is_finished() {
        tokio::task::yield_now().await;
    }
    barrier.send_replace(Some(Barrier { epoch: 1, last: true }));
    task.await.unwrap()?;
    Ok(reported.recv().await.unwrap())
}

async fn refusal(batches: Vec<SourceBatch>) -> String {
    let error = run(source(), batches).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    error.message().to_owned()
}

#[tokio::test]
async fn what_was_read_is_held_against_what_became_of_it() {
    let lost = BadRecord { offset: 5, timestamp: None, code: "X", field: None, message: "x".into(), raw: None };
    // Offset 2 an array of two rows, 4 a tombstone, 5 bad, 6 a control record.
    let rich = SourceBatch { bad: vec![lost], tombstones: 1, ..batch(&[2, 2, 3], 5, 7) };
    let report = run(source(), vec![batch(&[0, 1], 2, 2), rich, batch(&[], 0, 9)]).await.unwrap();
    let position = report.position.unwrap();
    assert_eq!(position.counts, RowCounts { read: 7, processed: 5, late: 0, bad: 1, future: 0, tombstones: 1 });
    assert_eq!(position.next_offset, 9);
}

#[tokio::test]
async fn bad_records_are_kept_unless_the_policy_drops_them() {
    // Without bytes (a row of columns), and what holds no row under the policy `fail`.
    let bare = BadRecord { offset: 0, timestamp: None, code: "X", field: None, message: "x".into(), raw: None };
    let no_row = BadRecord { offset: 1, code: "NO_ROW", raw: Some(b"[]".to_vec()), ..bare.clone() };
    for (policy, kept) in [(BadRecords::Fail, 2), (BadRecords::Ledger, 2), (BadRecords::Drop, 0)] {
        let lost = SourceBatch { bad: vec![bare.clone(), no_row.clone()], ..batch(&[], 2, 2) };
        let report = run_with(source(), policy, vec![lost]).await.unwrap();
        assert_eq!((report.position.unwrap().counts.bad, report.ledger.len()), (2, kept), "{policy:?}");
    }
}

#[tokio::test]
async fn no_batch_is_read_once_the_job_has_read_enough() {
    let Started { task, barrier, mut reported, job_metrics, .. } =
        start(&source(), BadRecords::Ledger, Some(2), vec![batch(&[0, 1, 2], 3, 3), batch(&[3, 4], 2, 5)]).unwrap();
    let task = tokio::spawn(task.run());
    while job_metrics.total().read < 2 && !task.is_finished() {
        tokio::task::yield_now().await;
    }
    // Time enough for another batch.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    barrier.send_replace(Some(Barrier { epoch: 1, last: true }));
    task.await.unwrap().unwrap();
    let position = reported.recv().await.unwrap().position.unwrap();
    // The batch in which the bound is met is taken as a whole.
    assert_eq!((position.counts.read, position.next_offset, position.finished), (3, 3, false));
}

#[tokio::test]
async fn a_row_lost_or_made_by_a_wrong_decoder_is_found() {
    assert_eq!(
        refusal(vec![batch(&[0, 1], 2, 2), batch(&[2, 4], 3, 5)]).await,
        "rows of \"topic\" partition 3 up to offset 5 are unaccounted for: 5 were read, but 4 processed + 0 late + \
         0 bad + 0 future + 0 tombstones"
    );
    assert!(refusal(vec![batch(&[0, 0], 1, 1)]).await.contains("1 were read, but 2 processed"));
    assert!(refusal(vec![batch(&[], 1, 1)]).await.contains("1 were read, but 0 processed"));
}

#[tokio::test]
async fn a_record_given_twice_is_found() {
    let error = refusal(vec![batch(&[0, 1], 2, 2), batch(&[1, 2], 2, 3)]).await;
    assert_eq!(error, "\"topic\" partition 3 is read up to offset 2, and now comes offset 1");
    assert!(refusal(vec![batch(&[0, 1], 2, 2), batch(&[], 0, 1)]).await.contains("now comes offset 1"));
}

/// `ts TIMESTAMP(3), v BIGINT, share AS 100 / v, WATERMARK FOR ts AS ts`.
fn timed() -> plan::Source {
    let spec = |name: &str, data_type, kind| ColumnSpec {
        name: name.into(),
        data_type,
        sql_type: String::new(),
        nullable: true,
        kind,
    };
    let millis = DataType::Timestamp(TimeUnit::Millisecond, None);
    let table = TableSpec {
        columns: vec![
            spec("ts", millis, ColumnKind::Physical),
            spec("v", DataType::Int64, ColumnKind::Physical),
            spec("share", DataType::Int64, ColumnKind::Computed),
        ],
        ..table()
    };
    let hundred = Arc::new(Literal::new(ScalarValue::Int64(Some(100))));
    let share = BinaryExpr::new(hundred, Op::Divide, Arc::new(Column::new("v", 1)));
    let plan = |expr| plan::PlanExpr { expr, text: String::new() };
    let ts = || plan(Arc::new(Column::new("ts", 0)) as _);
    plan::Source {
        proctime: None,
        table: Arc::new(table),
        columns: vec![ts(), plan(Arc::new(Column::new("v", 1)) as _), plan(Arc::new(share) as _)],
        watermark: Some(plan::WatermarkSpec {
            rowtime: 0,
            expr: ts(),
            idle_timeout: None,
            max_future_skew: Some(Duration::from_millis(1000)),
        }),
    }
}

/// Rows with these times and values, each record stamped 0.
fn timed_batch(rows: &[(Option<i64>, i64)]) -> SourceBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMillisecondArray::from_iter(rows.iter().map(|r| r.0))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.1))),
    ];
    let count = rows.len() as i64;
    SourceBatch {
        rows: RecordBatch::try_new(timed().table.source_schema(), columns).unwrap(),
        offsets: Int64Array::from_iter_values(0..count),
        timestamps: Some(Int64Array::from(vec![0; rows.len()])),
        ..batch(&[], rows.len() as u64, count)
    }
}

#[tokio::test]
async fn rows_without_event_time_and_failing_columns_follow_the_policy() {
    // Good, without time, a computed column that fails, a time beyond all calendars, too far ahead.
    let rows = [(Some(1), 1), (None, 1), (Some(2), 0), (Some(i64::MAX / 2), 1), (Some(9_000), 1)];
    for (policy, kept) in [(BadRecords::Ledger, 4), (BadRecords::Drop, 1)] {
        let report = run_with(timed(), policy, vec![timed_batch(&rows)]).await.unwrap();
        let counts = report.position.unwrap().counts;
        assert_eq!(counts, RowCounts { read: 5, processed: 1, late: 0, bad: 3, future: 1, tombstones: 0 });
        assert_eq!(report.ledger.len(), kept, "{policy:?}");
        if policy == BadRecords::Ledger {
            let entries: Vec<_> = report.ledger.iter().map(LedgerEntry::fault).collect();
            assert_eq!(entries, [Some("ts"), Some("share"), Some("ts"), Some("ts")].map(|field| (field, Some(0))));
        }
    }
    for (row, what) in [(rows[1], "NULL"), (rows[2], "zero"), (rows[3], "1970")] {
        let batches = vec![timed_batch(&[rows[0], row])];
        let error = run_with(timed(), BadRecords::Fail, batches).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        let start = "row at offset 1 (the first has 0) of \"topic\" partition 3 cannot be used: ";
        assert!(error.message().starts_with(start) && error.hint_text().is_some(), "{error}");
        assert!(error.message().contains(what), "{error}");
    }
    let early = run_with(timed(), BadRecords::Fail, vec![timed_batch(&[rows[4]])]).await.unwrap();
    assert_eq!((early.position.unwrap().counts.future, early.ledger.len()), (1, 1));
}

#[tokio::test]
async fn a_gap_is_a_row_of_the_ledger_and_the_balance_holds() {
    let gap = |first, next, count| Gap { first, next, count, code: "OFFSETS_EXPIRED", message: "gone".into() };
    let mut started = start(&source(), BadRecords::Ledger, None, Vec::new()).unwrap();
    let stretches = [
        Ok(batch(&[0, 1], 2, 2)),
        Err(gap(2, 7, Some(5))),
        Ok(batch(&[7], 1, 8)),
        Err(gap(8, 3, None)),
        Ok(batch(&[3], 1, 4)),
    ];
    started.task.reader = Some(Box::new(Batches(stretches.into())));
    let metrics = Arc::clone(&started.task.metrics);
    let running = tokio::spawn(started.task.run());
    while started.unfinished.load(Ordering::Acquire) > 0 {
        tokio::task::yield_now().await;
    }
    started.barrier.send_replace(Some(Barrier { epoch: 1, last: true }));
    let report = started.reported.recv().await.unwrap();
    running.await.unwrap().unwrap();
    let position = report.position.unwrap();
    assert_eq!((position.next_offset, position.counts.read, position.counts.processed), (4, 4, 4));
    let position_at = |offset| SourcePosition { next_offset: offset, watermark: WATERMARK_MIN, ..position.clone() };
    let expected: Vec<LedgerEntry> =
        [gap(2, 7, Some(5)), gap(8, 3, None)].map(|gap| LedgerEntry::of_gap(&position_at(gap.next), gap)).into();
    assert_eq!(report.ledger, expected);
    assert_eq!((metrics.lost.load(Ordering::Relaxed), metrics.gaps.load(Ordering::Relaxed)), (5, 2));
}
