//! A delivery against a system that is away, refuses, loses answers and dies, and a process that does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::FutureExt;
use futures::future::BoxFuture;
use proptest::prelude::*;

use super::*;
use crate::connectors::{Fallback, JobContext, Ownership, Sink, SinkState};
use crate::limits::UNDELIVERED_EPOCHS_MAX;

/// What a call comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Without,
    WithEffect,
}

/// A database as far as a sink sees it.
#[derive(Debug, Default)]
struct System {
    rows: Vec<i64>,
    marker: Option<u64>,
    fence: u64,
    /// What the next calls come to.
    faults: VecDeque<Option<Fault>>,
    away: bool,
    /// It says that it can never be written, so many times.
    never: u32,
    /// It refuses a row that it was never given.
    confused: bool,
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<System>>);

fn down() -> Error {
    Error::unavailable("the system does not answer")
}

impl Fake {
    fn call<T>(&self, work: impl FnOnce(&mut System) -> T) -> Result<T> {
        let mut system = self.0.lock().unwrap();
        let fault = system.faults.pop_front().flatten();
        if system.away || fault == Some(Fault::Without) {
            return Err(down());
        }
        let done = work(&mut system);
        if fault.is_some() { Err(down()) } else { Ok(done) }
    }
}

impl Target for Fake {
    fn claim<'a>(&'a mut self, writer: &'a Writer) -> BoxFuture<'a, Result<bool>> {
        let never = std::mem::take(&mut self.0.lock().unwrap().never);
        if never > 0 {
            self.0.lock().unwrap().never = never - 1;
            return async { Err(Error::config("there is no table \"fake\"")) }.boxed();
        }
        let claimed = self.call(|system| {
            let ours = system.fence <= writer.fence;
            system.fence = system.fence.max(writer.fence);
            ours
        });
        async { claimed }.boxed()
    }

    fn marker(&mut self) -> BoxFuture<'_, Result<Option<u64>>> {
        async { self.call(|system| system.marker) }.boxed()
    }

    /// Refuses negative rows.
    fn deliver(&mut self, mut rows: EpochRows) -> BoxFuture<'_, Result<(), Trouble>> {
        async move {
            let (mut values, mut refused) = (Vec::new(), Vec::new());
            while let Some(batch) = rows.next().await? {
                for (value, number) in values_of(&batch.rows).into_iter().zip(batch.numbers) {
                    if value < 0 {
                        let message = "is negative".to_owned();
                        refused.push(Refused { row: number, code: "23514".into(), column: Some("v".into()), message });
                    }
                    values.push(value);
                }
            }
            if self.0.lock().unwrap().confused {
                refused.push(Refused { row: 99, code: "23514".into(), column: None, message: String::new() });
            }
            if !refused.is_empty() {
                return Err(Trouble::Refused(refused));
            }
            self.call(|system| {
                system.rows.extend(values);
                system.marker = Some(rows.epoch());
            })
            .map_err(Trouble::Doubt)
        }
        .boxed()
    }

    fn marker_beside_rows(&self) -> bool {
        true
    }

    fn name(&self) -> String {
        "fake".into()
    }
}

fn values_of(rows: &RecordBatch) -> Vec<i64> {
    rows.column(0).as_primitive::<Int64Type>().values().to_vec()
}

fn batch(values: &[i64]) -> RecordBatch {
    RecordBatch::try_from_iter([("v", Arc::new(Int64Array::from(values.to_vec())) as ArrayRef)]).unwrap()
}

/// A job with one sink: what is committed survives, the rest does not.
struct Job {
    directory: tempfile::TempDir,
    fake: Fake,
    fence: u64,
    committed: Option<SinkState>,
    epoch: u64,
    rejected: Vec<crate::connectors::RejectedRow>,
    fallback: Option<Fallback>,
}

