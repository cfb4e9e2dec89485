//! The README's main command on the embedded default, judged by the simulator's labels; and recorded series
//! through the real Kafka, judged by theirs. One run serves several claims.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::main_job::Job;
use crate::recovery::newest_epoch;
use crate::support::{self, ledger, parquet, peak_resident_kb, root, start, strings, text, visible_files, wait_until};

/// A directory with the main query at the place the README names.
fn with_main_query() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("queries")).unwrap();
    std::fs::copy(root().join("queries/anomaly.sql"), directory.path().join("queries/anomaly.sql")).unwrap();
    directory
}

fn rows(directory: &Path) -> usize {
    parquet(directory).iter().map(arrow::array::RecordBatch::num_rows).sum()
}

/// What `streamer score` says of one kind of anomaly: (labelled, found).
fn kind(report: &str, name: &str) -> (u64, u64) {
    let line = report.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {report}"));
    let numbers: Vec<u64> = line.split_whitespace().skip(1).map_while(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}

/// The number of alerts `streamer score` judged.
fn judged(report: &str) -> u64 {
    report.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn assert_alerts_once(archive: &Path) {
    let ids = strings(&parquet(archive), "alert_id");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an alert is in the archive twice");
}

/// Every partition was read, and every row of it is somewhere.
fn assert_ledger(shown: &str) {
    let lines = ledger(shown);
    assert_eq!(lines.len(), 5, "four partitions and the total: {shown}");
    for (name, [read, accounted @ ..]) in &lines {
        assert!(*read > 0, "{name}: {shown}");
        assert_eq!(*read, accounted.iter().sum::<u64>(), "{name}: {shown}");
    }
    let total = lines["total"];
    for column in 0..total.len() {
        let sum: u64 = lines.iter().filter(|(name, _)| *name != "total").map(|(_, line)| line[column]).sum();
        assert_eq!(sum, total[column], "column {column}: {shown}");
    }
    assert!(!shown.contains("unaccounted"), "{shown}");
}

/// Alerts soon, nearly all of them true and no spike missed, in bounded memory, every row accounted for.
#[test]
fn the_default_fleet_scores_well_against_its_labels() {
    const ALERTS: usize = 1000;
    let directory = with_main_query();
    let in_results = |command: &mut std::process::Command| {
        command.env("STREAMER_OUT", "results").args(["--state", "results/state"]);
    };
    let mut command = support::streamer(directory.path());
    command.args(["run", "queries/anomaly.sql", "--rate", "9600", "--metrics-addr", "none"]);
    in_results(&mut command);
    let started = Instant::now();
    let mut running = start(&mut command);
    let mut out = BufReader::new(running.0.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let first_alert = started.elapsed();
    assert!(line.contains("alert_id=device_") && line.contains("z_score="), "{line}");
    assert!(first_alert <= Duration::from_secs(10), "the first alert came after {first_alert:?}");
    // The pipe has to be emptied: the job waits for whoever reads its alerts.
    let lines = std::thread::spawn(move || {
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        1 + rest.lines().count()
    });
    let archive = directory.path().join("results/anomalies");
    wait_until("alerts in the archive", || rows(&archive) >= ALERTS);
    let resident_kb = peak_resident_kb(running.0.id()).unwrap();
    running.signal("INT");
    let output = running.finish();
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert_ledger(&shown);
    assert!(lines.join().unwrap() > 1, "alerts go on being shown: {shown}");
    assert!(resident_kb <= 256 << 10, "{resident_kb} kB resident with cluster and simulator in the process");

    let mut score = support::streamer(directory.path());
    score.args(["score", "--min-recall", "0.95", "--min-precision", "0.9"]);
    in_results(&mut score);
    let scored = score.output().unwrap();
    let report = String::from_utf8_lossy(&scored.stdout).into_owned();
    assert_eq!(scored.status.code(), Some(0), "{}", text(&scored));
    // Two alerts on a reading that the simulator sent twice are one to judge.
    assert!(judged(&report) > ALERTS as u64 * 9 / 10, "{report}");
    assert!(kind(&report, "spike").0 >= 200, "too few spikes to judge by: {report}");
    assert_alerts_once(&archive);
    println!("first alert after {first_alert:?}, {resident_kb} kB resident\n{report}");
}

/// `kill -9` of the README's command, as it is written there: the second run goes on, and over both runs no
/// alert is there twice and no spike is missing.
#[test]
fn the_embedded_default_survives_kill_minus_nine() {
    let directory = with_main_query();
    let go = || {
        let mut command = support::streamer(directory.path());
        let null = std::process::Stdio::null;
        command.args(["run", "queries/anomaly.sql"]).stdin(null()).stdout(null()).stderr(std::process::Stdio::piped());
        support::Running(command.spawn().unwrap())
    };
    let archive = directory.path().join("data/out/anomalies");
    let state = directory.path().join("data/state/anomaly/checkpoint/m");
    let running = go();
    wait_until("an archived file and a later epoch", || {
        let archived = !visible_files(&archive).is_empty();
        archived && newest_epoch(&state) >= 4
    });
    running.signal("KILL");
    let killed = running.finish();
    assert_eq!(killed.status.code(), None, "{}", text(&killed));
    let (before, epoch) = (rows(&archive), newest_epoch(&state));
    assert!(before > 0);

    let running = go();
    wait_until("alerts of the second run", || rows(&archive) > before + 50);
    running.signal("INT");
    let output = running.finish();
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(shown.contains(&format!("epoch {epoch} of ")) && shown.contains("UTC restored"), "epoch {epoch}: {shown}");
    assert_ledger(&shown);

    assert_alerts_once(&archive);
    let scored = support::run(directory.path(), &["score", "--min-recall", "1", "--min-precision", "0.9"]);
    assert_eq!(scored.status.code(), Some(0), "{}", text(&scored));
    let report = String::from_utf8_lossy(&scored.stdout).into_owned();
    let (labelled, found) = kind(&report, "spike");
    assert!(labelled == found && labelled >= 50, "{report}");
    println!("{} rows over both runs\n{report}", ledger(&shown)["total"][0]);
    // A bound out of reach fails with a code of its own.
    let unreachable = support::run(directory.path(), &["score", "--min-recall", "1.01"]);
    assert_eq!(unreachable.status.code(), Some(5), "{}", text(&unreachable));
}

/// The Numenta Anomaly Benchmark's series through the real Kafka, as the README tells.
#[test]
fn recorded_series_through_kafka_score_as_measured() {
    let Some(job) = Job::new("recorded_series_through_kafka_score_as_measured") else { return };
    let data = root().join("data/nab");
    let series: Vec<_> =
        visible_files(&data).into_iter().filter(|p| p.extension().is_some_and(|e| e == "csv")).collect();
    let windows = data.join("combined_windows.json");
    let mut arguments = vec!["--rate", "0", "--windows", windows.to_str().unwrap(), "--replay"];
    arguments.extend(series.iter().map(|path| path.to_str().unwrap()));
    job.simulate(&arguments);
    let finished: Output = job.command(&["--set", "SCAN_BOUNDED_MODE=latest-offset"]).output().unwrap();
    let shown = text(&finished);
    assert!(finished.status.success() && shown.contains("finished: every input has ended"), "{shown}");
    let total = ledger(&shown)["total"];
    let recorded: usize = series.iter().map(|path| std::fs::read_to_string(path).unwrap().lines().count() - 1).sum();
    assert_eq!(total[..2], [recorded as u64; 2], "every recorded reading, none late: {shown}");

    let scored = support::run(job.path(), &["score", "anomaly.sql", "--labels", "labels.jsonl", "--devices"]);
    let report = String::from_utf8_lossy(&scored.stdout).into_owned();
    assert!(scored.status.success(), "{}", text(&scored));
    // Same series, same frame: the numbers are those of the README, to the last one.
    assert_eq!(judged(&report), 5077, "{report}");
    assert!(report.contains("alerts     5077 (461 true)"), "{report}");
    assert_eq!(kind(&report, "window"), (25, 21), "{report}");
    for path in &series {
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(report.contains(name), "{name} is judged by itself: {report}");
    }
}
