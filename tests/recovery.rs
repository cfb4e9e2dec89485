//! Stops, kills and broker failures of the real binary on a real Kafka: no row is lost, the state goes on.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::main_job::{CATCHING_UP_KB_MAX, Job, assert_alerts, assert_resident, assert_windows, expected_at_stop};
use crate::support::{kafka, oracle, parquet, start, text, visible_files, wait_until};

/// How long after its first epoch with rows each run of the kill loop is killed.
const KILLED_AFTER_MS: [u64; 4] = [50, 350, 600, 150];

/// Number of the newest manifest of a directory; 1 only pins where the job starts.
pub(crate) fn newest_epoch(manifests: &Path) -> u64 {
    let names = visible_files(manifests);
    names.iter().filter_map(|path| path.file_stem()?.to_str()?.parse().ok()).max().unwrap_or(0)
}

#[test]
fn kill_minus_nine_loses_no_row() {
    let Some(job) = Job::new("kill_minus_nine_loses_no_row") else { return };
    job.simulate(&["--rows", "400000", "--rate", "0", "--seed", "11"]);
    let manifests = job.path().join("data/state/anomaly/checkpoint/m");
    for killed_after_ms in KILLED_AFTER_MS {
        let before = newest_epoch(&manifests).max(1);
        let running = start(job.command(&[]).stdout(Stdio::null()).stderr(Stdio::null()));
        wait_until("an epoch of this run", || newest_epoch(&manifests) > before);
        std::thread::sleep(Duration::from_millis(killed_after_ms));
        running.signal("KILL");
        drop(running.finish());
    }
    let output = job.drain(&[]);
    let shown = text(&output);
    assert!(shown.contains("restored"), "{shown}");
    assert!(shown.contains("400,000 =") && !shown.contains("unaccounted"), "{shown}");
    let input = oracle::input(&kafka::records(&job.bootstrap, &job.input));
    let (alerts, windows) = expected_at_stop(&input);
    assert_alerts(&job.archived(), &alerts);
    assert_windows(&job.archived_windows(), &windows);
    // At least once in Kafka: nothing missing, what is doubled has the same id.
    let sent: std::collections::BTreeSet<String> = kafka::records(&job.bootstrap, &job.output)
        .iter()
        .map(|r| {
            serde_json::from_slice::<serde_json::Value>(&r.value).unwrap()["alert_id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(sent, alerts.keys().cloned().collect());
}

#[test]
fn a_stop_longer_than_the_watermark_delay_makes_no_row_late() {
    let Some(job) = Job::new("a_stop_longer_than_the_watermark_delay_makes_no_row_late") else { return };
    job.simulate(&["--rows", "100000", "--rate", "0", "--seed", "13"]);
    let running = start(job.command(&["--rows", "30000"]).stderr(Stdio::piped()));
    let first = running.finish();
    assert!(first.status.success(), "{}", text(&first));
    assert!(!text(&first).contains("100,000 ="), "the first run stops before the end: {}", text(&first));
    // The wall clock goes on by more than the delay of 5 s while the job is down.
    std::thread::sleep(Duration::from_secs(6));
    let output = job.drain(&[]);
    assert!(!text(&output).contains("late rows"), "{}", text(&output));
    let input = oracle::input(&kafka::records(&job.bootstrap, &job.input));
    let (alerts, windows) = expected_at_stop(&input);
    assert_alerts(&job.archived(), &alerts);
    assert_windows(&job.archived_windows(), &windows);
}

#[test]
fn a_broker_that_dies_loses_no_row() {
    let Some(job) = Job::new("a_broker_that_dies_loses_no_row") else { return };
    if std::env::var_os("KAFKA_DIR").is_none() {
        println!("not run: a_broker_that_dies_loses_no_row needs the cluster of scripts/test");
        return;
    }
    job.simulate(&["--rows", "200000", "--rate", "0", "--seed", "17", "--keep", "fleet.json"]);
    let running = start(job.command(&["--rows", "400000"]).stderr(Stdio::piped()));
    std::thread::sleep(Duration::from_millis(700));
    kafka::script(&["stop", "2"]);
    job.simulate(&["--rows", "200000", "--rate", "0", "--keep", "fleet.json"]);
    kafka::script(&["start", "2"]);
    let output = running.finish();
    assert!(output.status.success(), "{}", text(&output));
    let input = oracle::input(&kafka::records(&job.bootstrap, &job.input));
    let (alerts, windows) = expected_at_stop(&input);
    assert_alerts(&job.archived(), &alerts);
    assert_windows(&job.archived_windows(), &windows);
}

/// A backlog whose partitions drain one after the other: all brokers but one are held, in turn, so that each
/// time one partition runs ahead of the others. Engines that compare rows with the operator's watermark lose
/// rows here; the answer must be that of the recomputation, with no row late.
#[test]
fn catch_up_over_unevenly_drained_partitions_loses_nothing() {
    let Some(job) = Job::new("catch_up_over_unevenly_drained_partitions_loses_nothing") else { return };
    if std::env::var_os("KAFKA_DIR").is_none() {
        println!("not run: catch_up_over_unevenly_drained_partitions_loses_nothing needs the cluster of scripts/test");
        return;
    }
    job.simulate(&["--rows", "1000000", "--rate", "0", "--seed", "19"]);
    let running = start(job.command(&["--rows", "1000000"]).stderr(Stdio::piped()));
    let memory = running.watch_memory();
    wait_until("an epoch with rows", || visible_files(&job.path().join("data/state/anomaly/checkpoint/m")).len() >= 2);
    for turn in 0..12 {
        let held: Vec<String> = (1..=4).filter(|node| *node != turn % 4 + 1).map(|node| node.to_string()).collect();
        held.iter().for_each(|node| drop(kafka::script(&["pause", node])));
        std::thread::sleep(Duration::from_millis(400));
        held.iter().for_each(|node| drop(kafka::script(&["resume", node])));
    }
    let output = running.finish();
    assert_resident(memory.join().unwrap(), CATCHING_UP_KB_MAX);
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("1,000,000 =") && !shown.contains("late rows") && !shown.contains("unaccounted"), "{shown}");
    let input = oracle::input(&kafka::records(&job.bootstrap, &job.input));
    assert_eq!(input.behind_watermark, 0);
    let (alerts, windows) = expected_at_stop(&input);
    assert_alerts(&job.archived(), &alerts);
    assert_windows(&job.archived_windows(), &windows);
}

/// The embedded default: alerts soon, Ctrl-C stops cleanly, a second run goes on, the first alerts stay.
#[test]
fn the_embedded_default_shows_alerts_stops_and_continues() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("queries")).unwrap();
    let query = crate::support::root().join("queries/anomaly.sql");
    std::fs::copy(query, directory.path().join("queries/anomaly.sql")).unwrap();
    let go = || {
        start(crate::support::streamer(directory.path()).args(["run", "queries/anomaly.sql", "--metrics-addr", "none"]))
    };
    let archive = directory.path().join("data/out/anomalies");
    let running = go();
    wait_until("alerts in the archive", || !visible_files(&archive).is_empty());
    running.signal("INT");
    let first = running.finish();
    let shown = text(&first);
    assert!(first.status.success(), "{shown}");
    for part in
        ["streamer 0.1.0", "embedded", "edge_iiot_stream", "CRITICAL", "device_id=device_", "streamer sql -f", "new"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let before: usize = parquet(&archive).iter().map(|b| b.num_rows()).sum();
    assert!(before > 0);
    let running = go();
    wait_until("more alerts", || parquet(&archive).iter().map(|b| b.num_rows()).sum::<usize>() > before);
    running.signal("TERM");
    let second = running.finish();
    let shown = text(&second);
    assert!(second.status.success(), "{shown}");
    assert!(shown.contains("restored") && !shown.contains("unaccounted"), "{shown}");
    let ids = crate::support::strings(&parquet(&archive), "alert_id");
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "no alert twice in the archive");
}