impl Job {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            directory,
            fake: Fake::default(),
            fence: 0,
            committed: None,
            epoch: 0,
            rejected: Vec::new(),
            fallback: None,
        }
    }

    async fn start(&mut self) -> Result<Outbox> {
        self.fence += 1;
        self.start_as(self.fence, self.committed.clone()).await
    }

    async fn start_as(&self, fence: u64, committed: Option<SinkState>) -> Result<Outbox> {
        let ownership = Ownership { fence, confirm: Arc::new(|| async { Ok(true) }.boxed()) };
        self.start_of(Some(ownership), committed).await
    }

    async fn start_of(&self, ownership: Option<Ownership>, committed: Option<SinkState>) -> Result<Outbox> {
        let job = JobContext {
            pipeline: "job".into(),
            instance: "0123456789abcdef".into(),
            ownership,
            fallback: self.fallback.clone(),
            outbox: self.directory.path().join("outbox"),
            ..JobContext::default()
        };
        let mut outbox = Outbox::new(Box::new(self.fake.clone()), batch(&[]).schema(), "1.t", &job);
        outbox.hurry();
        outbox.restore(committed).await?;
        Ok(outbox)
    }

    async fn epoch(&mut self, outbox: &mut Outbox, rows: &[i64], last: bool) -> Result<()> {
        for part in rows.chunks(2) {
            outbox.write(batch(part)).await?;
        }
        let state = outbox.prepare(self.epoch + 1, last).await?;
        self.commit(outbox, state).await
    }

    async fn commit(&mut self, outbox: &mut Outbox, state: SinkState) -> Result<()> {
        self.epoch += 1;
        self.committed = Some(state);
        self.rejected.extend(outbox.rejected());
        outbox.commit(self.epoch).await
    }

    fn rows(&self) -> Vec<i64> {
        self.fake.0.lock().unwrap().rows.clone()
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.directory.path().join("outbox")).unwrap().count()
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Where a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    Writing,
    Prepared,
    Committed,
}

fn faults() -> impl Strategy<Value = Vec<Option<Fault>>> {
    let fault = prop_oneof![3 => Just(None), 1 => Just(Some(Fault::Without)), 1 => Just(Some(Fault::WithEffect))];
    proptest::collection::vec(fault, 0..40)
}

