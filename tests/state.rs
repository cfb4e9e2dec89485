//! The state of a job as a user sees it: the verbs about it, damage to it, a disk without space, and the ledger.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::recovery::newest_epoch;
use crate::support::kafka::{self, Sent};
use crate::support::{Running, run, start, streamer, text, visible_files, wait_until};

/// Rows of the job.
pub(crate) const ROWS: i64 = 4_000;

/// A job that numbers its rows and writes them to files, which it shows at its end.
pub(crate) fn script(rows_per_second: u32, out: &str) -> String {
    format!(
        "SET 'execution.checkpointing.interval' = '100 ms';
CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '{rows_per_second}',
  'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '{ROWS}');
CREATE TABLE o (n BIGINT) WITH ('connector' = 'filesystem', 'path' = '{out}', 'format' = 'json');
INSERT INTO o SELECT n FROM numbers;
"
    )
}

fn job(rows_per_second: u32) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("q.sql"), script(rows_per_second, "out")).unwrap();
    directory
}

pub(crate) fn manifests(directory: &Path) -> PathBuf {
    directory.join("state/checkpoint/m")
}

fn manifest(directory: &Path, epoch: u64) -> PathBuf {
    manifests(directory).join(format!("{epoch:020}.json"))
}

fn started(directory: &Path) -> Running {
    let arguments = ["run", "q.sql", "--state", "state", "--metrics-addr", "none"];
    start(streamer(directory).args(arguments).stdout(Stdio::null()))
}

/// The numbers in the files of the output, sorted.
pub(crate) fn numbers(out: &Path) -> Vec<i64> {
    let mut found: Vec<i64> = visible_files(out)
        .iter()
        .flat_map(|file| std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap()["n"].as_i64().unwrap())
        .collect();
    found.sort_unstable();
    found
}

/// Kills a job some epochs after its start; returns the newest epoch.
fn killed(directory: &Path) -> u64 {
    let running = started(directory);
    wait_until("some epochs", || newest_epoch(&manifests(directory)) >= 8);
    running.signal("KILL");
    drop(running.finish());
    newest_epoch(&manifests(directory))
}

