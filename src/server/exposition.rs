//! The counters of a job in the OpenMetrics text format: base units, `_total` on counters, few labels.

use std::fmt::Error as FmtError;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::error::{Error, Result};
use crate::metrics::{Metrics, PartitionMetrics};

/// The text of `/metrics`.
///
/// # Errors
/// `Internal` if a value has no text.
pub(super) fn text(metrics: &Arc<Metrics>) -> Result<String> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Job(Arc::clone(metrics))));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)
        .map_err(|_| Error::internal("the metrics have no text"))?;
    Ok(text)
}

#[derive(Debug)]
struct Job(Arc<Metrics>);

type Labels = Vec<(&'static str, String)>;

/// One metric family: name without `_total`, help, kind, and a value per set of labels.
struct Family {
    name: &'static str,
    help: &'static str,
    counter: bool,
    values: Vec<(Labels, f64)>,
}

impl Collector for Job {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::result::Result<(), FmtError> {
        for family in families(&self.0) {
            let kind = if family.counter { MetricType::Counter } else { MetricType::Gauge };
            let mut metric = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            for (labels, value) in &family.values {
                let encoder = metric.encode_family(labels)?;
                if family.counter {
                    ConstCounter::new(*value).encode(encoder)?;
                } else {
                    ConstGauge::new(*value).encode(encoder)?;
                }
            }
        }
        Ok(())
    }
}

fn families(metrics: &Metrics) -> Vec<Family> {
    let mut families = partition_families(metrics);
    let counter = |name, help, values| Family { name, help, counter: true, values };
    let gauge = |name, help, value: f64| Family { name, help, counter: false, values: vec![(Vec::new(), value)] };
    let sinks = |of: fn(&crate::metrics::SinkMetrics) -> u64| -> Vec<(Labels, f64)> {
        let mut values: Vec<_> =
            metrics.sinks.iter().map(|s| (vec![("sink", s.key().clone())], of(s.value()) as f64)).collect();
        values.sort_by(|a, b| a.0.cmp(&b.0));
        values
    };
    families.push(counter("streamer_sink_rows", "Rows written.", sinks(|s| s.rows.load(Ordering::Relaxed))));
    families.push(counter(
        "streamer_sink_dropped_rows",
        "Rows left out for a NULL in a column that is NOT NULL.",
        sinks(|s| s.dropped.load(Ordering::Relaxed)),
    ));
    let mut operators: Vec<_> = metrics
        .operators
        .iter()
        .map(|o| (vec![("operator", o.key().clone())], o.value().state_bytes.load(Ordering::Relaxed) as f64))
        .collect();
    operators.sort_by(|a, b| a.0.cmp(&b.0));
    families.push(Family {
        name: "streamer_state_bytes",
        help: "Keyed state held.",
        counter: false,
        values: operators,
    });
    let checkpoints = &metrics.checkpoints;
    families.push(gauge(
        "streamer_checkpoint_epoch",
        "Newest committed epoch.",
        checkpoints.epoch.load(Ordering::Relaxed) as f64,
    ));
    families.push(gauge(
        "streamer_checkpoint_duration_seconds",
        "From trigger to visible, newest epoch.",
        checkpoints.duration_us.load(Ordering::Relaxed) as f64 / 1e6,
    ));
    families.push(gauge(
        "streamer_checkpoint_size_bytes",
        "State written for the newest epoch.",
        checkpoints.bytes.load(Ordering::Relaxed) as f64,
    ));
    families.push(gauge(
        "streamer_checkpoint_timestamp_seconds",
        "When the newest epoch was committed, since 1970.",
        checkpoints.committed_ms.load(Ordering::Relaxed) as f64 / 1e3,
    ));
    if let Some(bytes) = Metrics::resident_bytes() {
        families.push(gauge("process_resident_memory_bytes", "Memory held.", bytes as f64));
    }
    let build = vec![(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1.0)];
    families.push(Family { name: "streamer_build_info", help: "Always 1.", counter: false, values: build });
    families
}

fn partition_families(metrics: &Metrics) -> Vec<Family> {
    type Read = fn(&PartitionMetrics) -> Option<f64>;
    let mut partitions: Vec<_> = metrics.partitions.iter().map(|p| (*p.key(), Arc::clone(p.value()))).collect();
    partitions.sort_by_key(|(id, _)| *id);
    let family = |name, help, counter, read: Read| Family {
        name,
        help,
        counter,
        values: partitions
            .iter()
            .filter_map(|(_, p)| {
                let labels = vec![
                    ("source", p.table.clone()),
                    ("topic", p.topic.clone()),
                    ("partition", p.partition.to_string()),
                ];
                Some((labels, read(p)?))
            })
            .collect(),
    };
    vec![
        family("streamer_source_records", "Records read.", true, |p| Some(p.counts().read as f64)),
        family("streamer_late_records", "Rows no operator could take any more.", true, |p| {
            Some(p.counts().late as f64)
        }),
        family("streamer_bad_records", "Records that could not be decoded.", true, |p| Some(p.counts().bad as f64)),
        family("streamer_future_records", "Rows too far ahead of their record's time.", true, |p| {
            Some(p.counts().future as f64)
        }),
        family("streamer_tombstone_records", "Records without a value.", true, |p| Some(p.counts().tombstones as f64)),
        family("streamer_lost_records", "Records gone before they were read, since the start.", true, |p| {
            Some(p.lost.load(Ordering::Relaxed) as f64)
        }),
        family("streamer_source_gaps", "Gaps in the offsets read, since the start; rows of ledger.gap.", true, |p| {
            Some(p.gaps.load(Ordering::Relaxed) as f64)
        }),
        family("streamer_source_next_offset", "First offset not read.", false, |p| {
            Some(p.next_offset.load(Ordering::Relaxed) as f64)
        }),
        family("streamer_source_lag_records", "Records waiting.", false, |p| {
            let lag = p.lag.load(Ordering::Relaxed);
            (lag >= 0).then_some(lag as f64)
        }),
        family("streamer_watermark_seconds", "Event time of the partition, since 1970.", false, |p| {
            let watermark = p.watermark.load(Ordering::Relaxed);
            (watermark > i64::MIN && watermark < i64::MAX).then_some(watermark as f64 / 1e3)
        }),
        family("streamer_source_idle", "1 if the partition is left out of the minimum.", false, |p| {
            Some(f64::from(u8::from(p.idle.load(Ordering::Relaxed))))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::PartitionId;

    #[test]
    fn tells_rows_and_lag_per_partition() -> Result<()> {
        let metrics = Arc::new(Metrics::default());
        let partition = PartitionMetrics::new("readings", "edge", 3, 0);
        partition.read.store(42, Ordering::Relaxed);
        metrics.partitions.insert(PartitionId(3), Arc::new(partition));
        let text = text(&metrics)?;
        let labels = "{source=\"readings\",topic=\"edge\",partition=\"3\"}";
        assert!(text.contains(&format!("streamer_source_records_total{labels} 42")), "{text}");
        assert!(!text.contains("streamer_source_lag_records{"), "an unknown lag is not told: {text}");
        Ok(())
    }
}
