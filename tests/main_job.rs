//! The main job on a real four-broker Kafka, against the independent recomputation of `support::oracle`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::oracle::{self, Alerts, Windows};
use crate::support::{self, doubles, kafka, longs, parquet, root, run, strings, text};

/// A directory with the main query pointed at topics of its own.
pub(crate) struct Job {
    /// One job at a time: they share two cores, and one test kills a broker.
    _turn: std::sync::MutexGuard<'static, ()>,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) bootstrap: String,
    pub(crate) input: String,
    pub(crate) output: String,
}

impl Job {
    /// `None` if there is no real Kafka.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let bootstrap = kafka::bootstrap(test)?;
        static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let directory = tempfile::tempdir().unwrap();
        let (input, output) = (kafka::topic("readings"), kafka::topic("alerts"));
        let query = std::fs::read_to_string(root().join("queries/anomaly.sql")).unwrap();
        let query = query
            .replace("'topic' = 'edge-iiot-stream'", &format!("'topic' = '{input}'"))
            .replace("'topic' = 'anomalies'", &format!("'topic' = '{output}'"));
        std::fs::write(directory.path().join("anomaly.sql"), query).unwrap();
        let job = Self { _turn: turn, directory, bootstrap, input, output };
        kafka::create_topics(&job.bootstrap, &[&job.input, &job.output]);
        Some(job)
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Sends simulated readings to the input topic and returns when all are acknowledged.
    pub(crate) fn simulate(&self, arguments: &[&str]) {
        let mut all =
            vec!["simulate", "--bootstrap", &self.bootstrap, "--topic", &self.input, "--labels", "labels.jsonl"];
        all.extend(arguments);
        let output = run(self.path(), &all);
        assert!(output.status.success(), "{}", text(&output));
    }

    /// `streamer run` with these further arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = support::streamer(self.path());
        command.env("KAFKA_BOOTSTRAP_SERVERS", &self.bootstrap).args(["run", "anomaly.sql", "--metrics-addr", "none"]);
        command.args(arguments);
        command
    }

    /// Runs until all of the input is read and stops.
    pub(crate) fn drain(&self, arguments: &[&str]) -> std::process::Output {
        let mut all = vec!["--drain"];
        all.extend(arguments);
        let output = self.command(&all).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        output
    }

    /// Alerts in the Parquet archive; every id once.
    pub(crate) fn archived(&self) -> Alerts {
        let batches = parquet(&self.path().join("data/out/anomalies"));
        let ids = strings(&batches, "alert_id");
        let scores = doubles(&batches, "z_score");
        let severities = strings(&batches, "severity");
        let count = ids.len();
        let alerts: Alerts = ids.into_iter().zip(scores.into_iter().zip(severities)).collect();
        assert_eq!(alerts.len(), count, "an alert is in the archive twice");
        alerts
    }

    pub(crate) fn archived_windows(&self) -> Windows {
        use arrow::array::AsArray;
        use arrow::datatypes::TimestampMillisecondType;
        let batches = parquet(&self.path().join("data/out/device_windows"));
        let ends = batches.iter().flat_map(|b| {
            let column = b.column_by_name("window_end").unwrap().clone();
            column.as_primitive::<TimestampMillisecondType>().values().to_vec()
        });
        let keys: Vec<_> = strings(&batches, "device_id").into_iter().zip(ends).collect();
        let values =
            longs(&batches, "readings").into_iter().zip(doubles(&batches, "mean")).zip(doubles(&batches, "std"));
        let count = keys.len();
        let windows: Windows = keys.into_iter().zip(values.map(|((n, mean), std)| (n, mean, std))).collect();
        assert_eq!(windows.len(), count, "a window is in the archive twice");
        windows
    }
}

/// The alerts must be those of the recomputation, every one, with the same score.
pub(crate) fn assert_alerts(found: &Alerts, expected: &Alerts) {
    let missing: Vec<_> = expected.keys().filter(|id| !found.contains_key(*id)).take(5).collect();
    let extra: Vec<_> = found.keys().filter(|id| !expected.contains_key(*id)).take(5).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "{} alerts, expected {}; missing {missing:?}, extra {extra:?}",
        found.len(),
        expected.len()
    );
    for (id, (score, severity)) in expected {
        let (got, got_severity) = &found[id];
        assert!((got - score).abs() <= 1e-9 * score.abs().max(1.0), "{id}: {got} instead of {score}");
        assert_eq!(got_severity, severity, "{id}");
    }
}

