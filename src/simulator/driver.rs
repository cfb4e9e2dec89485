//! Sends feeds to a target: every row when it is due, no further ahead of the reader than allowed.
//!
//! A row's time is in the row, so pacing cannot drift: what was missed (a pause, a full queue, a stop) is sent
//! as fast as the target takes it, as devices do that buffered while their broker was away. One [`Lane`] per
//! partition; a lane that must wait holds up no other.

use std::collections::VecDeque;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::feed::Feed;
use super::labels::Label;
use super::topics::{LABELS_TOPIC, READINGS_TOPIC};
use crate::error::{Error, Result};
use crate::time::Clock;

/// Rows of one lane between two looks at the other lanes and at the clock.
const TURN_ROWS: u64 = 256;
/// Rows due within this time are sent together.
const NAP_MIN: Duration = Duration::from_millis(10);
/// Longest sleep, so that freed room and a changed wall clock are seen.
const NAP_MAX: Duration = Duration::from_millis(100);
/// What a record costs a broker beside key and value.
const RECORD_OVERHEAD_BYTES: usize = 24;
/// Bytes a partition may hold unread unless told otherwise: the embedded cluster keeps 5 MiB.
const UNREAD_BYTES_DEFAULT: u64 = 3 << 20;

/// A record on its way out.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition.
    pub partition: i32,
    /// Key: the device's name.
    pub key: &'a [u8],
    /// Value.
    pub value: &'a [u8],
    /// Time stamp of the record, ms since 1970.
    pub timestamp_ms: i64,
}

/// Where records go: a Kafka producer, or a test.
pub trait Target: Sync {
    /// Hands a record over; waits while the target has no room.
    ///
    /// # Errors
    /// `Unavailable` if the target gave up, `Data` if it cannot take the record.
    fn send(&self, record: Outgoing<'_>) -> impl Future<Output = Result<()>> + Send;

    /// Waits until all records are acknowledged or given up.
    ///
    /// # Errors
    /// `Unavailable` if that takes too long.
    fn flush(&self) -> impl Future<Output = Result<()>> + Send;

    /// Records of `topic` given up so far on `partition`.
    fn failed(&self, topic: &str, partition: i32) -> u64;
}

/// When rows leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// When they are due.
    Due,
    /// As fast as the target takes them; their time stamps are what they would have been.
    Unlimited,
}

/// First offset of a partition that its reader has not read yet.
pub type Consumed = Arc<dyn Fn(i32) -> i64 + Send + Sync>;

/// Keeps the stream close to its reader.
#[derive(Clone)]
pub struct Flow {
    /// How far the reader is.
    pub consumed: Consumed,
    /// Bytes a partition may hold unread.
    pub unread_bytes_max: u64,
}

impl Flow {
    /// Stays within what the embedded cluster retains.
    pub fn behind(consumed: Consumed) -> Self {
        Self { consumed, unread_bytes_max: UNREAD_BYTES_DEFAULT }
    }
}

/// What is to be sent, and how.
pub struct Job {
    /// Partition, offset of the feed's first row, and the feed.
    pub feeds: Vec<(i32, u64, Box<dyn Feed>)>,
    /// When rows leave.
    pub pace: Pace,
    /// Stop after this many rows.
    pub rows: Option<u64>,
    /// Stop after this time.
    pub duration: Option<Duration>,
    /// Bounds on running ahead.
    pub flow: Option<Flow>,
    /// Labels are also appended to this file.
    pub labels_file: Option<PathBuf>,
}

/// Live counters of one partition.
#[derive(Debug, Default)]
pub struct LaneProgress {
    /// Partition number: the site.
    pub partition: i32,
    /// Rows handed over.
    pub rows: AtomicU64,
    /// Bytes of keys and values handed over.
    pub bytes: AtomicU64,
    /// Rows given up by the target.
    pub errors: AtomicU64,
    /// Time stamp of the newest row, ms since 1970.
    pub sent_until_ms: AtomicI64,
    /// Waiting for the reader.
    pub held_back: AtomicBool,
}

/// Live counters of a run.
#[derive(Debug, Default)]
pub struct Progress {
    /// Per partition.
    pub lanes: Vec<LaneProgress>,
    /// Labels told.
    pub labels: AtomicU64,
}

impl Progress {
    /// Counters for these partitions.
    pub fn new(partitions: impl IntoIterator<Item = i32>) -> Self {
        let lanes = partitions.into_iter().map(|partition| LaneProgress { partition, ..LaneProgress::default() });
        Self { lanes: lanes.collect(), labels: AtomicU64::new(0) }
    }

    /// Rows of all partitions.
    pub fn rows(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.rows.load(Ordering::Relaxed)).sum()
    }

    /// Rows given up in all partitions.
    pub fn errors(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.errors.load(Ordering::Relaxed)).sum()
    }
}

/// What a run did.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Rows handed over.
    pub rows: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// (partition, rows, errors).
    pub partitions: Vec<(i32, u64, u64)>,
    /// Rows given up by the target.
    pub errors: u64,
    /// Labels told.
    pub labels: u64,
}

