//! The main job recomputed without the engine: plain loops over the records of a topic.

use std::collections::BTreeMap;

use super::kafka::Record;

/// A reading as the topic holds it.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) device: String,
    pub(crate) time_ms: i64,
    pub(crate) value: f64,
}

/// An alert: id → score and severity.
pub(crate) type Alerts = BTreeMap<String, (f64, String)>;
/// A window: (device, end in ms) → (readings, mean, deviation).
pub(crate) type Windows = BTreeMap<(String, i64), (i64, f64, f64)>;

const DELAY_MS: i64 = 5_000;
const SKEW_MS: i64 = 60_000;
const WINDOW_MS: i64 = 30_000;

/// What the records of a topic are: readings in order, and how many were in the future or late by the
/// watermark of their own partition (max of time − 5 s over earlier records).
pub(crate) struct Input {
    pub(crate) readings: Vec<Reading>,
    pub(crate) future: usize,
    pub(crate) behind_watermark: usize,
}

/// Reads records as the main job's table does.
pub(crate) fn input(records: &[Record]) -> Input {
    let mut watermarks: BTreeMap<i32, i64> = BTreeMap::new();
    let mut input = Input { readings: Vec::new(), future: 0, behind_watermark: 0 };
    for record in records {
        let json: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
        let time =
            chrono::NaiveDateTime::parse_from_str(json["timestamp"].as_str().unwrap(), "%Y-%m-%dT%H:%M:%S%.f").unwrap();
        let time_ms = time.and_utc().timestamp_millis();
        if time_ms > record.timestamp + SKEW_MS {
            input.future += 1;
            continue;
        }
        let watermark = watermarks.entry(record.partition).or_insert(i64::MIN);
        input.behind_watermark += usize::from(time_ms <= *watermark);
        *watermark = (*watermark).max(time_ms - DELAY_MS);
        input.readings.push(Reading {
            partition: record.partition,
            offset: record.offset,
            device: json["device_id"].as_str().unwrap().to_owned(),
            time_ms,
            value: json["data"].as_f64().unwrap(),
        });
    }
    input
}

/// Alerts over the last 100 readings of each device, two passes per reading. The input must have no late row.
pub(crate) fn alerts(readings: &[Reading]) -> Alerts {
    let mut alerts = Alerts::new();
    for rows in by_device(readings).into_values() {
        for at in 0..rows.len() {
            let frame: Vec<f64> = rows[at.saturating_sub(99)..=at].iter().map(|r| r.value).collect();
            let (mean, deviation) = mean_and_deviation(&frame);
            if deviation <= 1e-9 {
                continue;
            }
            let score = (rows[at].value - mean).abs() / deviation;
            if score > 2.5 {
                let severity = if score > 5.0 { "critical" } else { "warning" };
                let id = format!("{}-{}-{}", rows[at].device, rows[at].partition, rows[at].offset);
                alerts.insert(id, (score, severity.to_owned()));
            }
        }
    }
    alerts
}

/// 30-second windows per device.
pub(crate) fn windows(readings: &[Reading]) -> Windows {
    let mut values: BTreeMap<(String, i64), Vec<f64>> = BTreeMap::new();
    for r in readings {
        let end = r.time_ms.div_euclid(WINDOW_MS) * WINDOW_MS + WINDOW_MS;
        values.entry((r.device.clone(), end)).or_default().push(r.value);
    }
    values
        .into_iter()
        .map(|(key, values)| {
            let (mean, deviation) = mean_and_deviation(&values);
            (key, (values.len() as i64, mean, deviation))
        })
        .collect()
}

/// Event time up to which every partition has spoken: readings at or before it have been scored.
pub(crate) fn watermark(readings: &[Reading]) -> i64 {
    let mut latest: BTreeMap<i32, i64> = BTreeMap::new();
    for r in readings {
        let time = latest.entry(r.partition).or_insert(i64::MIN);
        *time = (*time).max(r.time_ms - DELAY_MS);
    }
    latest.into_values().min().unwrap_or(i64::MIN)
}

fn by_device(readings: &[Reading]) -> BTreeMap<&str, Vec<&Reading>> {
    let mut devices: BTreeMap<&str, Vec<&Reading>> = BTreeMap::new();
    for r in readings {
        devices.entry(&r.device).or_default().push(r);
    }
    for rows in devices.values_mut() {
        rows.sort_by_key(|r| (r.time_ms, r.partition, r.offset));
    }
    devices
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
    (mean, variance.sqrt())
}
