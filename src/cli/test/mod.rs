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

pub use self::case::Case;
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

/// Runs the cases and prints what failed, and passed of all per area.
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
    let failed = run_all(&cases, &program, jobs, arguments.differences)?;
    match failed {
        0 => Ok(0),
        _ => Err(Error::new(ErrorKind::Failed, format!("{failed} of {} cases failed", cases.len())).into()),
    }
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

/// Runs `jobs` cases at a time; returns how many failed.
fn run_all(cases: &[Case], program: &Path, jobs: usize, shown: usize) -> Result<usize> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<Vec<String>>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(cases.len()) {
            scope.spawn(|| {
                while let Some((at, case)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    cases.get(at).map(|case| (at, case))
                } {
                    let differences = case.differences(program, &[&[]]);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, differences));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    report(cases, done, shown)
}

fn report(cases: &[Case], done: Vec<(usize, Result<Vec<String>>)>, shown: usize) -> Result<usize> {
    let mut areas: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut text = String::new();
    for (at, differences) in done {
        let case = &cases[at];
        let area = areas.entry(&case.area).or_default();
        area.1 += 1;
        let differences = differences.unwrap_or_else(|error| vec![error.to_string()]);
        if differences.is_empty() {
            area.0 += 1;
            continue;
        }
        text += &format!("FAILED  {}\n", case.name);
        for difference in differences.iter().take(shown) {
            text += &format!("  {}\n", difference.replace('\n', "\n  "));
        }
        if differences.len() > shown {
            text += &format!("  … {} more\n", differences.len() - shown);
        }
    }
    let passed: usize = areas.values().map(|(passed, _)| passed).sum();
    let width = areas.keys().map(|area| area.len()).max().unwrap_or(0).max(5);
    for (area, (passed, all)) in &areas {
        text += &format!("{area:width$}  {passed:4} of {all:4} passed\n");
    }
    text += &format!("{:width$}  {passed:4} of {:4} passed\n", "all", cases.len());
    write_out(text.as_bytes())?;
    Ok(cases.len() - passed)
}
