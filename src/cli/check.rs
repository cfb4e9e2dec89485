//! `check` and `explain`: the upper half of the hourglass alone.

use crate::cli::script::load_runnable;
use crate::cli::{Failure, ScriptArguments, write_out};
use crate::error::{Error, Result};

/// Arguments of `check` and `explain`.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    script: ScriptArguments,
}

/// Plans the script and says what it would run. Stricter than `run`: tables that nothing uses must be right, too, and
/// constants computable.
pub(super) fn check(arguments: &CheckArguments) -> Result<u8, Failure> {
    let loaded = load_runnable(&arguments.script)?;
    if let Some(error) = Error::collect(loaded.script.unused.iter().chain(&loaded.script.failing).cloned()) {
        return Err(Failure { error, script: Some((loaded.path, loaded.text)) });
    }
    let mut text = String::new();
    for note in &loaded.script.notes {
        text += &format!("note: line {}: {}\n", note.span.line, note.message);
    }
    let jobs = loaded.script.jobs.len();
    text += &format!("{}: no errors, {jobs} job{}\n", loaded.path, if jobs == 1 { "" } else { "s" });
    write_out(text.as_bytes())?;
    Ok(0)
}

/// Prints the plan of every job, sinks first.
pub(super) fn explain(arguments: &CheckArguments) -> Result<u8, Failure> {
    let loaded = load_runnable(&arguments.script)?;
    let mut text = String::new();
    for (at, job) in loaded.script.jobs.iter().enumerate() {
        text += &format!("== Job {} (line {}) ==\n\n-- Stream plan\n{}\n", at + 1, job.span.line, job.plan.explain());
    }
    if text.is_empty() {
        text = format!("{}: no jobs; \"streamer run\" shows what its statements say\n", loaded.path);
    }
    write_out(text.as_bytes())?;
    Ok(0)
}
