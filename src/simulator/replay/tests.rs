//! Replays of the kept series and of device files.

use super::*;
use crate::simulator::score::{Alert, score};

fn layout() -> Layout {
    Layout { sites: 4, start_us: 1_000_000_000, rate: 1000, seed: 7 }
}

fn nab_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/nab");
    let mut files: Vec<PathBuf> = ["realKnownCause", "artificialWithAnomaly"]
        .iter()
        .flat_map(|group| std::fs::read_dir(root.join(group)).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

#[test]
fn the_kept_series_replay_in_order_with_their_windows() -> Result<()> {
    let series = Series::read(&nab_files())?;
    assert_eq!(series.len(), 13);
    let windows =
        parse_windows(&read_text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/nab/combined_windows.json"))?)?;
    let (mut rows, mut labels, mut alerts) = (0, Vec::new(), Vec::new());
    for (partition, mut feed) in series_feeds(&series, &windows, &layout()) {
        let (mut newest, mut due) = (i64::MIN, i64::MIN);
        while let Some(next_due) = feed.next_due_us()? {
            assert!(feed.advance()?);
            let row = feed.row();
            assert!(row.event_time_us >= newest && row.due_us >= due && row.due_us == next_due);
            (newest, due) = (row.event_time_us, row.due_us);
            if rows % 997 == 0 {
                let message: serde_json::Value = serde_json::from_slice(row.value).expect("JSON");
                assert_eq!(message["device_id"], row.device);
                assert_eq!(message["broker"], format!("broker_{}", partition + 1));
                assert_eq!(message["raw_features"]["tcp.ack"], message["data"]);
            }
            if row.anomaly.is_some() {
                alerts.push(Alert { device_id: row.device.to_owned(), event_time_us: row.event_time_us });
            }
            rows += 1;
            let inside = row.anomaly.map(|_| (row.device.to_owned(), row.event_time_us));
            labels.extend(feed.take_labels());
            let known = |(device, time): &(String, i64)| {
                labels.iter().any(|l: &Label| l.device_id == *device && (l.start..=l.end).contains(time))
            };
            assert!(inside.as_ref().is_none_or(known), "{inside:?} comes before its label");
        }
        assert!(!feed.advance()?);
    }
    assert_eq!(rows, series.iter().map(|one| one.readings.len()).sum::<usize>());
    // Alerts on all rows inside windows are a perfect score.
    let report = score(&alerts, &labels, None);
    assert_eq!(report.precision(), Some(1.0));
    assert_eq!(report.recall(AnomalyKind::Window), Some(1.0));
    let expected: usize = series.iter().filter_map(|one| windows.get(&one.device_id)).map(Vec::len).sum();
    assert_eq!(labels.len(), expected);
    Ok(())
}

#[test]
fn a_wrong_series_is_told_with_its_line() {
    let told = |text| Series::parse(Path::new("s.csv"), text).err().map(|e| e.message().to_owned());
    assert_eq!(told("time,v\n").as_deref(), Some("no header \"timestamp,value\" in line 1 of \"s.csv\""));
    assert_eq!(
        told("timestamp,value\n2014-01-01 00:00:00,x\n").as_deref(),
        Some("\"x\" is not a number in line 2 of \"s.csv\"")
    );
    assert_eq!(
        told("timestamp,value\nsoon,1\n").as_deref(),
        Some("\"soon\" is not a date and time in line 2 of \"s.csv\"")
    );
    assert!(told("timestamp,value\n2014-01-01 00:00:00,NaN\n").is_some());
}

#[test]
fn device_files_are_sent_whole_in_random_order() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    for number in [0u32, 1, 600, 601] {
        let mut text = "frame.time,tcp.ack,tcp.seq,http.file_data,Attack_label,Attack_type\n".to_owned();
        for row in 0..40 {
            let ack = if row % 3 == 0 { String::new() } else { format!("{number}.5") };
            text += &format!("t,{ack},{row}.0,\"a,\"\"b\",{},Normal\n", row % 2);
        }
        std::fs::write(folder.path().join(format!("device_{number}.csv")), text).expect("written");
    }
    let files = device_files(folder.path())?;
    assert_eq!(files.len(), 4);
    assert!(device_files(&folder.path().join("none"))?.is_empty());
    let read = || -> Result<Vec<(i32, String, String)>> {
        let mut rows = Vec::new();
        for (partition, mut feed) in device_feeds(&files, |n| ((n / 600) % 4) as u16, &layout())? {
            while feed.advance()? {
                rows.push((
                    partition,
                    feed.row().device.to_owned(),
                    String::from_utf8_lossy(feed.row().value).into_owned(),
                ));
            }
        }
        Ok(rows)
    };
    let rows = read()?;
    assert_eq!(rows, read()?);
    assert_eq!(rows.len(), 160);
    for device in ["device_0", "device_600"] {
        let data: Vec<f64> = rows
            .iter()
            .filter(|row| row.1 == device)
            .map(|row| {
                serde_json::from_str::<serde_json::Value>(&row.2).expect("JSON")["data"].as_f64().expect("a number")
            })
            .collect();
        let metric: f64 = device.strip_prefix("device_").and_then(|n| n.parse().ok()).unwrap_or(0.0);
        let expected: Vec<f64> = (0..40).map(|row| if row % 3 == 0 { f64::from(row) } else { metric + 0.5 }).collect();
        assert_eq!(data, expected, "tcp.ack, else tcp.seq, in the order of the file");
    }
    assert!(rows.iter().all(|row| (row.0 == 0) == matches!(row.1.as_str(), "device_0" | "device_1")));
    let first: Vec<&str> = rows.iter().take(20).map(|row| row.1.as_str()).collect();
    assert!(first.contains(&"device_0") && first.contains(&"device_1"));
    Ok(())
}
