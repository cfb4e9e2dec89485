//! Breaks the real program on a real Kafka, again and again, and counts what is lost, doubled or wrong.
//!
//! `cargo run --release --features failpoints --example crash -- --kills 200 [--steps | --step NAME[:NTH]]… [--takeover]
//! [--brokers N] [--outages N] [--databases N] [--seed N] [--rate N] [--round N] [--keep DIR] [--guarantee at-least-once]`
//!
//! With a weaker guarantee it must find doubled rows: the control that it finds any.
//! It uses the Kafka of `STREAMER_TEST_KAFKA`, or starts one with `scripts/kafka` (`KAFKA_DIR`, `KAFKA_PORT`), and a
//! PostgreSQL of its own where the server's programs are installed; else it goes without (`STREAMER_TEST_POSTGRES=none`).

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a command that talks to people, fails by panicking and measures by the clock"
)]

#[path = "mod.rs"]
mod crash;
#[path = ".."]
mod support {
    #[path = "support/postgres.rs"]
    #[expect(dead_code, reason = "tests use more of it")]
    pub(crate) mod postgres;
}

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crash::cluster::Cluster;
use crash::job::Program;
use crash::plan::{Amounts, Fault, faults};
use crash::round::{Report, Setting, run};
use crash::sinks::Place;
use streamer::failpoint::FAILPOINTS;

/// Set for the child: the harness is the program then, so that one build makes both.
const AS_PROGRAM: &str = "STREAMER_CRASH_PROGRAM";

struct Arguments {
    amounts: Amounts,
    seed: u64,
    rate: u64,
    round: usize,
    keep: Option<std::path::PathBuf>,
    guarantee: String,
}

fn arguments() -> Result<Arguments, String> {
    let amounts = Amounts { kills: 0, steps: Vec::new(), takeover: false, brokers: 0, outages: 0, databases: 0 };
    let guarantee = "exactly-once".to_owned();
    let mut found = Arguments { amounts, seed: 1, rate: 1_000, round: 30, keep: None, guarantee };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--steps" => {
                found.amounts.steps.extend(FAILPOINTS.iter().map(|name| (*name).to_owned()));
                continue;
            }
            "--takeover" => {
                found.amounts.takeover = true;
                continue;
            }
            _ => {}
        }
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = value.parse::<usize>().map_err(|_| format!("{name} needs a number"));
        match name.as_str() {
            "--kills" => found.amounts.kills = number?,
            "--step" => found.amounts.steps.push(value),
            "--brokers" => found.amounts.brokers = number?,
            "--outages" => found.amounts.outages = number?,
            "--databases" => found.amounts.databases = number?,
            "--seed" => found.seed = number? as u64,
            "--rate" => found.rate = number? as u64,
            "--round" => found.round = number?.max(1),
            "--keep" => found.keep = Some(value.into()),
            "--guarantee" => found.guarantee = value,
            _ => return Err(format!("no such option: {name}")),
        }
    }
    if !found.amounts.steps.is_empty() && !cfg!(feature = "failpoints") {
        return Err("steps need --features failpoints".to_owned());
    }
    let ours = std::env::var_os("KAFKA_DIR").is_some() || std::env::var_os("STREAMER_TEST_KAFKA").is_none();
    if found.amounts.brokers + found.amounts.outages > 0 && !ours {
        return Err("brokers can be broken only if KAFKA_DIR names those of scripts/kafka".to_owned());
    }
    Ok(found)
}

fn main() -> ExitCode {
    if std::env::var_os(AS_PROGRAM).is_some() {
        return ExitCode::from(streamer::cli::main(std::env::args_os()));
    }
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("{wrong}; see the head of tests/crash/main.rs");
            return ExitCode::from(2);
        }
    };
    let (bootstrap, started) = match std::env::var("STREAMER_TEST_KAFKA") {
        Ok(servers) => (servers, false),
        Err(_) => (Cluster::script(&["up"]).lines().last().unwrap_or_default().to_owned(), true),
    };
    let exact = harness(&arguments, &Cluster { bootstrap });
    if started {
        Cluster::script(&["down"]);
    }
    if exact { ExitCode::SUCCESS } else { ExitCode::from(5) }
}