#[test]
fn the_state_of_a_running_job_is_shown_verified_and_copied() {
    let directory = job(1_000);
    let path = directory.path();
    let running = started(path);
    wait_until("some epochs", || newest_epoch(&manifests(path)) >= 8);
    for _ in 0..5 {
        let verified = run(path, &["state", "verify", "--state", "state"]);
        assert!(verified.status.success(), "{}", text(&verified));
        assert!(text(&verified).contains("a restart would use epoch"), "{}", text(&verified));
    }
    let listed = run(path, &["state", "ls", "--state", "state"]);
    assert!(listed.status.success() && text(&listed).contains("intact"), "{}", text(&listed));
    assert!(!text(&listed).contains("damaged"), "{}", text(&listed));
    let exported = run(path, &["state", "export", "--state", "state", "copy"]);
    assert!(exported.status.success(), "{}", text(&exported));
    let again = run(path, &["state", "export", "--state", "state", "copy"]);
    assert_eq!(again.status.code(), Some(3), "{}", text(&again));
    let finished = running.finish();
    assert!(finished.status.success(), "{}", text(&finished));
    assert_eq!(numbers(&path.join("out")), (1..=ROWS).collect::<Vec<_>>());

    let shown = run(path, &["state", "show", "--state", "copy", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(document["intact"], true);
    let read = document["manifest"]["ledger"]["read"].as_i64().unwrap();
    assert!(read > 0 && read < ROWS, "{read}");
    let text_shown = text(&run(path, &["state", "show", "--state", "copy"]));
    assert!(text_shown.contains("next offset") && text_shown.contains("processed +"), "{text_shown}");
    let verified = run(path, &["state", "verify", "--state", "copy"]);
    assert!(verified.status.success(), "{}", text(&verified));
}

#[test]
fn verify_names_every_damage_and_says_what_a_restart_would_do() {
    let directory = job(1_000);
    let path = directory.path();
    let newest = killed(path);
    let file = manifest(path, newest);
    let before = std::fs::read(&file).unwrap();
    std::fs::write(&file, &before[..before.len() - 7]).unwrap();
    let verified = run(path, &["state", "verify", "--state", "state"]);
    assert_eq!(verified.status.code(), Some(5), "{}", text(&verified));
    let shown = text(&verified);
    assert!(shown.contains(&format!("epoch {newest}: damaged")), "{shown}");
    assert!(
        shown.contains(&format!("would use epoch {} if no sink has anything of epoch {newest}", newest - 1)),
        "{shown}"
    );
    let listed = text(&run(path, &["state", "ls", "--state", "state"]));
    assert!(listed.contains("damaged: ") && listed.contains(&format!("{newest:020}.json")), "{listed}");
    std::fs::write(manifest(path, newest - 1), b"").unwrap();
    let shown = text(&run(path, &["state", "verify", "--state", "state"]));
    assert!(shown.contains("a restart would stop: epochs"), "{shown}");
    let stopped = run(path, &["run", "q.sql", "--state", "state"]);
    assert_eq!(stopped.status.code(), Some(1), "{}", text(&stopped));
    assert!(text(&stopped).contains("the file is empty") && text(&stopped).contains("--fresh"), "{}", text(&stopped));
    for (arguments, code) in
        [(&["state", "ls"][..], 2), (&["state", "ls", "absent.sql"], 3), (&["state", "ls", "--state", "absent"], 3)]
    {
        let output = run(path, arguments);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
    }
}

/// No file is published before the end, so the newest epoch can be left out: every row once all the same.
#[test]
fn a_damaged_newest_epoch_that_no_sink_has_is_left_out() {
    let directory = job(2_000);
    let path = directory.path();
    let newest = killed(path);
    assert!(numbers(&path.join("out")).is_empty());
    std::fs::write(manifest(path, newest), b"{").unwrap();
    let output = run(path, &["run", "q.sql", "--state", "state"]);
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains(&format!("epoch {newest} is damaged (")), "{shown}");
    assert!(shown.contains(&format!("epoch {} is used", newest - 1)), "{shown}");
    assert_eq!(numbers(&path.join("out")), (1..=ROWS).collect::<Vec<_>>());
    // told once: the next start has a newest epoch that is whole
    let again = text(&run(path, &["run", "q.sql", "--state", "state"]));
    assert!(again.contains("nothing left to do") && !again.contains("damaged"), "{again}");
}

#[test]
fn a_damaged_newest_epoch_that_a_sink_has_stops_the_job() {
    let directory = job(100_000);
    let path = directory.path();
    let finished = run(path, &["run", "q.sql", "--state", "state"]);
    assert!(finished.status.success(), "{}", text(&finished));
    let newest = newest_epoch(&manifests(path));
    std::fs::write(manifest(path, newest), b"{").unwrap();
    for _ in 0..2 {
        let output = run(path, &["run", "q.sql", "--state", "state"]);
        let shown = text(&output);
        assert_eq!(output.status.code(), Some(1), "{shown}");
        assert!(shown.contains(&format!("epoch {newest} is damaged (")), "{shown}");
        assert!(shown.contains(&format!("table \"o\" has published a file of epoch {newest}")), "{shown}");
        assert!(shown.contains("restore the file from a copy"), "{shown}");
    }
    assert_eq!(numbers(&path.join("out")), (1..=ROWS).collect::<Vec<_>>());
}

/// A small file system of its own.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where the test may not mount one.
    fn mounted(path: &Path, kib: u32) -> Option<Self> {
        std::fs::create_dir(path).unwrap();
        let options = format!("size={kib}k");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(path.to_owned())),
            _ => {
                println!("not run: a disk that is full needs the right to mount a tmpfs");
                None
            }
        }
    }

    /// Takes all the space there is.
    fn fill(&self) {
        let mut filler = std::fs::File::create(self.0.join("filler")).unwrap();
        let mut size = 1 << 16;
        while size > 0 {
            if std::io::Write::write_all(&mut filler, &vec![0; size]).is_err() {
                size /= 2;
            }
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}

/// What a running job has said so far.
fn said(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_full_disk_holds_the_job_and_it_goes_on_by_itself() {
    for (place, out) in [("state", "out"), ("output", "disk/out")] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let Some(disk) = SmallDisk::mounted(&path.join("disk"), 2_048) else { return };
        std::fs::write(path.join("q.sql"), script(1_000, out)).unwrap();
        let state = if place == "state" { "disk/state" } else { "state" };
        let log = path.join("log");
        let command = || {
            let mut command = streamer(path);
            command
                .args(["run", "q.sql", "--state", state, "--metrics-addr", "none"])
                .stdout(Stdio::null())
                .stdin(Stdio::null());
            command.stderr(std::fs::File::create(&log).unwrap());
            Running(command.spawn().unwrap())
        };
        let checkpoints = path.join(state).join("checkpoint/m");
        let running = command();
        wait_until("some epochs", || newest_epoch(&checkpoints) >= 3);
        disk.fill();
        wait_until("the job to hold", || said(&log).contains("the disk is full"));
        let held = newest_epoch(&checkpoints);
        // a stop while it holds ends at the last committed epoch
        running.signal("INT");
        let stopped = running.finish();
        assert_eq!(stopped.status.code(), Some(4), "{place}: {}", said(&log));
        assert!(said(&log).contains("stopped while waiting for space"), "{place}: {}", said(&log));
        assert_eq!(newest_epoch(&checkpoints), held);
        assert_eq!(said(&log).matches("the job waits").count(), 1, "{place}: {}", said(&log));

        disk.free();
        let running = command();
        wait_until("more epochs", || newest_epoch(&checkpoints) >= held + 4);
        disk.fill();
        wait_until("the job to hold", || said(&log).contains("the disk is full"));
        disk.free();
        let done = running.finish();
        assert!(done.status.success(), "{place}: {}", said(&log));
        assert_eq!(numbers(&path.join(out)), (1..=ROWS).collect::<Vec<_>>(), "{place}");
    }
}

#[test]
fn rows_of_the_ledger_are_written_to_a_topic_again() {
    let Some(bootstrap) = kafka::bootstrap("rows_of_the_ledger_are_written_to_a_topic_again") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let (from, to) = (kafka::topic("ledger-from"), kafka::topic("ledger-to"));
    kafka::create_topics(&bootstrap, &[&from, &to]);
    let value = |n: i64, second: u32| format!("{{\"n\":{n},\"ts\":\"2026-01-01 00:00:{second:02}\"}}");
    let values = [value(1, 1), value(2, 50), value(3, 2), "no JSON".to_owned(), value(5, 3), value(6, 59)];
    let sent: Vec<Sent> = values
        .iter()
        .map(|value| Sent { partition: 0, timestamp: 1_767_225_600_000, value: value.clone(), ..Sent::default() })
        .collect();
    kafka::send(&bootstrap, &from, &sent);
    let script = format!(
        "CREATE TABLE t (n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'kafka', 'topic' = '{from}',
  'properties.bootstrap.servers' = '{bootstrap}', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = 'latest-offset');
SELECT window_start, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end;
"
    );
    std::fs::write(path.join("q.sql"), script).unwrap();
    let output = run(path, &["run", "q.sql", "--state", "state"]);
    assert!(output.status.success(), "{}", text(&output));
    let replay = |ledger: &str, condition: &str| {
        run(path, &["ledger", "replay", ledger, "-f", "q.sql", "--state", "state", "--to", &to, "--where", condition])
    };
    let late = replay("late", "`offset` < 4");
    assert!(late.status.success() && text(&late).contains("1 records of ledger.late written"), "{}", text(&late));
    let bad = replay("bad", "TRUE");
    assert!(text(&bad).contains("1 records of ledger.bad written"), "{}", text(&bad));
    let again: Vec<String> =
        kafka::records(&bootstrap, &to).into_iter().map(|record| String::from_utf8(record.value).unwrap()).collect();
    let mut expected = vec![values[2].clone(), values[3].clone()];
    let mut found = again;
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    let wrong = replay("late", "nonsense = 1");
    assert_eq!(wrong.status.code(), Some(3), "{}", text(&wrong));
}