fn deaths() -> impl Strategy<Value = BTreeMap<u64, Death>> {
    let death = prop_oneof![Just(Death::Writing), Just(Death::Prepared), Just(Death::Committed)];
    proptest::collection::btree_map(2..9u64, death, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_row_once_whatever_fails(
        epochs in proptest::collection::vec(proptest::collection::vec(0..1000i64, 0..6), 8),
        faults in faults(),
        mut deaths in deaths(),
    ) {
        run(async {
            let mut job = Job::new();
            let mut outbox = job.start().await.unwrap();
            job.epoch(&mut outbox, &[], false).await.unwrap();
            job.fake.0.lock().unwrap().faults = faults.into();
            while let Some(rows) = epochs.get(job.epoch as usize - 1) {
                let next = job.epoch + 1;
                let last = job.epoch as usize == epochs.len();
                match deaths.remove(&next) {
                    None => job.epoch(&mut outbox, rows, last).await.unwrap(),
                    Some(death) => {
                        outbox.write(batch(rows)).await.unwrap();
                        if death != Death::Writing {
                            let state = outbox.prepare(next, false).await.unwrap();
                            if death == Death::Committed {
                                job.commit(&mut outbox, state).await.unwrap();
                            }
                        }
                        drop(outbox);
                        outbox = job.start().await.unwrap();
                    }
                }
            }
            outbox.finish().await.unwrap();
            prop_assert_eq!(job.rows(), epochs.concat());
            Ok(())
        })?;
    }
}

#[test]
fn refused_rows_are_told_once_and_the_others_arrive() {
    run(async {
        let mut job = Job::new();
        let mut outbox = job.start().await.unwrap();
        job.epoch(&mut outbox, &[1, -2, 3, -4], false).await.unwrap();
        outbox.finish().await.unwrap();
        assert_eq!(job.rows(), [1, 3]);
        assert!(job.rejected.is_empty(), "they are told with the epoch that forgets their rows");

        // a crash in between tells them no less and no more
        drop(outbox);
        let mut outbox = job.start().await.unwrap();
        for rows in [&[5][..], &[], &[]] {
            job.epoch(&mut outbox, rows, false).await.unwrap();
            outbox.finish().await.unwrap();
        }
        assert_eq!(job.rows(), [1, 3, 5]);
        let told: Vec<_> = job.rejected.iter().map(|r| (r.epoch, r.row, r.code.as_str(), r.json.as_str())).collect();
        assert_eq!(told, [(1, 1, "23514", "{\"v\":-2}"), (1, 3, "23514", "{\"v\":-4}")]);
        assert_eq!(job.files(), 0, "nothing is kept that is delivered");
    });
}

#[test]
fn thousands_of_refused_rows_are_left_out_in_one_go() {
    run(async {
        let mut job = Job::new();
        let mut outbox = job.start().await.unwrap();
        let rows: Vec<i64> = (1..=60_000).map(|row| if row % 3 == 0 { row } else { -row }).collect();
        outbox.write(batch(&rows)).await.unwrap();
        let state = outbox.prepare(1, false).await.unwrap();
        job.commit(&mut outbox, state).await.unwrap();
        outbox.finish().await.unwrap();
        assert_eq!(job.rows(), rows.iter().copied().filter(|row| *row > 0).collect::<Vec<_>>());
        job.epoch(&mut outbox, &[], false).await.unwrap();
        assert_eq!(job.rejected.len(), 40_000);
        assert_eq!(job.rejected[39_999].json, "{\"v\":-59999}");
    });
}

/// What an epoch fails with, or the wait for it: the courier may be faster than the epoch.
async fn failed(job: &mut Job, outbox: &mut Outbox, rows: &[i64]) -> Error {
    match job.epoch(outbox, rows, false).await {
        Ok(()) => outbox.finish().await.unwrap_err(),
        Err(error) => error,
    }
}

#[test]
fn a_system_that_refuses_what_it_was_not_given_stops_the_job() {
    run(async {
        let mut job = Job::new();
        let mut outbox = job.start().await.unwrap();
        job.fake.0.lock().unwrap().confused = true;
        let error = failed(&mut job, &mut outbox, &[1]).await;
        assert!(error.message().contains("rows are refused that are not in epoch 1"), "{error:?}");
    });
}

#[test]
fn a_system_that_can_never_be_written_stops_the_job_unless_it_changes_its_mind() {
    run(async {
        let mut job = Job::new();
        let mut outbox = job.start().await.unwrap();
        {
            let mut system = job.fake.0.lock().unwrap();
            (system.faults, system.never) = ([Some(Fault::Without)].into(), 2);
        }
        job.epoch(&mut outbox, &[1], false).await.unwrap();
        outbox.finish().await.unwrap();
        assert_eq!(job.rows(), [1], "it had just started");
        {
            let mut system = job.fake.0.lock().unwrap();
            (system.faults, system.never) = ([Some(Fault::Without)].into(), u32::MAX);
        }
        let error = failed(&mut job, &mut outbox, &[2]).await;
        assert!(error.message().contains("there is no table"), "{error:?}");
    });
}

#[test]
fn a_system_that_is_back_with_nothing_to_deliver_is_no_longer_said_to_fail() {
    run(async {
        let mut job = Job::new();
        let mut outbox = job.start().await.unwrap();
        job.epoch(&mut outbox, &[1], false).await.unwrap();
        outbox.finish().await.unwrap();
        drop(outbox);
        job.fake.0.lock().unwrap().away = true;
        let outbox = job.start().await.unwrap();
        assert!(outbox.failing().is_some());
        job.fake.0.lock().unwrap().away = false;
        let cleared = async {
            while outbox.failing().is_some() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), cleared).await.unwrap();
    });
}