/// Runs every round and prints the table; `true`: all was exact.
fn harness(arguments: &Arguments, cluster: &Cluster) -> bool {
    let postgres = support::postgres::Cluster::start("a third of the harness").map(Arc::new);
    if postgres.is_none() && arguments.amounts.databases > 0 {
        println!("--databases needs a PostgreSQL");
        return false;
    }
    let faults = faults(&arguments.amounts, arguments.seed);
    let directory = tempfile::tempdir().unwrap();
    let root = arguments.keep.clone().unwrap_or_else(|| directory.path().to_owned());
    let program = Program { path: std::env::current_exe().unwrap(), variable: Some(AS_PROGRAM) };
    println!("seed {}, {} faults, {} readings/s", arguments.seed, faults.len(), arguments.rate);
    let start = Instant::now();
    let tell = |line: &str| println!("{:7.1} s  {line}", start.elapsed().as_secs_f64());
    let mut reports = Vec::new();
    for (at, part) in faults.chunks(arguments.round).enumerate() {
        let name = format!("crash-{}-{}-{at}", std::process::id(), arguments.seed);
        let setting = Setting {
            program: program.clone(),
            cluster: cluster.clone(),
            place: Place {
                bootstrap: cluster.bootstrap.clone(),
                directory: root.join(&name),
                name,
                guarantee: arguments.guarantee.clone(),
                postgres: postgres.clone(),
            },
            rate: arguments.rate,
        };
        let report = run(&setting, part, &tell);
        tell(&format!("round {at}: {} readings, {}", report.readings, verdict(&report)));
        for failure in &report.failures {
            println!("FAILED (--seed {} --round {}, round {at}): {failure}", arguments.seed, arguments.round);
        }
        if report.failures.is_empty() && arguments.keep.is_none() {
            drop(std::fs::remove_dir_all(&setting.place.directory));
        }
        reports.push(report);
    }
    print!("{}", summary(arguments, &reports, start.elapsed()));
    let exact = reports.iter().all(|report| report.failures.is_empty());
    if !exact {
        println!("kept in {}", root.display());
        std::mem::forget(directory);
    }
    exact
}

fn verdict(report: &Report) -> String {
    let sum =
        |what: fn(&crash::oracle::Difference) -> usize| report.differences.iter().map(|(_, d)| what(d)).sum::<usize>();
    format!(
        "{} rows in {} outputs: {} lost, {} doubled, {} wrong; {} failures",
        sum(|d| d.rows),
        report.differences.len(),
        sum(|d| d.lost),
        sum(|d| d.doubled),
        sum(|d| d.wrong),
        report.failures.len()
    )
}

/// The table of the whole run.
fn summary(arguments: &Arguments, reports: &[Report], took: Duration) -> String {
    let mut text = format!(
        "\n{} rounds in {:.0} s, {} readings at {}/s\n\n{:<28}{:>7}{:>9}{:>10}{:>10}{:>10}\n",
        reports.len(),
        took.as_secs_f64(),
        reports.iter().map(|report| report.readings).sum::<usize>(),
        arguments.rate,
        "fault",
        "times",
        "missed",
        "p50 s",
        "p99 s",
        "max s"
    );
    type Is = fn(&Fault) -> bool;
    let kinds: [(&str, Is); 10] = [
        ("SIGKILL, restart", |f| matches!(f, Fault::Kill { standby: false, .. })),
        ("SIGKILL, standby", |f| matches!(f, Fault::Kill { standby: true, .. })),
        ("step: kill, restart", |f| matches!(f, Fault::StepKill { .. })),
        ("step: stop, takeover", |f| matches!(f, Fault::StepTakeover { .. })),
        ("step: error", |f| matches!(f, Fault::StepError { .. })),
        ("broker SIGKILL", |f| matches!(f, Fault::BrokerKill { .. })),
        ("broker SIGSTOP 30 s", |f| matches!(f, Fault::BrokerPause { .. })),
        ("all brokers away 60 s", |f| matches!(f, Fault::Outage { .. })),
        ("database killed", |f| matches!(f, Fault::DatabaseCrash)),
        ("table locked 60 s", |f| matches!(f, Fault::DatabaseLock)),
    ];
    for (name, is) in kinds {
        let done: Vec<_> = reports.iter().flat_map(|report| &report.done).filter(|done| is(&done.fault)).collect();
        let mut times: Vec<f64> = done.iter().map(|done| done.recovery.as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        let Some(most) = times.last() else { continue };
        let at = |share: f64| times[((times.len() - 1) as f64 * share).ceil() as usize];
        let missed = done.iter().filter(|done| done.missed).count();
        text += &format!("{name:<28}{:>7}{missed:>9}{:>10.1}{:>10.1}{most:>10.1}\n", times.len(), at(0.5), at(0.99));
    }
    text += &format!("\n{:<28}{:>10}{:>7}{:>9}{:>7}\n", "output", "rows", "lost", "doubled", "wrong");
    let names: std::collections::BTreeSet<_> =
        reports.iter().flat_map(|r| &r.differences).map(|(name, _)| name).collect();
    for name in names {
        let own = || reports.iter().flat_map(|r| &r.differences).filter(|(n, _)| n == name).map(|(_, d)| d);
        let (rows, lost) = (own().map(|d| d.rows).sum::<usize>(), own().map(|d| d.lost).sum::<usize>());
        let (doubled, wrong) = (own().map(|d| d.doubled).sum::<usize>(), own().map(|d| d.wrong).sum::<usize>());
        text += &format!("{name:<28}{rows:>10}{lost:>7}{doubled:>9}{wrong:>7}\n");
    }
    let mut restarts = std::collections::BTreeMap::<&str, usize>::new();
    for words in reports.iter().flat_map(|report| &report.restarts) {
        *restarts.entry(words).or_default() += 1;
    }
    text += &format!("\n{} times the job ended by itself and was started again\n", restarts.values().sum::<usize>());
    restarts.iter().for_each(|(words, times)| text += &format!("  {times} × {words}\n"));
    let failures = reports.iter().map(|report| report.failures.len()).sum::<usize>();
    text += &if failures == 0 { "exact\n".to_owned() } else { format!("{failures} FAILURES\n") };
    text
}
