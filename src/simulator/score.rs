//! How good a detector is: its alerts against the ground truth. Pure: rows in, report out.
//!
//! The rules. Times are compared in milliseconds, by the device's clock.
//! - An alert is **true** if it lies inside a labelled anomaly of its device, or within the 100 readings after its
//!   end (`Label::settled`): the rolling frame still holds the anomaly. Precision = true alerts / alerts.
//! - A **spike** is recalled if an alert of its device has exactly its event time; any other kind if an alert lies
//!   between its start and its end. Delay = first such alert − start.
//! - Alerts told twice (same device and time) count once.
//! - Recall counts the labels that end at or before `until`: the job had seen all of them. Precision uses all
//!   labels: an alert on a drift that is still under way is true.
//! - Windows of replayed series have no time after their end: an alert is true only inside.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::labels::Label;
use super::schedule::AnomalyKind;

/// An alert of the job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alert {
    /// The device.
    pub device_id: String,
    /// Event time of the reading, µs since 1970.
    pub event_time_us: i64,
}

/// How one kind of anomaly was found.
#[derive(Debug, Clone, PartialEq)]
pub struct KindScore {
    /// The kind.
    pub kind: AnomalyKind,
    /// How many there were.
    pub labelled: u64,
    /// How many were found.
    pub found: u64,
    /// Median time from start to the first alert, of those found.
    pub median_delay: Option<Duration>,
}

/// How a device (a replayed file) was judged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceScore {
    /// The device.
    pub device_id: String,
    /// Anomalies it had.
    pub labelled: u64,
    /// Anomalies found.
    pub found: u64,
    /// Alerts it got.
    pub alerts: u64,
    /// Alerts that were true.
    pub true_alerts: u64,
}

/// The score of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Distinct alerts.
    pub alerts: u64,
    /// Those that were true.
    pub true_alerts: u64,
    /// By kind, those with labels.
    pub kinds: Vec<KindScore>,
    /// By device, those with labels or alerts.
    pub devices: Vec<DeviceScore>,
}

/// `part / whole`; `None` if there is nothing to divide by.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl KindScore {
    /// Found of labelled.
    pub fn recall(&self) -> Option<f64> {
        share(self.found, self.labelled)
    }
}

impl DeviceScore {
    /// True of all alerts.
    pub fn precision(&self) -> Option<f64> {
        share(self.true_alerts, self.alerts)
    }
}

impl Report {
    /// True of all alerts; `None` without alerts.
    pub fn precision(&self) -> Option<f64> {
        share(self.true_alerts, self.alerts)
    }

    /// Recall of a kind; `None` without labels of it.
    pub fn recall(&self, kind: AnomalyKind) -> Option<f64> {
        self.kinds.iter().find(|score| score.kind == kind)?.recall()
    }

    /// The table per device, for replayed series.
    pub fn device_table(&self) -> String {
        let width = self.devices.iter().map(|d| d.device_id.len()).max().unwrap_or(0).max(6);
        let mut text = format!("{:width$}  anomalies  found  alerts   true  precision\n", "device");
        for device in &self.devices {
            let DeviceScore { device_id, labelled, found, alerts, true_alerts } = device;
            let precision = percent(device.precision());
            text +=
                &format!("{device_id:width$}  {labelled:9}  {found:5}  {alerts:6}  {true_alerts:5}  {precision:>9}\n");
        }
        text
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.2} %", share * 100.0))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "alerts     {} ({} true)", self.alerts, self.true_alerts)?;
        writeln!(f, "precision  {}", percent(self.precision()))?;
        writeln!(f, "kind         labelled   found     recall  median delay")?;
        for kind in &self.kinds {
            let delay = kind.median_delay.map_or_else(|| "-".to_owned(), |d| format!("{:.3} s", d.as_secs_f64()));
            let recall = percent(kind.recall());
            writeln!(f, "{:11}  {:8}  {:6}  {recall:>9}  {delay:>12}", kind.kind.name(), kind.labelled, kind.found)?;
        }
        Ok(())
    }
}