#[test]
fn a_job_without_state_leaves_no_file_but_the_list_of_refused_rows() {
    run(async {
        let mut job = Job::new();
        let mut outbox = job.start_of(None, None).await.unwrap();
        job.epoch(&mut outbox, &[1, 2], false).await.unwrap();
        job.epoch(&mut outbox, &[3], true).await.unwrap();
        assert_eq!((job.rows(), job.files()), (vec![1, 2, 3], 0));
        // its next run is another instance, whose marker is another
        job.fake.0.lock().unwrap().marker = None;
        let mut outbox = job.start_of(None, None).await.unwrap();
        job.epoch(&mut outbox, &[4, -5], true).await.unwrap();
        assert_eq!((job.rows(), job.files()), (vec![1, 2, 3, 4], 1));
    });
}

#[test]
fn a_system_that_is_away_holds_the_job_only_at_the_bound() {
    run(async {
        let mut job = Job::new();
        let mut outbox = job.start().await.unwrap();
        job.fake.0.lock().unwrap().away = true;
        for epoch in 0..UNDELIVERED_EPOCHS_MAX {
            job.epoch(&mut outbox, &[epoch as i64], false).await.unwrap();
        }
        outbox.write(batch(&[-1])).await.unwrap();
        let next = job.epoch + 1;
        let waited = tokio::time::timeout(Duration::from_millis(50), outbox.prepare(next, false)).await;
        assert!(waited.is_err(), "the bound holds");

        job.fake.0.lock().unwrap().away = false;
        outbox.prepare(next, false).await.unwrap();
        assert_eq!(job.rows()[0], 0);
    });
}

#[test]
fn a_first_start_needs_the_system_a_later_one_does_not() {
    run(async {
        let mut job = Job::new();
        job.fake.0.lock().unwrap().away = true;
        assert!(job.start().await.is_err());
        job.fake.0.lock().unwrap().away = false;
        let mut outbox = job.start().await.unwrap();
        job.fake.0.lock().unwrap().away = true;
        job.epoch(&mut outbox, &[7], false).await.unwrap();
        drop(outbox);

        let mut outbox = job.start().await.unwrap();
        assert!(job.rows().is_empty());
        job.fake.0.lock().unwrap().away = false;
        outbox.finish().await.unwrap();
        assert_eq!(job.rows(), [7]);
    });
}

#[test]
fn a_fenced_process_stops_with_a_message() {
    run(async {
        let mut job = Job::new();
        let mut old = job.start().await.unwrap();
        job.fake.0.lock().unwrap().fence = 9;
        job.fake.0.lock().unwrap().faults = [Some(Fault::Without)].into();
        job.epoch(&mut old, &[1], false).await.unwrap();
        let error = old.finish().await.unwrap_err();
        assert!(error.message().contains("another process has taken over"), "{error:?}");
        assert!(old.write(batch(&[2])).await.is_err());
        assert!(job.rows().is_empty());
    });
}

#[test]
fn a_sink_ahead_of_the_state_is_refused() {
    run(async {
        let mut job = Job::new();
        job.fake.0.lock().unwrap().marker = Some(5);
        let error = job.start().await.map(|_| ()).unwrap_err();
        assert!(error.message().contains("already has epoch 5"), "{error:?}");
    });
}

#[test]
fn a_process_that_was_taken_over_removes_no_row_of_the_later_one() {
    run(async {
        let mut job = Job::new();
        let mut old = job.start().await.unwrap();
        job.epoch(&mut old, &[1], false).await.unwrap();
        old.finish().await.unwrap();
        let (fence, known) = (job.fence, job.committed.clone());
        drop(old);

        let mut new = job.start().await.unwrap();
        new.write(batch(&[2])).await.unwrap();
        let state = new.prepare(job.epoch + 1, false).await.unwrap();
        // it hung before it opened its sinks, and wakes up with the manifest of that time
        assert!(job.start_as(fence, known).await.is_err());
        job.commit(&mut new, state).await.unwrap();
        new.finish().await.unwrap();
        assert_eq!(job.rows(), [1, 2]);
    });
}

