//! Same file, same rows as Flink: one test per case, each script run by the real binary and compared with the rows a
//! real Flink gave. The cases are those of `tests/parity/cases` and, where it is there, of `../shared/flink_parity`.
//!
//! `tests/parity/pending.txt` names the cases that are not supported yet, and words of the message that refuses each;
//! one of them that passes, or fails in another way, is an error, so the list can only be true. `cargo test --test parity -- window` runs the cases with that word in their area or name.

#![expect(clippy::unwrap_used, reason = "a project whose files cannot be read has no tests to run")]
#![expect(clippy::print_stderr, reason = "a test that sees less than others says so")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Trial};
use streamer::cli::test::{Case, Counts, Outcome, cases_below, table};

const PENDING: &str = "tests/parity/pending.txt";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Name → words of the refusal.
fn pending() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join(PENDING)).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(char::is_whitespace)).map(|(n, r)| (n.into(), r.trim().into())).collect()
}

/// What a run says whose state cannot be cut up for another number of instances.
const SAME_PARALLELISM: &str = "the state was stored with parallelism";

/// Straight, at another parallelism, and stopped in the middle and gone on from the state at yet another, where the
/// plan allows it: the same rows.
fn check(case: &Case, pending: Option<&str>) -> Result<Outcome, String> {
    let program = Path::new(env!("CARGO_BIN_EXE_streamer"));
    let middle = (case.input_rows() / 2).max(1).to_string();
    let small = ["--parallelism", "4", "--batch-rows", "3"];
    let stopped = [&small[..], &["--rows", &middle]].concat();
    let other = ["--parallelism", "3", "--batch-rows", "3"];
    let ways: [(&str, &[&[&str]]); 3] = [
        ("parallelism 1", &[&["--parallelism", "1"]]),
        ("parallelism 4, batches of 3 rows", &[&small]),
        ("stopped in the middle", &[&stopped, &other]),
    ];
    for (way, runs) in ways.into_iter().filter(|(_, runs)| runs.len() == 1 || !case.fails()) {
        let mut outcome = case.outcome(program, runs).map_err(|e| e.to_string())?;
        if matches!(&outcome, Outcome::Failed(said) if said.iter().any(|said| said.contains(SAME_PARALLELISM))) {
            outcome = case.outcome(program, &[&stopped, &small]).map_err(|e| e.to_string())?;
        }
        match (pending, outcome) {
            (_, Outcome::Passed) => {}
            // one refusal is enough: the script is not run
            (Some(reason), Outcome::NotSupported(said)) if said.contains(reason) => {
                return Ok(Outcome::NotSupported(said));
            }
            (Some(reason), Outcome::NotSupported(said)) => {
                return Err(format!("{way}: refused, but not with the words \"{reason}\" of {PENDING}: {said}"));
            }
            (None, Outcome::NotSupported(said)) => return Err(format!("{way}: refused: {said}")),
            (_, Outcome::Failed(differences)) => return Err(format!("{way}: {}", differences.join("\n"))),
        }
    }
    match pending {
        Some(reason) => Err(format!("it passes now: take it out of {PENDING} (\"{reason}\")")),
        None => Ok(Outcome::Passed),
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let pending = pending();
    let mut cases = cases_below(&root().join("tests/parity/cases")).unwrap();
    let shared = root().join("../shared/flink_parity/cases");
    if shared.is_dir() {
        cases.extend(cases_below(&shared).unwrap());
        let gone: Vec<&String> = pending.keys().filter(|name| cases.iter().all(|case| case.name != **name)).collect();
        assert!(gone.is_empty(), "no such cases in {PENDING}: {gone:?}");
    }
    assert!(!cases.is_empty(), "no cases");
    let ends_early: Vec<&str> =
        cases.iter().filter(|case| !case.fails() && !case.has_middle()).map(|case| case.name.as_str()).collect();
    eprintln!(
        "not told to have stopped in the middle, for they have few rows or end with SELECT: {}",
        ends_early.join(" ")
    );
    let areas: Arc<Mutex<BTreeMap<String, Counts>>> = Arc::default();
    let trials = cases.into_iter().map(|case| {
        let reason = pending.get(&case.name).cloned();
        let kind = if reason.is_some() { "pending" } else { "" };
        let name = format!("{}::{}", case.area, case.name);
        let areas = Arc::clone(&areas);
        let run = move || {
            let checked = check(&case, reason.as_deref());
            let outcome = checked.clone().unwrap_or_else(|wrong| Outcome::Failed(vec![wrong]));
            areas.lock().unwrap().entry(case.area).or_default().add(&outcome);
            checked.map(|_| ()).map_err(Into::into)
        };
        Trial::test(name, run).with_kind(kind)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    eprint!("{}", table(&areas.lock().unwrap()));
    conclusion.exit();
}