/// Compares `alerts` with `labels`; `until` is how far the job came, µs of event time (its watermark): recall
/// counts labels that end by then.
pub fn score(alerts: &[Alert], labels: &[Label], until: Option<i64>) -> Report {
    let ms = |us: i64| us.div_euclid(1000);
    let mut times: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for alert in alerts {
        times.entry(&alert.device_id).or_default().insert(ms(alert.event_time_us));
    }
    let mut devices: BTreeMap<&str, DeviceScore> = BTreeMap::new();
    let mut kinds: BTreeMap<AnomalyKind, (u64, Vec<i64>)> = BTreeMap::new();
    let mut true_times: BTreeSet<(&str, i64)> = BTreeSet::new();
    for label in labels {
        let (start, end, settled) = (ms(label.start), ms(label.end), ms(label.settled.max(label.end)));
        let found = times.get(label.device_id.as_str());
        // An anomaly under way makes alerts true, but is not asked to have been found.
        true_times.extend(
            found.into_iter().flat_map(|t| t.range(start..=settled.max(start))).map(|t| (label.device_id.as_str(), *t)),
        );
        if until.is_some_and(|until| label.end > until) {
            continue;
        }
        let first = found.and_then(|times| times.range(start..=end.max(start)).next());
        let device = devices.entry(&label.device_id).or_default();
        let kind = kinds.entry(label.kind).or_default();
        device.labelled += 1;
        kind.0 += 1;
        if let Some(first) = first {
            device.found += 1;
            kind.1.push(first - start);
        }
    }
    for (device_id, alerts) in &times {
        let device = devices.entry(device_id).or_default();
        device.alerts = alerts.len() as u64;
        device.true_alerts = alerts.iter().filter(|time| true_times.contains(&(*device_id, **time))).count() as u64;
    }
    let devices: Vec<DeviceScore> =
        devices.into_iter().map(|(id, score)| DeviceScore { device_id: id.to_owned(), ..score }).collect();
    Report {
        alerts: devices.iter().map(|d| d.alerts).sum(),
        true_alerts: devices.iter().map(|d| d.true_alerts).sum(),
        kinds: kinds.into_iter().map(|(kind, (labelled, delays))| kind_score(kind, labelled, delays)).collect(),
        devices,
    }
}

fn kind_score(kind: AnomalyKind, labelled: u64, mut delays_ms: Vec<i64>) -> KindScore {
    delays_ms.sort_unstable();
    let median_delay = delays_ms.get(delays_ms.len() / 2).map(|ms| Duration::from_millis(ms.unsigned_abs()));
    KindScore { kind, labelled, found: delays_ms.len() as u64, median_delay }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(id: &str, kind: AnomalyKind, start_s: i64, end_s: i64) -> Label {
        Label {
            anomaly_id: format!("{id}-{start_s}"),
            device_id: id.into(),
            kind,
            start: start_s * 1_000_000,
            end: end_s * 1_000_000,
            settled: (end_s + 100) * 1_000_000,
            start_offset: None,
            partition: 0,
            magnitude: 1.0,
        }
    }

    fn alert(id: &str, time_s: i64) -> Alert {
        Alert { device_id: id.into(), event_time_us: time_s * 1_000_000 }
    }

    #[test]
    fn each_rule_of_the_score() {
        let labels = [
            label("a", AnomalyKind::Spike, 1000, 1000),
            label("a", AnomalyKind::Spike, 2000, 2000),
            label("b", AnomalyKind::LevelShift, 1000, 1050),
            label("b", AnomalyKind::Drift, 5000, 5100),
        ];
        // At the spike (twice), in the frame after it, just too late; in the shift; another device's time.
        let alerts = [
            alert("a", 1000),
            alert("a", 1000),
            alert("a", 1100),
            alert("a", 1101),
            alert("b", 1007),
            alert("c", 1000),
        ];
        let report = score(&alerts, &labels, Some(4_000_000_000));
        assert_eq!((report.alerts, report.true_alerts), (5, 3));
        assert_eq!(report.recall(AnomalyKind::Spike), Some(0.5));
        assert_eq!(report.recall(AnomalyKind::LevelShift), Some(1.0));
        assert_eq!(report.recall(AnomalyKind::Drift), None, "the job did not come so far");
        let shift = report.kinds.iter().find(|k| k.kind == AnomalyKind::LevelShift);
        assert_eq!(shift.and_then(|k| k.median_delay), Some(Duration::from_secs(7)));
        assert!(report.to_string().contains("precision  60.00 %"), "{report}");
        assert!(report.device_table().contains("c "), "{}", report.device_table());
    }

    #[test]
    fn a_spike_is_not_recalled_by_a_neighbour() {
        let report = score(&[alert("a", 1001)], &[label("a", AnomalyKind::Spike, 1000, 1000)], None);
        assert_eq!(report.recall(AnomalyKind::Spike), Some(0.0));
        assert_eq!(report.precision(), Some(1.0));
    }

    #[test]
    fn an_anomaly_under_way_makes_alerts_true_and_is_not_asked_for() {
        let labels = [label("a", AnomalyKind::Drift, 1000, 1100), label("a", AnomalyKind::Spike, 3000, 3000)];
        let alerts = [alert("a", 1050), alert("a", 3000)];
        let drift = |until_s: i64| {
            let report = score(&alerts, &labels, Some(until_s * 1_000_000));
            (report.precision(), report.recall(AnomalyKind::Drift), report.recall(AnomalyKind::Spike))
        };
        assert_eq!(drift(1099), (Some(1.0), None, None));
        assert_eq!(drift(1100), (Some(1.0), Some(1.0), None));
        assert_eq!(drift(3000), (Some(1.0), Some(1.0), Some(1.0)));
    }

    #[test]
    fn nothing_to_score_is_no_division() {
        let report = score(&[], &[], None);
        assert_eq!(report.precision(), None);
        assert!(report.to_string().contains("precision  -"));
    }
}
