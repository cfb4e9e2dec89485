//! Takeover as a user sees it: two real processes, one job, and each row once, whether the first one dies or hangs.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use crate::recovery::newest_epoch;
use crate::state::{ROWS, manifests, numbers, script};
use crate::support::{Running, streamer, text, wait_until};

/// A process of the job in `directory` that writes what it says to a file.
fn process(directory: &Path, log: &str, more: &[&str]) -> Running {
    let arguments = ["run", "q.sql", "--state", "state", "--metrics-addr", "none"];
    let mut command = streamer(directory);
    command.args(arguments).args(more).stdin(Stdio::null()).stdout(Stdio::null());
    Running(command.stderr(File::create(directory.join(log)).unwrap()).spawn().unwrap())
}

fn said(directory: &Path, log: &str) -> String {
    std::fs::read_to_string(directory.join(log)).unwrap_or_default()
}

/// The owner of a job that has committed epochs with rows, and a process that waits for it.
fn two(rows_per_second: u32) -> (tempfile::TempDir, Running, Running) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(path.join("q.sql"), script(rows_per_second, "out")).unwrap();
    let owner = process(path, "owner", &[]);
    wait_until("epochs of the owner", || newest_epoch(&manifests(path)) >= 4);
    let standby = process(path, "standby", &["--standby"]);
    wait_until("the standby to wait", || said(path, "standby").contains("another streamer has the job"));
    assert!(!said(path, "standby").contains("restored"), "{}", said(path, "standby"));
    (directory, owner, standby)
}

#[test]
fn a_standby_goes_on_when_the_owner_is_killed() {
    let (directory, owner, standby) = two(800);
    let path = directory.path();
    owner.signal("KILL");
    drop(owner.finish());
    assert!(standby.finish().status.success(), "{}", said(path, "standby"));
    assert!(said(path, "standby").contains("restored"), "{}", said(path, "standby"));
    assert_eq!(numbers(&path.join("out")), (1..=ROWS).collect::<Vec<_>>());
}

#[test]
fn a_standby_takes_over_from_an_owner_that_hangs_and_the_owner_stops_when_it_wakes_up() {
    let (directory, owner, standby) = two(800);
    let path = directory.path();
    owner.signal("STOP");
    wait_until("the take-over", || said(path, "standby").contains("the job is taken over"));
    let taken = newest_epoch(&manifests(path));
    wait_until("epochs of the standby", || newest_epoch(&manifests(path)) > taken + 2);
    owner.signal("CONT");
    let woken = owner.finish();
    assert!(!woken.status.success(), "{}", text(&woken));
    assert!(said(path, "owner").contains("another process has taken over"), "{}", said(path, "owner"));
    assert!(standby.finish().status.success(), "{}", said(path, "standby"));
    assert_eq!(numbers(&path.join("out")), (1..=ROWS).collect::<Vec<_>>());
}
