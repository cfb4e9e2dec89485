//! What the sinks must hold, by plain loops over the records of the input, and how far what they hold is from it.

use std::collections::{BTreeMap, VecDeque};

use super::sinks::Record;

/// Rows of an output: key → value. Both are made of all columns, so that a wrong one shows.
pub(crate) type Rows = BTreeMap<String, String>;

const DELAY_MS: i64 = 1_000;
const WINDOW_MS: i64 = 1_000;
/// Readings an OVER frame looks back on, its own included.
const FRAME: usize = 10;

/// The outputs of the script.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) readings: usize,
    /// By the script's name of the result.
    pub(crate) results: BTreeMap<&'static str, Rows>,
}

struct Reading {
    device: String,
    ms: i64,
    value: i64,
    partition: i32,
    offset: i64,
}

/// The columns of a result's key and of the rest.
pub(crate) fn columns(result: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match result {
        "rolling" => (&["p", "o"], &["device", "n", "total"]),
        _ => (&["device", "window_end"], &["n", "total"]),
    }
}

/// Recomputes both results.
pub(crate) fn expected(records: &[Record]) -> Expected {
    let mut readings: Vec<Reading> = records.iter().map(reading).collect();
    let mut latest: BTreeMap<i32, i64> = BTreeMap::new();
    for r in &readings {
        let latest = latest.entry(r.partition).or_insert(i64::MIN);
        assert!(r.ms > latest.saturating_sub(DELAY_MS), "the load has sent a late reading");
        *latest = (*latest).max(r.ms);
    }
    let watermark = latest.into_values().min().unwrap_or_default() - DELAY_MS;
    readings.sort_by_key(|r| (r.ms, r.partition, r.offset));
    let (mut frames, mut windows) =
        (BTreeMap::<&str, VecDeque<i64>>::new(), BTreeMap::<(&str, i64), (i64, i64)>::new());
    let mut rolling = Rows::new();
    for r in &readings {
        let frame = frames.entry(&r.device).or_default();
        frame.push_back(r.value);
        if frame.len() > FRAME {
            frame.pop_front();
        }
        if r.ms <= watermark {
            let (n, total) = (frame.len(), frame.iter().sum::<i64>());
            rolling.insert(format!("{}·{}", r.partition, r.offset), format!("{}·{n}·{total}", r.device));
        }
        let end = r.ms.div_euclid(WINDOW_MS) * WINDOW_MS + WINDOW_MS;
        if end - 1 <= watermark {
            let (n, total) = windows.entry((&r.device, end)).or_default();
            *n += 1;
            *total += r.value;
        }
    }
    let windows = windows.into_iter().map(|((device, end), (n, total))| {
        let end = chrono::DateTime::from_timestamp_millis(end).unwrap().format("%Y-%m-%d %H:%M:%S%.3f");
        (format!("{device}·{end}"), format!("{n}·{total}"))
    });
    let results = BTreeMap::from([("rolling", rolling), ("windows", windows.collect())]);
    Expected { readings: readings.len(), results }
}

fn reading(record: &Record) -> Reading {
    let json: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
    Reading {
        device: json["device"].as_str().unwrap().to_owned(),
        ms: json["ms"].as_i64().unwrap(),
        value: json["v"].as_i64().unwrap(),
        partition: record.partition,
        offset: record.offset,
    }
}

/// How a sink differs from what it must hold.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) rows: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    pub(crate) wrong: usize,
}

/// Compares what a sink holds with what it must; says of the first differences what they are.
pub(crate) fn compare(result: &str, found: &[serde_json::Value], expected: &Rows) -> (Difference, Vec<String>) {
    let text = |row: &serde_json::Value, names: &[&str]| -> String {
        let parts = names.iter().map(|name| match &row[*name] {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        parts.collect::<Vec<_>>().join("·")
    };
    let (keys, values) = columns(result);
    let mut seen: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for row in found {
        let seen = seen.entry(text(row, keys)).or_default();
        *seen = (seen.0 + 1, text(row, values));
    }
    let mut difference = Difference { rows: found.len(), ..Difference::default() };
    let mut told = Vec::new();
    let mut tell = |what: &str, key: &str| {
        if told.len() < 5 {
            told.push(format!("{what} {key}"));
        }
    };
    for (key, (times, value)) in &seen {
        if *times > 1 {
            difference.doubled += times - 1;
            tell("doubled", key);
        }
        if expected.get(key) != Some(value) {
            difference.wrong += 1;
            tell("wrong", &format!("{key}: {value} instead of {:?}", expected.get(key)));
        }
    }
    for key in expected.keys().filter(|key| !seen.contains_key(*key)) {
        difference.lost += 1;
        tell("lost", key);
    }
    (difference, told)
}
