//! What the job counts: written by every task, read by the status line and `/metrics`, never by an operator.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use dashmap::DashMap;

use crate::stream::{PartitionId, RowCounts};
use crate::time::WATERMARK_MIN;

/// All counters of a job.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Per partition of every source.
    pub partitions: DashMap<PartitionId, Arc<PartitionMetrics>>,
    /// Per sink, by table name.
    pub sinks: DashMap<String, Arc<SinkMetrics>>,
    /// Per operator instance, by `<node>.<name>.<instance>`.
    pub operators: DashMap<String, Arc<OperatorMetrics>>,
    /// Epochs.
    pub checkpoints: CheckpointMetrics,
    /// Every source partition is being read and every sink is open.
    pub ready: AtomicBool,
}

/// Counters of one partition.
#[derive(Debug, Default)]
pub struct PartitionMetrics {
    /// Table it belongs to.
    pub table: String,
    /// Topic or file.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// Records read.
    pub read: AtomicU64,
    /// Rows late, as far as epochs have told.
    pub late: AtomicU64,
    /// Records not decoded.
    pub bad: AtomicU64,
    /// Rows too far in the future.
    pub future: AtomicU64,
    /// Records without a value.
    pub tombstones: AtomicU64,
    /// Records gone before they were read, since the start of the process.
    pub lost: AtomicU64,
    /// Gaps they left; also where their number is unknown.
    pub gaps: AtomicU64,
    /// First offset not read.
    pub next_offset: AtomicI64,
    /// Records waiting; −1: unknown.
    pub lag: AtomicI64,
    /// Its watermark, ms; `i64::MIN` before the first row.
    pub watermark: AtomicI64,
    /// Left out of the minimum because it is silent.
    pub idle: AtomicBool,
}

impl PartitionMetrics {
    /// Counters of a partition that starts at `next_offset`.
    pub fn new(table: &str, topic: &str, partition: i32, next_offset: i64) -> Self {
        Self {
            table: table.into(),
            topic: topic.into(),
            partition,
            next_offset: AtomicI64::new(next_offset),
            lag: AtomicI64::new(-1),
            watermark: AtomicI64::new(WATERMARK_MIN),
            ..Self::default()
        }
    }

    /// The ledger so far. `processed` is what is neither late nor a casualty.
    pub fn counts(&self) -> RowCounts {
        let [read, late, bad, future, tombstones] =
            [&self.read, &self.late, &self.bad, &self.future, &self.tombstones].map(|c| c.load(Ordering::Relaxed));
        RowCounts {
            read,
            late,
            bad,
            future,
            tombstones,
            processed: read.saturating_sub(late + bad + future + tombstones),
        }
    }
}

/// Counters of one sink.
#[derive(Debug, Default)]
pub struct SinkMetrics {
    /// Rows written.
    pub rows: AtomicU64,
    /// Rows left out for a NULL in a column that is NOT NULL.
    pub dropped: AtomicU64,
    /// Newest epoch visible in it.
    pub epoch: AtomicU64,
}

/// Counters of one operator instance.
#[derive(Debug, Default)]
pub struct OperatorMetrics {
    /// Rows taken in.
    pub rows_in: AtomicU64,
    /// Rows that left.
    pub rows_out: AtomicU64,
    /// Rows that came too late for it.
    pub late: AtomicU64,
    /// Bytes of state at the last barrier.
    pub state_bytes: AtomicU64,
}

/// Counters of epochs.
#[derive(Debug, Default)]
pub struct CheckpointMetrics {
    /// Newest committed epoch.
    pub epoch: AtomicU64,
    /// How long the newest took from trigger to durable manifest, µs.
    pub duration_us: AtomicU64,
    /// Bytes of state written for the newest.
    pub bytes: AtomicU64,
    /// When the newest was committed, ms since 1970.
    pub committed_ms: AtomicI64,
}

impl Metrics {
    /// The ledger over all partitions.
    pub fn total(&self) -> RowCounts {
        let mut total = RowCounts::default();
        for partition in &self.partitions {
            total += partition.counts();
        }
        total
    }

    /// The counters of a sink, made at first use.
    pub fn sink(&self, table: &str) -> Arc<SinkMetrics> {
        Arc::clone(&self.sinks.entry(table.to_owned()).or_default())
    }

    /// The counters of an operator instance, made at first use.
    pub fn operator(&self, name: &str) -> Arc<OperatorMetrics> {
        Arc::clone(&self.operators.entry(name.to_owned()).or_default())
    }

    /// Bytes of memory the process holds, from the kernel; `None` where it does not tell.
    pub fn resident_bytes() -> Option<u64> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let kib = status
            .lines()
            .find_map(|l| l.strip_prefix("VmRSS:"))?
            .trim()
            .strip_suffix("kB")?
            .trim()
            .parse::<u64>()
            .ok()?;
        Some(kib * 1024)
    }
}
