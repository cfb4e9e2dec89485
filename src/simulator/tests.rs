//! The generated stream as a whole: reproducible, addressable by offset, and honest about its truth.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::score::{Alert, score};
use super::*;
use crate::error::Result;

/// A row kept.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    device: String,
    value: Vec<u8>,
    event_time_us: i64,
    due_us: i64,
    tick: u64,
    anomaly: Option<AnomalyKind>,
    repeated: bool,
}

fn take(stream: &mut SiteStream, rows: usize) -> Result<Vec<Kept>> {
    let mut kept = Vec::new();
    while kept.len() < rows && stream.advance()? {
        let row = stream.row();
        kept.push(Kept {
            device: row.device.to_owned(),
            value: row.value.to_vec(),
            event_time_us: row.event_time_us,
            due_us: row.due_us,
            tick: row.tick,
            anomaly: row.anomaly,
            repeated: row.repeated,
        });
    }
    Ok(kept)
}

/// A small fleet in which everything happens often.
fn lively() -> Config {
    let mut config = Config { start_us: 1_763_640_000_000_000, devices: 24, rate: 24, ..Config::default() };
    config.anomalies =
        AnomalyRates { spike: 8e-4, level_shift: 2e-4, drift: 2e-4, stuck: 2e-4, dropout: 3e-4, noise_burst: 2e-4 };
    config.faults = FaultRates {
        out_of_order: 0.2,
        duplicated: 0.05,
        clock_behind: 0.2,
        clock_ahead: 0.1,
        silent: 0.2,
        ..FaultRates::default()
    };
    config
}

#[test]
fn the_same_config_gives_the_same_bytes() -> Result<()> {
    let rows = take(&mut SiteStream::starting_at(&lively(), 2, 0)?, 3000)?;
    assert_eq!(rows, take(&mut SiteStream::starting_at(&lively(), 2, 0)?, 3000)?);
    let other = Config { seed: 43, ..lively() };
    assert_ne!(rows, take(&mut SiteStream::starting_at(&other, 2, 0)?, 3000)?);
    // The bytes must not change between versions either: stored offsets point into this stream.
    let all: Vec<u8> = rows.into_iter().flat_map(|row| row.value).collect();
    assert_eq!(crc32fast::hash(&all), PINNED_CHECKSUM);
    Ok(())
}

/// CRC-32 of the first 3000 messages of site 2 of the lively fleet.
const PINNED_CHECKSUM: u32 = 3_308_105_618;

#[test]
fn messages_have_the_documented_shape() -> Result<()> {
    let config = Config { start_us: 1_763_640_000_000_000, ..Config::default() };
    for site in 0..4 {
        let mut lengths = 0;
        let rows = take(&mut SiteStream::starting_at(&config, site, 5000)?, 1000)?;
        for row in &rows {
            let text = std::str::from_utf8(&row.value).expect("UTF-8");
            let message: serde_json::Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(message["device_id"], row.device.as_str());
            assert_eq!(message["broker"], format!("broker_{}", site + 1));
            assert_eq!(parse_time(message["timestamp"].as_str().expect("text"))?, row.event_time_us);
            assert_eq!(message["timestamp"].as_str().map(str::len), Some(26));
            let data = message["data"].as_f64().expect("a number");
            let features = message["raw_features"].as_object().expect("an object");
            assert_eq!(features.len(), 13);
            assert!(features.values().all(|v| v.is_number() || v.is_null()));
            let metric = features["tcp.ack"].as_f64().or_else(|| features["tcp.seq"].as_f64());
            assert_eq!(metric, Some(data));
            assert_eq!(features["Attack_label"] == 1, row.anomaly.is_some());
            let number: u32 = row.device.strip_prefix("device_").and_then(|n| n.parse().ok()).expect("a number");
            assert_eq!((number / 600) % 4, u32::from(site));
            lengths += row.value.len();
        }
        assert!((350..=450).contains(&(lengths / rows.len())), "{} bytes", lengths / rows.len());
    }
    Ok(())
}