/// `streamer run … | head`: when nobody reads any more, the job stops as on Ctrl-C.
#[test]
fn a_closed_output_stops_the_job() {
    let directory = tempfile::tempdir().unwrap();
    let script =
        "CREATE TABLE t (a BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000');\nSELECT a FROM t;\n";
    std::fs::write(directory.path().join("q.sql"), script).unwrap();
    let mut running =
        start(crate::support::streamer(directory.path()).args(["run", "q.sql", "--metrics-addr", "none"]));
    let mut output = std::io::BufReader::new(running.0.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut String::new()).unwrap();
    drop(output);
    wait_until("the job to stop", || running.0.try_wait().unwrap().is_some());
    assert!(running.finish().status.success());
}

/// A second signal leaves at once, even while the sink waits for a reader, and what was committed is kept.
#[test]
fn a_second_signal_leaves_at_once() {
    let directory = tempfile::tempdir().unwrap();
    // One row is larger than a pipe holds: once its first byte is there, the sink waits for the rest to be read.
    let script = "CREATE TABLE t (a STRING) WITH ('connector' = 'datagen', 'rows-per-second' = '10', 'fields.a.length' = '1000000');\n\
                  CREATE TABLE o (a STRING) WITH ('connector' = 'print');\nINSERT INTO o SELECT a FROM t;\n";
    std::fs::write(directory.path().join("q.sql"), script).unwrap();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut running =
            start(crate::support::streamer(directory.path()).args(["run", "q.sql", "--metrics-addr", "none"]));
        let mut output = running.0.stdout.take().unwrap();
        std::io::Read::read_exact(&mut output, &mut [0]).unwrap();
        running.signal(signal);
        // Two signals of a kind that are waiting are one: the second is sent until it is heard.
        wait_until("the end", || {
            running.signal(signal);
            running.0.try_wait().unwrap().is_some()
        });
        let ended = running.0.wait().unwrap();
        assert_eq!(ended.code(), Some(code), "{signal}");
    }
    let again = crate::support::run(directory.path(), &["run", "q.sql", "--metrics-addr", "none", "--rows", "1"]);
    let shown = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.success() && shown.contains("restored") && !shown.contains("unaccounted"), "{shown}");
}

/// A script whose plan no longer fits its state refuses to start and says what to do.
#[test]
fn changed_scripts_refuse_old_state() {
    let directory = tempfile::tempdir().unwrap();
    let script = |column: &str| {
        let text = format!(
            "CREATE TABLE t (a BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000');\n\
             CREATE TABLE o (a BIGINT) WITH ('connector' = 'blackhole');\nINSERT INTO o SELECT {column} FROM t;\n"
        );
        std::fs::write(directory.path().join("q.sql"), text).unwrap();
    };
    let go = |more: &[&str]| {
        let mut arguments = vec!["run", "q.sql", "--duration", "1s", "--metrics-addr", "none"];
        arguments.extend(more);
        crate::support::run(directory.path(), &arguments)
    };
    script("a");
    assert!(go(&[]).status.success());
    script("a + 1");
    let refused = go(&[]);
    let shown = text(&refused);
    assert_eq!(refused.status.code(), Some(1), "{shown}");
    assert!(shown.contains("--fresh") && shown.contains("--state"), "{shown}");
    assert!(shown.contains("the columns that INSERT INTO o computes changed"), "{shown}");
    assert!(go(&["--fresh"]).status.success());
}
