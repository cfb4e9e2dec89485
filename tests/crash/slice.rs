//! As much of the crash harness as the tests have time for, and that its reckoning finds what it is there to find.

use std::sync::Arc;

use serde_json::json;

use super::cluster::Cluster as Brokers;
use super::job::Program;
use super::oracle::{Difference, compare, expected};
use super::plan::{Amounts, faults};
use super::round::{Setting, run};
use super::sinks::{Place, Record};
use crate::support::{kafka, postgres::Cluster};

/// Steps whose failures differ most: nothing durable, durable and untold, half delivered, delivered and untold.
const STEPS: &[&str] = &["manifest.written:3", "manifest.created:3", "transaction.offset-sent:2", "files.written:2"];

#[test]
fn a_job_that_is_killed_and_taken_over_delivers_every_row_once() {
    let test = "a_job_that_is_killed_and_taken_over_delivers_every_row_once";
    let Some(bootstrap) = kafka::bootstrap(test) else { return };
    let armed = cfg!(feature = "failpoints");
    if !armed {
        println!("not run: the steps of {test} need --features failpoints");
    }
    println!("not run: faults of brokers and most steps of {test}; the example \"crash\" does them");
    let steps = if armed { STEPS.iter().map(|step| (*step).to_owned()).collect() } else { Vec::new() };
    let postgres = Cluster::start(test).map(Arc::new);
    let databases = usize::from(postgres.is_some());
    let amounts = Amounts { kills: 4, steps, takeover: false, brokers: 0, outages: 0, databases };
    let mut faults = faults(&amounts, 1);
    faults.push(super::plan::Fault::Kill { after_ms: 700, standby: true });
    let directory = tempfile::tempdir().unwrap();
    let name = kafka::topic("crash");
    let setting = Setting {
        program: Program { path: env!("CARGO_BIN_EXE_streamer").into(), variable: None },
        cluster: Brokers { bootstrap: bootstrap.clone() },
        place: Place {
            bootstrap,
            directory: directory.path().join(&name),
            name,
            guarantee: "exactly-once".into(),
            postgres,
        },
        rate: 500,
    };
    let report = run(&setting, &faults, &|line| println!("{line}"));
    assert!(report.failures.is_empty(), "{report:#?}");
    assert_eq!(report.differences.len(), 4 + 2 * databases, "{report:#?}");
    assert!(report.differences.iter().all(|(_, d)| d.rows > 0), "{report:#?}");
    for done in &report.done {
        println!("{}: {} ms", done.fault, done.recovery.as_millis());
        assert!(!done.missed, "{} is not reached", done.fault);
    }
}

/// One partition: readings at 0.1 s, 0.9 s and 2.5 s, and the watermark is at 1.5 s.
fn input() -> Vec<Record> {
    let record = |(offset, ms)| {
        let value = json!({ "device": "d", "v": 5, "ms": ms }).to_string().into_bytes();
        Record { partition: 0, offset, value }
    };
    [(0, 100), (1, 900), (3, 2500)].map(record).into()
}

#[test]
fn the_reckoning_recomputes_frames_and_windows() {
    let found = expected(&input());
    let pairs = |result| found.results[result].iter().map(|(k, v)| format!("{k} {v}")).collect::<Vec<_>>();
    assert_eq!(pairs("rolling"), ["0·0 d·1·5", "0·1 d·2·10"]);
    assert_eq!(pairs("windows"), ["d·1970-01-01 00:00:01.000 2·10"]);
}

#[test]
fn the_reckoning_finds_lost_doubled_and_wrong_rows() {
    let expected = expected(&input()).results["rolling"].clone();
    let row = |o: i64, n: i64| json!({ "p": 0, "o": o, "device": "d", "n": n, "total": 5 * n });
    let differs = |found: &[serde_json::Value]| compare("rolling", found, &expected).0;
    assert_eq!(differs(&[row(1, 2), row(0, 1)]), Difference { rows: 2, ..Difference::default() });
    assert_eq!(differs(&[row(0, 1)]), Difference { rows: 1, lost: 1, ..Difference::default() });
    assert_eq!(
        differs(&[row(0, 1), row(1, 2), row(1, 2)]),
        Difference { rows: 3, doubled: 1, ..Difference::default() }
    );
    assert_eq!(differs(&[row(0, 1), row(1, 3)]), Difference { rows: 2, wrong: 1, ..Difference::default() });
    assert_eq!(differs(&[row(0, 1), row(1, 2), row(7, 1)]), Difference { rows: 3, wrong: 1, ..Difference::default() });
}

#[test]
fn a_seed_draws_the_same_faults_again() {
    let amounts = Amounts {
        kills: 20,
        steps: vec!["epoch.visible".into()],
        takeover: true,
        brokers: 4,
        outages: 2,
        databases: 3,
    };
    assert_eq!(faults(&amounts, 7), faults(&amounts, 7));
    assert_ne!(faults(&amounts, 7), faults(&amounts, 8));
    assert_eq!(faults(&amounts, 7).len(), 20 + 3 + 4 + 2 + 3);
}