#[test]
fn nulls_and_many_features_are_json_too() -> Result<()> {
    let config = Config { features: 44, ..lively() };
    let rows = take(&mut SiteStream::starting_at(&config, 0, 0)?, 50)?;
    let messages: Vec<serde_json::Value> =
        rows.iter().filter_map(|row| serde_json::from_slice(&row.value).ok()).collect();
    assert_eq!(messages.len(), 50);
    assert!(messages.iter().all(|m| m["raw_features"].as_object().is_some_and(|f| f.len() == 44)));
    assert!(
        messages
            .iter()
            .any(|m| m["raw_features"].as_object().is_some_and(|f| f.values().any(serde_json::Value::is_null)))
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn starting_at_an_offset_equals_skipping_rows(offset in 0u64..6000, site in 0u16..4, look_ahead in any::<bool>()) {
        let config = lively();
        let rows = 400usize;
        let check = || -> Result<()> {
            let mut whole = SiteStream::starting_at(&config, site, 0)?;
            let skipped = take(&mut whole, offset as usize)?.len();
            if (skipped as u64) < offset {
                // All devices of the site have fallen silent before.
                assert!(SiteStream::starting_at(&config, site, offset).is_err());
                return Ok(());
            }
            whole.take_labels();
            let mut started = SiteStream::starting_at(&config, site, offset)?;
            if look_ahead {
                started.next_due_us()?;
            }
            assert_eq!(started.next_offset(), offset);
            assert_eq!(take(&mut whole, rows)?, take(&mut started, rows)?);
            assert_eq!(whole.take_labels(), started.take_labels());
            Ok(())
        };
        prop_assert!(check().is_ok());
    }
}

#[test]
fn a_stream_of_silent_devices_ends() -> Result<()> {
    let mut config = lively();
    config.faults.silent = 1.0;
    let mut stream = SiteStream::starting_at(&config, 1, 0)?;
    let rows = take(&mut stream, usize::MAX)?.len() as u64;
    assert!(rows > 600);
    assert_eq!(stream.next_due_us()?, None);
    let mut at_end = SiteStream::starting_at(&config, 1, rows)?;
    assert!(!at_end.advance()?);
    assert!(SiteStream::starting_at(&config, 1, rows + 1).is_err());
    Ok(())
}

#[test]
fn a_site_without_devices_is_empty() -> Result<()> {
    let config = Config { devices: 2, rate: 2, ..Config::default() };
    assert!(!SiteStream::starting_at(&config, 3, 0)?.advance()?);
    Ok(())
}

#[test]
fn rows_leave_in_order_and_delays_keep_their_bound() -> Result<()> {
    for rate in [2, 24, 240, 2400] {
        let mut config = Config { rate, ..lively() };
        config.faults.clock_ahead = 0.0;
        config.faults.clock_behind = 0.0;
        let rows = take(&mut SiteStream::starting_at(&config, 0, 0)?, 8000)?;
        assert!(rows.is_sorted_by_key(|row| row.due_us));
        let slot_us = (24 * 1_000_000 / rate / 6) as i64;
        let mut newest = i64::MIN;
        let mut disordered = 0;
        for row in &rows {
            assert!(row.due_us >= row.event_time_us);
            newest = newest.max(row.event_time_us);
            assert!(newest - row.event_time_us <= 2_000_000 + slot_us, "rate {rate}: {}", newest - row.event_time_us);
            disordered += usize::from(newest > row.event_time_us);
        }
        // At two rows a second a slot of this site lasts two seconds: only then is there no room for a delay.
        assert!(disordered > rows.len() / 10 || rate == 2, "rate {rate}: {disordered}");
    }
    Ok(())
}

#[test]
fn clocks_and_repetitions_go_wrong_as_asked() -> Result<()> {
    let config = lively();
    let rows = take(&mut SiteStream::starting_at(&config, 0, 0)?, 20_000)?;
    let repeated = rows.iter().filter(|row| row.repeated).count();
    assert!((600..1400).contains(&repeated), "{repeated}");
    assert!(rows.windows(2).all(|pair| !pair[1].repeated || pair[0].value == pair[1].value));
    let mut skews: BTreeMap<&str, BTreeSet<bool>> = BTreeMap::new();
    for site in 0..4u16 {
        for row in take(&mut SiteStream::starting_at(&config, site, 0)?, 2000)? {
            let ahead = row.event_time_us > row.due_us;
            skews.entry(if ahead { "ahead" } else { "right or behind" }).or_default().insert(ahead);
            assert!(!ahead || row.event_time_us - row.due_us > 47 * 3600 * 1_000_000);
        }
    }
    assert_eq!(skews.len(), 2);
    Ok(())
}

#[test]
fn labels_tell_where_the_rows_are() -> Result<()> {
    let config = lively();
    let mut ends: BTreeMap<String, i64> = BTreeMap::new();
    let mut kinds = BTreeSet::new();
    for site in 0..4 {
        let mut stream = SiteStream::starting_at(&config, site, 0)?;
        let rows = take(&mut stream, 20_000)?;
        let mut labels = stream.take_labels();
        labels.sort_by_key(|label| (label.device_id.clone(), label.start));
        for label in &labels {
            kinds.insert(label.kind);
            assert_eq!(label.partition, i32::from(site));
            let free_from = ends.insert(label.device_id.clone(), label.settled);
            assert!(free_from.is_none_or(|free| free < label.start), "{label:?} overlaps");
            let times: Vec<(usize, i64)> = rows
                .iter()
                .enumerate()
                .filter(|(_, row)| {
                    row.device == label.device_id && (label.start..=label.end).contains(&row.event_time_us)
                })
                .map(|(offset, row)| (offset, row.event_time_us))
                .collect();
            if label.kind == AnomalyKind::Dropout {
                assert!(times.is_empty() && label.start_offset.is_none());
                continue;
            }
            assert!(times.iter().any(|(_, time)| *time == label.start));
            // The last rows of those that began late are not among the rows taken.
            let ended = times.iter().any(|(_, time)| *time == label.end);
            assert!(ended || label.end > rows.last().map_or(0, |row| row.due_us) - 50 * 3600 * 1_000_000);
            assert_eq!(times.iter().map(|(offset, _)| *offset as i64).min(), label.start_offset);
            assert!(times.iter().all(|(offset, _)| rows[*offset].anomaly == Some(label.kind)));
        }
        // No anomalous row without its label, not even of those still under way.
        let told: usize = rows.iter().filter(|row| row.anomaly.is_some()).count();
        let labelled = rows
            .iter()
            .filter(|row| {
                labels.iter().any(|l| l.device_id == row.device && (l.start..=l.end).contains(&row.event_time_us))
            })
            .count();
        assert_eq!(told, labelled);
    }
    assert_eq!(kinds.len(), 6);
    Ok(())
}

#[test]
fn a_label_is_told_when_its_anomaly_begins() -> Result<()> {
    let config = lively();
    let mut stream = SiteStream::starting_at(&config, 0, 0)?;
    let (mut told, mut labelled) = (BTreeSet::new(), BTreeSet::new());
    for offset in 0..20_000i64 {
        assert!(stream.advance()?);
        let row = stream.row();
        let (device, anomaly, due_us) = (row.device.to_owned(), row.anomaly, row.due_us);
        for label in stream.take_labels() {
            assert!(told.insert(label.anomaly_id.clone()), "{label:?} is told twice");
            match label.kind {
                AnomalyKind::Dropout => assert_eq!(label.start_offset, None),
                _ => assert_eq!((label.start_offset, &label.device_id), (Some(offset), &device)),
            }
            labelled.insert((label.device_id, label.kind));
        }
        if let Some(kind) = anomaly {
            assert!(labelled.contains(&(device, kind)), "row {offset} at {due_us} comes before its label");
        }
    }
    assert!(told.len() > 20);
    Ok(())
}

/// The detector of `queries/anomaly.sql`, written without the engine: population statistics over 100 rows.
fn rolling_alerts(readings: &[(i64, f64)]) -> Vec<i64> {
    let mut frame = VecDeque::new();
    let mut alerts = Vec::new();
    for (time, value) in readings {
        frame.push_back(*value);
        if frame.len() > 100 {
            frame.pop_front();
        }
        let n = frame.len() as f64;
        let mean = frame.iter().sum::<f64>() / n;
        let deviation = (frame.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt();
        if deviation > 0.0 && (value - mean).abs() / deviation > 2.5 {
            alerts.push(*time);
        }
    }
    alerts
}

#[test]
fn a_plain_detector_recalls_the_spikes_and_little_else() -> Result<()> {
    let config = Config { devices: 200, rate: 200, ..Config::default() };
    let mut readings: BTreeMap<String, Vec<(i64, u64, f64)>> = BTreeMap::new();
    let mut labels = Vec::new();
    for site in 0..4 {
        let mut stream = SiteStream::starting_at(&config, site, 0)?;
        while stream.next_due_us()?.is_some_and(|due| due < 3000 * 1_000_000) {
            stream.advance()?;
            let offset = stream.next_offset();
            let row = stream.row();
            let text = std::str::from_utf8(row.value).expect("UTF-8");
            let data = text.split("\"data\":").nth(1).and_then(|rest| rest.split(',').next());
            let data = data.and_then(|data| data.parse().ok()).expect("a number");
            readings.entry(row.device.to_owned()).or_default().push((row.event_time_us, offset, data));
        }
        labels.extend(stream.take_labels());
    }
    let mut alerts = Vec::new();
    for (device_id, mut rows) in readings {
        rows.sort_by_key(|(time, offset, _)| (*time, *offset));
        let rows: Vec<(i64, f64)> = rows.into_iter().map(|(time, _, data)| (time, data)).collect();
        alerts.extend(
            rolling_alerts(&rows)
                .into_iter()
                .map(|event_time_us| Alert { device_id: device_id.clone(), event_time_us }),
        );
    }
    let report = score(&alerts, &labels, Some(3000 * 1_000_000));
    let spikes = report.kinds.iter().find(|kind| kind.kind == AnomalyKind::Spike).map_or(0, |kind| kind.labelled);
    assert!(spikes > 400, "{report}");
    assert!(report.recall(AnomalyKind::Spike).is_some_and(|recall| recall >= 0.98), "{report}");
    assert!(report.precision().is_some_and(|precision| precision >= 0.95), "{report}");
    assert!(report.recall(AnomalyKind::LevelShift).is_some_and(|recall| recall >= 0.9), "{report}");
    Ok(())
}