impl Summary {
    /// Mean rate, rows per second.
    pub fn rate(&self) -> f64 {
        self.rows as f64 / self.elapsed.as_secs_f64().max(1e-3)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        writeln!(f, "simulator: {} rows in {seconds:.1} s, {:.0} rows/s", self.rows, self.rate())?;
        for (partition, rows, errors) in &self.partitions {
            writeln!(
                f,
                "  broker_{}  partition {partition}  {rows} rows  {errors} errors",
                partition.saturating_add(1)
            )?;
        }
        write!(f, "  {} anomalies labelled, {} errors", self.labels, self.errors)
    }
}

/// One partition on its way.
struct Lane {
    // fixed at start
    partition: i32,
    feed: Box<dyn Feed>,
    // changes while running
    next_offset: i64,
    /// Sizes of rows sent and not known to be read, the oldest first; that one's offset.
    unread: VecDeque<u32>,
    unread_from: i64,
    unread_bytes: u64,
    ended: bool,
}

/// Why a lane stopped sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Its turn is over, there is more.
    More,
    /// The next row is due in this time.
    NotDue(Duration),
    /// The reader is too far behind.
    HeldBack,
    /// There is no further row.
    Ended,
}

impl Lane {
    fn new(partition: i32, offset: u64, feed: Box<dyn Feed>) -> Self {
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        Self {
            partition,
            feed,
            next_offset: offset,
            unread: VecDeque::new(),
            unread_from: offset,
            unread_bytes: 0,
            ended: false,
        }
    }

    /// Whether another row would be more than the partition may hold.
    fn full(&mut self, flow: &Flow) -> bool {
        if self.unread_bytes < flow.unread_bytes_max {
            return false;
        }
        let consumed = (flow.consumed)(self.partition);
        while self.unread_from < consumed {
            let Some(size) = self.unread.pop_front() else { break };
            self.unread_bytes = self.unread_bytes.saturating_sub(u64::from(size));
            self.unread_from += 1;
        }
        self.unread_bytes >= flow.unread_bytes_max
    }

    /// Sends up to `rows` rows that are due at `now_us` (`None`: all are).
    async fn send<T: Target>(
        &mut self,
        now_us: Option<i64>,
        rows: u64,
        flow: Option<&Flow>,
        out: &Out<'_, T>,
    ) -> Result<Turn> {
        let Some(progress) = out.progress.lanes.iter().find(|lane| lane.partition == self.partition) else {
            return Err(Error::internal(format!("partition {} has no counters", self.partition)));
        };
        for _ in 0..rows {
            let Some(due_us) = self.feed.next_due_us()? else {
                self.ended = true;
                return Ok(Turn::Ended);
            };
            if let Some(early) = now_us.map(|now| due_us.saturating_sub(now)).filter(|early| *early > 0) {
                return Ok(Turn::NotDue(Duration::from_micros(early.unsigned_abs())));
            }
            let held_back = flow.is_some_and(|flow| self.full(flow));
            progress.held_back.store(held_back, Ordering::Relaxed);
            if held_back {
                return Ok(Turn::HeldBack);
            }
            self.feed.advance()?;
            let row = self.feed.row();
            let timestamp_ms = row.due_us.div_euclid(1000);
            let (key, value) = (row.device.as_bytes(), row.value);
            let bytes = key.len() + value.len();
            out.target
                .send(Outgoing { topic: READINGS_TOPIC, partition: self.partition, key, value, timestamp_ms })
                .await?;
            self.next_offset += 1;
            if flow.is_some() {
                let size = u32::try_from(bytes + RECORD_OVERHEAD_BYTES).unwrap_or(u32::MAX);
                self.unread.push_back(size);
                self.unread_bytes += u64::from(size);
            }
            progress.rows.fetch_add(1, Ordering::Relaxed);
            progress.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            progress.sent_until_ms.store(timestamp_ms, Ordering::Relaxed);
        }
        Ok(Turn::More)
    }
}

/// Where a lane sends.
struct Out<'a, T> {
    target: &'a T,
    progress: &'a Progress,
}

/// Tells labels to their topic and file.
struct LabelWriter {
    file: Option<BufWriter<std::fs::File>>,
    /// Not told yet: a label leaves only when its record was taken, so that a stop loses none.
    waiting: VecDeque<Label>,
}

impl LabelWriter {
    fn open(path: Option<&PathBuf>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self { file: None, waiting: VecDeque::new() }) };
        let failed =
            |error| Error::unavailable(format!("labels cannot be written to \"{}\"", path.display())).because(error);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
        Ok(Self { file: Some(BufWriter::new(file)), waiting: VecDeque::new() })
    }

    async fn write<T: Target>(&mut self, labels: Vec<Label>, timestamp_ms: i64, out: &Out<'_, T>) -> Result<()> {
        self.waiting.extend(labels);
        let some = !self.waiting.is_empty();
        while let Some(label) = self.waiting.front() {
            let mut line = label.to_json()?;
            let (key, value) = (label.device_id.as_bytes(), line.as_bytes());
            let record = Outgoing { topic: LABELS_TOPIC, partition: label.partition, key, value, timestamp_ms };
            out.target.send(record).await?;
            self.waiting.pop_front();
            if let Some(file) = &mut self.file {
                line.push('\n');
                file.write_all(line.as_bytes()).map_err(label_file)?;
            }
            out.progress.labels.fetch_add(1, Ordering::Relaxed);
        }
        if some { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.flush().map_err(label_file))
    }
}