/// Epochs 1 and 2 with a row each; then epoch 2 is damaged. Returns the job as a restart finds it.
async fn with_damaged_epoch_2(rows: [&[i64]; 2], delivered: bool) -> Job {
    let mut job = Job::new();
    let mut outbox = job.start().await.unwrap();
    job.epoch(&mut outbox, rows[0], false).await.unwrap();
    outbox.finish().await.unwrap();
    let state = job.committed.clone();
    if delivered {
        job.epoch(&mut outbox, rows[1], false).await.unwrap();
        outbox.finish().await.unwrap();
    } else {
        outbox.write(batch(rows[1])).await.unwrap();
        outbox.prepare(2, false).await.unwrap();
        job.epoch = 2;
    }
    (job.committed, job.fallback) = (state, Some(Fallback { used: 1, damaged: 2, reason: "m/2.json".into() }));
    job
}

#[test]
fn a_damaged_epoch_that_was_not_delivered_is_left_out() {
    run(async {
        let mut job = with_damaged_epoch_2([&[1], &[2]], false).await;
        let mut outbox = job.start().await.unwrap();
        job.epoch(&mut outbox, &[2], true).await.unwrap();
        assert_eq!(job.rows(), [1, 2]);
    });
}

#[test]
fn a_damaged_epoch_that_may_be_delivered_stops_the_job() {
    run(async {
        let mut job = with_damaged_epoch_2([&[1], &[2]], true).await;
        let error = job.start().await.map(drop).unwrap_err();
        assert!(error.message().contains("epoch 2 is damaged (m/2.json)"), "{error:?}");
        assert!(error.message().contains("fake already has epoch 2"), "{error:?}");
        // a system that does not answer cannot be waited for, as it can otherwise: it may have the epoch
        job.fake.0.lock().unwrap().away = true;
        let error = job.start().await.map(drop).unwrap_err();
        assert!(error.hint_text().unwrap().contains("start again when it answers"), "{error:?}");
        job.fallback = None;
        assert!(job.start().await.is_ok());
    });
}

#[test]
fn refused_rows_are_still_told_if_the_epoch_that_told_them_is_damaged() {
    run(async {
        let mut job = Job::new();
        let mut outbox = job.start().await.unwrap();
        job.epoch(&mut outbox, &[1, -2], false).await.unwrap();
        outbox.finish().await.unwrap();
        let state = job.committed.clone();
        // epoch 2 forgets the rows and tells the refused one, in a ledger that is lost with it
        job.epoch(&mut outbox, &[], false).await.unwrap();
        assert_eq!(std::mem::take(&mut job.rejected).len(), 1);
        drop(outbox);
        (job.committed, job.fallback) = (state, Some(Fallback { used: 1, damaged: 2, reason: String::new() }));
        let mut outbox = job.start().await.unwrap();
        job.epoch(&mut outbox, &[], false).await.unwrap();
        assert_eq!(job.rejected.len(), 1);
        assert_eq!(job.rows(), [1]);
    });
}

#[test]
fn damaged_rows_in_the_outbox_stop_the_job_instead_of_being_tried_for_ever() {
    run(async {
        let mut job = Job::new();
        let mut outbox = job.start().await.unwrap();
        job.fake.0.lock().unwrap().away = true;
        job.epoch(&mut outbox, &[1], false).await.unwrap();
        let state = job.committed.clone().unwrap();
        let directory = job.directory.path().join("outbox");
        let whole = inspect(&directory, &state.0).unwrap().unwrap();
        assert_eq!((whole.len(), whole[0].undelivered, whole[0].damage.clone()), (1, true, None));
        let file = whole[0].files[0].clone();
        let mut bytes = std::fs::read(&file).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let damaged = inspect(&directory, &state.0).unwrap().unwrap();
        assert!(damaged[0].damage.clone().unwrap().1.contains("checksum"), "{damaged:?}");
        assert_eq!(inspect(&directory, &serde_json::json!({"version": 2, "sealed": []})).unwrap(), None);
        let error = outbox.finish().await.unwrap_err();
        assert!(error.message().contains("is damaged"), "{error:?}");
    });
}
