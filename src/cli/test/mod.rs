//! `streamer test`: scripts with inputs and expected rows. The same code runs the project's own cases in `cargo test`.
//!
//! A case is a directory: `query.sql` (in which `{{dir}}` stands for the directory it runs in), `input/`,
//! `expected/` and `case.json`. Each case runs in a process and a directory of its own, as a user would run it.

mod case;
mod compare;
mod value;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

pub use self::case::{Case, Outcome};
use crate::cli::{Failure, write_out};
use crate::error::{Error, ErrorKind, Result};

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub(super) struct TestArguments {
    /// Directories of cases, or single cases: query.sql, input/, expected/, case.json.
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// Only cases whose name or area contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Cases run at the same time [default: the cores].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Differing rows shown per case.
    #[arg(long, value_name = "N", default_value_t = 3)]
    differences: usize,
}

/// Runs the cases and prints what failed or is not supported yet, and the counts per area.
pub(super) fn test(arguments: &TestArguments) -> Result<u8, Failure> {
    let wanted = |case: &Case| arguments.filter.as_ref().is_none_or(|f| case.name.contains(f) || case.area.contains(f));
    let mut cases = Vec::new();
    for directory in &arguments.directories {
        cases.extend(cases_below(directory)?.into_iter().filter(wanted));
    }
    if cases.is_empty() {
        return Err(Error::config("there are no cases to run")
            .hint("give a directory with query.sql and case.json in it, or one of such directories")
            .into());
    }
    let program = std::env::current_exe().map_err(|e| Error::config(format!("cannot find this program: {e}")))?;
    let jobs = arguments.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let done = run_all(&cases, &program, jobs);
    let (text, all) = report(&done, arguments.differences);
    write_out(text.as_bytes())?;
    all.verdict().map_or(Ok(0), |verdict| Err(Error::new(ErrorKind::Failed, verdict).into()))
}

/// The cases in `directory`: itself, or its entries, by name.
///
/// # Errors
/// `Config` if it cannot be read, or a case is no case.
pub fn cases_below(directory: &Path) -> Result<Vec<Case>> {
    let unreadable =
        |e: std::io::Error| Error::config(format!("cannot read the directory \"{}\": {e}", directory.display()));
    if directory.join("query.sql").is_file() {
        return Ok(vec![Case::read(directory)?]);
    }
    let mut below = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.join("query.sql").is_file() {
            below.push(path);
        }
    }
    below.sort();
    let (mut cases, mut errors) = (Vec::new(), Vec::new());
    for path in &below {
        match Case::read(path) {
            Ok(case) => cases.push(case),
            Err(error) => errors.push(error),
        }
    }
    Error::collect(errors).map_or(Ok(cases), Err)
}

/// Runs `jobs` cases at a time; what became of each, in their order.
fn run_all<'a>(cases: &'a [Case], program: &Path, jobs: usize) -> Vec<(&'a Case, Outcome)> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, &Case, Outcome)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(cases.len()) {
            scope.spawn(|| {
                while let Some((at, case)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    cases.get(at).map(|case| (at, case))
                } {
                    let outcome = case.outcome(program, &[&[]]);
                    let outcome = outcome.unwrap_or_else(|error| Outcome::Failed(vec![error.to_string()]));
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, case, outcome));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, ..)| *at);
    done.into_iter().map(|(_, case, outcome)| (case, outcome)).collect()
}

/// How many cases became what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// As expected.
    pub passed: usize,
    /// Refused where rows were expected.
    pub not_supported: usize,
    /// All others.
    pub failed: usize,
}

impl Counts {
    /// Counts one case more.
    pub fn add(&mut self, outcome: &Outcome) {
        *match outcome {
            Outcome::Passed => &mut self.passed,
            Outcome::NotSupported(_) => &mut self.not_supported,
            Outcome::Failed(_) => &mut self.failed,
        } += 1;
    }

    fn all(self) -> usize {
        self.passed + self.not_supported + self.failed
    }

    /// What did not pass, in words; `None` if all did.
    fn verdict(self) -> Option<String> {
        let all = self.all();
        let cases = format!("{all} case{}", if all == 1 { "" } else { "s" });
        let is = if self.not_supported == 1 { "is" } else { "are" };
        match self {
            Self { failed: 0, not_supported: 0, .. } => None,
            Self { failed: 0, not_supported, .. } => Some(format!("{not_supported} of {cases} {is} not supported yet")),
            Self { failed, not_supported: 0, .. } => Some(format!("{failed} of {cases} failed")),
            Self { failed, not_supported, .. } => {
                Some(format!("{failed} of {cases} failed, {not_supported} {is} not supported yet"))
            }
        }
    }
}

/// The counts of each area and of all, a line each.
pub fn table(areas: &BTreeMap<String, Counts>) -> String {
    let width = areas.keys().map(String::len).max().unwrap_or(0).max(5);
    let line = |name: &str, counts: &Counts| {
        let (passed, all, not_supported) = (counts.passed, counts.all(), counts.not_supported);
        format!("{name:width$}  {passed:4} of {all:4} passed  {not_supported:4} not supported yet\n")
    };
    let lines: String = areas.iter().map(|(area, counts)| line(area, counts)).collect();
    lines + &line("all", &sum(areas))
}

fn sum(areas: &BTreeMap<String, Counts>) -> Counts {
    areas.values().fold(Counts::default(), |sum, counts| Counts {
        passed: sum.passed + counts.passed,
        not_supported: sum.not_supported + counts.not_supported,
        failed: sum.failed + counts.failed,
    })
}

/// What people are shown of the cases, with at most `shown` differences of each; and how many became what.
fn report(done: &[(&Case, Outcome)], shown: usize) -> (String, Counts) {
    let mut areas: BTreeMap<String, Counts> = BTreeMap::new();
    let mut text = String::new();
    for (case, outcome) in done {
        areas.entry(case.area.clone()).or_default().add(outcome);
        text += &match outcome {
            Outcome::Passed => String::new(),
            Outcome::NotSupported(said) => format!("not supported yet  {}\n  {}\n", case.name, refusal(said)),
            Outcome::Failed(differences) => failure(&case.name, differences, shown),
        };
    }
    (text + &table(&areas), sum(&areas))
}

/// The line of a program's words that says what it refuses.
fn refusal(said: &str) -> &str {
    said.lines().find(|line| line.starts_with("error")).or_else(|| said.lines().next()).unwrap_or("")
}

fn failure(name: &str, differences: &[String], shown: usize) -> String {
    let mut text = format!("FAILED  {name}\n");
    for difference in differences.iter().take(shown) {
        text += &format!("  {}\n", difference.replace('\n', "\n  "));
    }
    if differences.len() > shown {
        text += &format!("  … {} more\n", differences.len() - shown);
    }
    text
}