pub(crate) fn assert_windows(found: &Windows, expected: &Windows) {
    let missing: Vec<_> = expected.keys().filter(|key| !found.contains_key(*key)).take(5).collect();
    assert!(missing.is_empty(), "{} windows, expected {}; missing {missing:?}", found.len(), expected.len());
    assert_eq!(found.len(), expected.len());
    for (key, (count, mean, deviation)) in expected {
        let (got_count, got_mean, got_deviation) = found[key];
        assert_eq!(got_count, *count, "{key:?}");
        assert!((got_mean - mean).abs() <= 1e-9 * mean.abs().max(1.0), "{key:?}");
        assert!((got_deviation - deviation).abs() <= 1e-6 * deviation.abs().max(1.0), "{key:?}");
    }
}

/// What the job must have written once it has read all records and stopped: readings the watermark has
/// passed are scored, windows it has passed have fired.
pub(crate) fn expected_at_stop(input: &oracle::Input) -> (Alerts, Windows) {
    let told = oracle::watermark(&input.readings);
    let scored: BTreeMap<String, i64> =
        input.readings.iter().map(|r| (format!("{}-{}-{}", r.device, r.partition, r.offset), r.time_ms)).collect();
    let alerts = oracle::alerts(&input.readings).into_iter().filter(|(id, _)| scored[id] <= told).collect();
    let windows = oracle::windows(&input.readings).into_iter().filter(|((_, end), _)| end - 1 <= told).collect();
    (alerts, windows)
}

/// What the main job may hold in memory while it keeps up with a stream.
const STEADY_KB_MAX: u64 = 150 << 10;
/// The same while it reads a backlog as fast as it can: fetched records wait in every queue, and partitions
/// that are ahead wait for the others.
pub(crate) const CATCHING_UP_KB_MAX: u64 = 256 << 10;

pub(crate) fn assert_resident(peak_kb: u64, most_kb: u64) {
    println!("{peak_kb} kB resident");
    assert!(peak_kb > 0 && peak_kb <= most_kb, "{peak_kb} kB resident, at most {most_kb}");
}

/// A stream the debug build can follow: nothing waits, the job tells so, memory stays small.
#[test]
fn a_steady_stream_is_followed_in_little_memory() {
    let Some(job) = Job::new("a_steady_stream_is_followed_in_little_memory") else { return };
    let running = support::start(&mut job.command(&["--rows", "60000"]));
    let memory = running.watch_memory();
    job.simulate(&["--rows", "60000", "--rate", "6000", "--no-faults"]);
    let sent = std::time::Instant::now();
    let output = running.finish();
    let behind = sent.elapsed();
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    assert_eq!(support::ledger(&shown)["total"], [60_000, 60_000, 0, 0, 0, 0], "{shown}");
    assert!(behind < std::time::Duration::from_secs(5), "the job ended {behind:?} after the last reading");
    assert_resident(memory.join().unwrap(), STEADY_KB_MAX);
}

#[test]
fn alerts_and_windows_equal_the_recomputation() {
    let Some(job) = Job::new("alerts_and_windows_equal_the_recomputation") else { return };
    job.simulate(&["--rows", "300000", "--rate", "0", "--seed", "7"]);
    let running = support::start(&mut job.command(&["--drain"]));
    let memory = running.watch_memory();
    let output = running.finish();
    assert!(output.status.success(), "{}", text(&output));
    assert_resident(memory.join().unwrap(), CATCHING_UP_KB_MAX);
    let records = kafka::records(&job.bootstrap, &job.input);
    assert_eq!(records.len(), 300_000);
    let input = oracle::input(&records);
    assert_eq!(input.behind_watermark, 0, "the simulator's default faults make no row late");
    let (alerts, windows) = expected_at_stop(&input);
    assert!(alerts.len() > 100 && windows.len() > 2400, "{} alerts, {} windows", alerts.len(), windows.len());
    assert_alerts(&job.archived(), &alerts);
    assert_windows(&job.archived_windows(), &windows);
    let sent: Vec<String> = kafka::records(&job.bootstrap, &job.output)
        .iter()
        .map(|r| {
            serde_json::from_slice::<serde_json::Value>(&r.value).unwrap()["alert_id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(sent.len(), alerts.len(), "no alert is in the topic twice without a crash");
    assert!(sent.iter().all(|id| alerts.contains_key(id)));
    let shown = text(&output);
    assert!(shown.contains("300,000 =") && !shown.contains("unaccounted"), "{shown}");
    assert!(input.future > 0, "devices with clocks far ahead are part of the default fleet");
}