fn label_file(error: std::io::Error) -> Error {
    Error::unavailable("the label file cannot be written").because(error)
}

/// Sends until the feeds end, a bound is reached or `stop` turns true (or its sender is gone). What was handed over is flushed.
///
/// `progress` has a counter for every partition of the job. Rows start where the partitions end; a row that was
/// cut off by `stop` is made again by the next run.
///
/// # Errors
/// `Unavailable` if the target gives up, `Data` from replayed files.
pub async fn run<T: Target>(
    job: Job,
    target: &T,
    clock: &Clock,
    mut stop: watch::Receiver<bool>,
    progress: &Progress,
) -> Result<Summary> {
    let out = Out { target, progress };
    let mut labels = LabelWriter::open(job.labels_file.as_ref())?;
    let bounds = Bounds { pace: job.pace, rows: job.rows, flow: job.flow };
    let mut lanes: Vec<Lane> = job.feeds.into_iter().map(|(p, offset, feed)| Lane::new(p, offset, feed)).collect();
    // The wall clock is read once; a step of it later must not make devices jump.
    let (start_us, started) = (clock.now_ms().saturating_mul(1000), clock.elapsed());
    loop {
        let elapsed = clock.elapsed().saturating_sub(started);
        if job.duration.is_some_and(|longest| elapsed >= longest) {
            break;
        }
        let now_us = start_us.saturating_add(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX));
        let round = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            round = send_round(&mut lanes, now_us, &bounds, &mut labels, &out) => round?,
        };
        let left = job.duration.map_or(NAP_MAX, |longest| longest.saturating_sub(elapsed));
        match round {
            Round::Over => break,
            Round::More => tokio::task::yield_now().await,
            Round::Nap(time) => tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(time.clamp(NAP_MIN, NAP_MAX).min(left)) => {}
            },
        }
    }
    // A stop may have cut a turn short, between its rows and their labels.
    for lane in &mut lanes {
        labels.write(lane.feed.take_labels(), clock.now_ms(), &out).await?;
    }
    target.flush().await?;
    count_errors(&lanes, &out);
    Ok(summary(progress, clock.elapsed().saturating_sub(started)))
}

/// What bounds every round.
struct Bounds {
    pace: Pace,
    rows: Option<u64>,
    flow: Option<Flow>,
}

/// What a turn of every lane came to.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    /// Nothing is left, or the bound of rows is reached.
    Over,
    /// Some lane has more to send now.
    More,
    /// All lanes wait, the first of them this long.
    Nap(Duration),
}

async fn send_round<T: Target>(
    lanes: &mut [Lane],
    now_us: i64,
    bounds: &Bounds,
    labels: &mut LabelWriter,
    out: &Out<'_, T>,
) -> Result<Round> {
    let due = (bounds.pace == Pace::Due).then_some(now_us);
    let mut nap = None;
    let mut more = false;
    for lane in lanes.iter_mut().filter(|lane| !lane.ended) {
        let rows = bounds.rows.map_or(TURN_ROWS, |most| most.saturating_sub(out.progress.rows()).min(TURN_ROWS));
        if rows == 0 {
            return Ok(Round::Over);
        }
        let wait = match lane.send(due, rows, bounds.flow.as_ref(), out).await? {
            Turn::More => {
                more = true;
                None
            }
            Turn::NotDue(time) => Some(time),
            Turn::HeldBack => Some(NAP_MIN),
            Turn::Ended => None,
        };
        nap = nap.into_iter().chain(wait).min();
        labels.write(lane.feed.take_labels(), now_us.div_euclid(1000), out).await?;
    }
    count_errors(lanes, out);
    Ok(match (more, nap) {
        (true, _) => Round::More,
        (false, Some(time)) => Round::Nap(time),
        (false, None) => Round::Over,
    })
}

fn count_errors<T: Target>(lanes: &[Lane], out: &Out<'_, T>) {
    for lane in lanes {
        if let Some(progress) = out.progress.lanes.iter().find(|p| p.partition == lane.partition) {
            progress.errors.store(out.target.failed(READINGS_TOPIC, lane.partition), Ordering::Relaxed);
        }
    }
}

fn summary(progress: &Progress, elapsed: Duration) -> Summary {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Summary {
        rows: progress.rows(),
        elapsed,
        partitions: progress
            .lanes
            .iter()
            .map(|lane| (lane.partition, count(&lane.rows), count(&lane.errors)))
            .collect(),
        errors: progress.errors(),
        labels: count(&progress.labels),
    }
}

#[cfg(test)]
mod tests;
