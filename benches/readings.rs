//! The input of every subject: readings of the simulated fleet, partition by partition, as bytes.
//!
//! As much as the embedded cluster keeps of a partition, so that what is decoded in memory is what is fetched.

use streamer::broker::RETAINED_BYTES_PER_PARTITION;
use streamer::error::Result;
use streamer::simulator::{self, Config};

/// Partitions of the topic. With so many, each device has about 180 readings and a frame of 100 rows fills.
pub(crate) const PARTITIONS: u16 = 32;
/// Keys.
pub(crate) const DEVICES: u32 = 2400;
/// When the first reading was taken: 2025-11-20 12:00 UTC.
const START_US: i64 = 1_763_640_000_000_000;
/// Kept free of what a partition may hold, for the headers of its batches.
const MARGIN_BYTES: usize = 256 << 10;
/// Lengths, offset and time stamp of a record in its batch, at most.
const RECORD_HEAD_BYTES: usize = 20;

/// A message and what goes with it.
pub(crate) struct Reading {
    pub(crate) device: String,
    pub(crate) timestamp_ms: i64,
    /// As the simulator writes it, about 360 bytes.
    pub(crate) message: Vec<u8>,
    /// The same with three raw features, about 170 bytes.
    pub(crate) short: Vec<u8>,
}

/// Readings by partition.
pub(crate) struct Readings {
    pub(crate) partitions: Vec<Vec<Reading>>,
}

impl Readings {
    /// As many per partition as its topic keeps, at most `rows_max`.
    pub(crate) fn simulated(rows_max: usize) -> Result<Self> {
        let config =
            Config { start_us: START_US, devices: DEVICES, sites: PARTITIONS, rate: 2400, ..Config::default() };
        let mut partitions = Vec::new();
        for (_, mut feed) in simulator::feeds(&config, &[])? {
            let mut readings = Vec::new();
            let mut bytes = MARGIN_BYTES;
            while readings.len() < rows_max && feed.advance()? {
                let row = feed.row();
                bytes += row.device.len() + row.value.len() + RECORD_HEAD_BYTES;
                if bytes > RETAINED_BYTES_PER_PARTITION {
                    break;
                }
                readings.push(Reading {
                    device: row.device.to_owned(),
                    timestamp_ms: row.due_us / 1000,
                    message: row.value.to_vec(),
                    short: shortened(row.value),
                });
            }
            partitions.push(readings);
        }
        Ok(Self { partitions })
    }

    /// Number of readings.
    pub(crate) fn rows(&self) -> u64 {
        self.partitions.iter().map(|readings| readings.len() as u64).sum()
    }

    /// One line for the head of the table.
    pub(crate) fn description(&self) -> String {
        let rows = self.rows().max(1);
        let mean = |bytes: fn(&Reading) -> usize| {
            self.partitions.iter().flatten().map(|reading| bytes(reading) as u64).sum::<u64>() / rows
        };
        format!(
            "{rows} readings of {DEVICES} devices in {PARTITIONS} partitions; {} bytes each, shortened {}",
            mean(|reading| reading.message.len()),
            mean(|reading| reading.short.len()),
        )
    }
}

/// The message without its raw features from the fourth on.
fn shortened(message: &[u8]) -> Vec<u8> {
    let fields = message.iter().enumerate().filter(|(_, byte)| **byte == b',').map(|(at, _)| at);
    // Four fields and the first three features: the seventh comma ends them.
    let end = fields.take(7).last().unwrap_or(message.len());
    let mut short = message.iter().take(end).copied().collect::<Vec<u8>>();
    short.extend_from_slice(b"}}");
    short
}
