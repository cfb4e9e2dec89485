//! One case: what it is, and running it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;

use super::compare;
use super::value::Type;
use crate::cli::BUG;
use crate::cli::report::STOPPED;
use crate::error::{Error, Result};

/// Said of a run that read all there was, though another was to go on from where it stops.
const NOT_STOPPED: &str = "a run that should have stopped in the middle read everything";
/// Rows of the largest input of a case with a middle.
const MIDDLE_ROWS_MIN: usize = 12;
/// Exit code of a program that was given a script it cannot run: [`crate::error::ErrorKind::Sql`].
const REFUSED: i32 = 3;
const POLL: Duration = Duration::from_millis(5);
/// Looks at a script before it is ended: two minutes, longer than one over files may take.
const POLLS_MAX: usize = 24_000;

/// A script, its inputs and what it must give.
#[derive(Debug, Clone)]
pub struct Case {
    /// Name of its directory.
    pub name: String,
    /// What it is about; cases are counted by area.
    pub area: String,
    directory: PathBuf,
    spec: Spec,
}

/// The part of `case.json` that says how to compare.
#[derive(Debug, Clone, Deserialize)]
struct Spec {
    #[serde(default)]
    area: Option<String>,
    #[serde(default)]
    compare: Compare,
    /// Relative tolerance of DOUBLE and FLOAT.
    #[serde(default = "tolerance")]
    float_rel_tol: f64,
    #[serde(default)]
    outputs: Vec<OutputSpec>,
    #[serde(default)]
    error: Option<ErrorSpec>,
}

fn tolerance() -> f64 {
    1e-9
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Compare {
    /// The same rows the same number of times, all of them inserts.
    #[default]
    Multiset,
    /// What is left after applying all changes.
    Final,
    /// The script must be refused, or fail.
    Error,
}

#[derive(Debug, Clone, Deserialize)]
struct OutputSpec {
    table: String,
    kind: OutputKind,
    /// Name and Flink type of each column.
    columns: Vec<(String, String)>,
    #[serde(default)]
    mode: Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OutputKind {
    Json,
    Csv,
    /// Rows of the final SELECT.
    Query,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Append,
    Changelog,
}

#[derive(Debug, Clone, Deserialize)]
struct ErrorSpec {
    #[serde(default = "must_fail")]
    must_fail: bool,
    #[serde(default)]
    why: String,
}

fn must_fail() -> bool {
    true
}

/// What running a case has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// What is expected, and nothing else.
    Passed,
    /// Rows were expected, and the script was refused: what the program said.
    NotSupported(String),
    /// What differs, or how the run went wrong.
    Failed(Vec<String>),
}

impl Outcome {
    fn of(differences: Vec<String>) -> Self {
        if differences.is_empty() { Self::Passed } else { Self::Failed(differences) }
    }
}

/// How a script ended.
struct Ended {
    code: Option<i32>,
    errors: String,
}

impl Case {
    /// Reads `case.json`.
    ///
    /// # Errors
    /// `Config` if it is not there or is no description of a case.
    pub fn read(directory: &Path) -> Result<Self> {
        let file = directory.join("case.json");
        let wrong = |what: String| Error::config(format!("\"{}\": {what}", file.display()));
        let text = std::fs::read_to_string(&file).map_err(|e| wrong(e.to_string()))?;
        let spec: Spec = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        for (_, data_type) in spec.outputs.iter().flat_map(|output| &output.columns) {
            Type::parse(data_type).ok_or_else(|| wrong(format!("\"{data_type}\" is no type")))?;
        }
        let name = directory.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let area = spec.area.clone().unwrap_or_else(|| "cases".to_owned());
        Ok(Self { name, area, directory: directory.to_owned(), spec })
    }

    /// Rows of the largest input file: what a run that is to stop in the middle has to know.
    pub fn input_rows(&self) -> usize {
        let files = std::fs::read_dir(self.directory.join("input")).into_iter().flatten().flatten();
        let lines = files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).map(|text| text.lines().count());
        lines.max().unwrap_or(0)
    }

    /// Whether a run that is to stop in the middle tells that it has: one over fewer rows reads on for a batch or two
    /// before it stops, and a final SELECT tells nothing but its rows.
    pub fn has_middle(&self) -> bool {
        self.input_rows() >= MIDDLE_ROWS_MIN && self.spec.outputs.iter().all(|output| output.kind != OutputKind::Query)
    }

    /// Whether the script is expected to be refused, or to fail.
    pub fn fails(&self) -> bool {
        self.spec.compare == Compare::Error
    }

    /// Runs the script with `program` in a fresh directory, once with each of these options of `run`, every run going
    /// on where the one before has stopped; compares what is there in the end with what is expected.
    ///
    /// # Errors
    /// `Config` if the case cannot be read or run at all.
    pub fn outcome(&self, program: &Path, runs: &[&[&str]]) -> Result<Outcome> {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let work = std::env::temp_dir().join(format!("streamer-test-{}-{run}", std::process::id()));
        let failed =
            |what: &str, e: std::io::Error| Error::config(format!("cannot {what} \"{}\": {e}", work.display()));
        copy(&self.directory.join("input"), &work.join("input")).map_err(|e| failed("write to", e))?;
        let outcome = self.run_all(&work, program, runs).map(|ended| self.judge(&work, &ended));
        std::fs::remove_dir_all(&work).map_err(|e| failed("remove", e))?;
        outcome
    }

    /// How the last run ended, or the first that failed; one that should have left something to the next and did not
    /// has no code.
    fn run_all(&self, work: &Path, program: &Path, runs: &[&[&str]]) -> Result<Ended> {
        let mut ended = Ended { code: Some(0), errors: String::new() };
        for (number, options) in runs.iter().enumerate() {
            let told = ended.errors.len();
            ended = self.run(work, program, options)?;
            if ended.code != Some(0) {
                break;
            }
            let stopped = ended.errors.get(told..).is_some_and(|text| text.contains(&format!("{STOPPED} · ")));
            if number + 1 < runs.len() && self.has_middle() && !stopped {
                return Ok(Ended { code: None, errors: NOT_STOPPED.to_owned() });
            }
        }
        Ok(ended)
    }

    fn run(&self, work: &Path, program: &Path, options: &[&str]) -> Result<Ended> {
        let cannot = |e: std::io::Error| Error::config(format!("cannot run the case \"{}\": {e}", self.name));
        let script = std::fs::read_to_string(self.directory.join("query.sql")).map_err(cannot)?;
        let script = script.replace("{{dir}}", &work.display().to_string());
        std::fs::write(work.join("query.sql"), script).map_err(cannot)?;
        let file =
            |name: &str| std::fs::OpenOptions::new().create(true).append(true).open(work.join(name)).map_err(cannot);
        let child = Command::new(program)
            .args(["run", "query.sql", "--format", "jsonl", "--state", "state", "--metrics-addr", "none"])
            .args(options)
            // The case, and nothing of the user's surroundings.
            .env_remove("KAFKA_BOOTSTRAP_SERVERS")
            .env_remove("STREAMER_OUT")
            .env_remove("RUST_LOG")
            .current_dir(work)
            .stdin(Stdio::null())
            .stdout(file("result.jsonl")?)
            .stderr(file("errors.txt")?)
            .spawn()
            .map_err(cannot)?;
        let code = wait(child).map_err(cannot)?;
        let errors = std::fs::read_to_string(work.join("errors.txt")).map_err(cannot)?;
        Ok(Ended { code, errors })
    }

    fn judge(&self, work: &Path, ended: &Ended) -> Outcome {
        if self.spec.compare == Compare::Error {
            return Outcome::of(self.judge_error(ended));
        }
        match ended.code {
            Some(0) => {
                let outputs = self.spec.outputs.iter();
                Outcome::of(outputs.flat_map(|output| self.judge_output(work, output)).collect())
            }
            Some(REFUSED) if !ended.errors.contains(BUG) => Outcome::NotSupported(ended.errors.trim_end().to_owned()),
            _ => Outcome::Failed(vec![how_it_failed(ended)]),
        }
    }

    fn judge_error(&self, ended: &Ended) -> Vec<String> {
        let accepted = self.spec.error.as_ref();
        match ended.code {
            Some(0) if accepted.is_none_or(|e| e.must_fail) => {
                vec![format!("should have failed: {}", accepted.map_or("", |e| &e.why))]
            }
            Some(0) => Vec::new(),
            // Refused, or failed by its data; not by a fault of the program or of its surroundings.
            Some(1 | REFUSED) if !ended.errors.contains(BUG) => Vec::new(),
            _ => vec![how_it_failed(ended)],
        }
    }

    fn judge_output(&self, work: &Path, output: &OutputSpec) -> Vec<String> {
        let columns: Vec<(&str, Type)> = output
            .columns
            .iter()
            .filter_map(|(name, data_type)| Some((name.as_str(), Type::parse(data_type)?)))
            .collect();
        let rules = compare::Rules { columns: &columns, tolerance: self.spec.float_rel_tol };
        let changes = output.mode == Mode::Changelog;
        let suffix = if changes { "final.jsonl" } else { "jsonl" };
        let expected = self.directory.join("expected").join(format!("{}.{suffix}", output.table));
        let found = match output.kind {
            OutputKind::Query => compare::lines(&work.join("result.jsonl")),
            kind => compare::sink_rows(&work.join("out").join(&output.table), kind == OutputKind::Csv),
        };
        let differences = compare::lines(&expected)
            .and_then(|expected| Ok((expected, found?)))
            .and_then(|(expected, found)| rules.differences(expected, found, changes));
        differences
            .unwrap_or_else(|problem| vec![problem])
            .into_iter()
            .map(|difference| format!("{}: {difference}", output.table))
            .collect()
    }
}

fn how_it_failed(ended: &Ended) -> String {
    let how = match ended.code {
        Some(code) => format!("failed with exit code {code}"),
        None => "did not end".to_owned(),
    };
    format!("the script {how}\n{}", ended.errors.trim_end())
}

/// Exit code; `None` for a child that was ended by a signal, or by us because it took too long.
fn wait(mut child: Child) -> std::io::Result<Option<i32>> {
    for _ in 0..POLLS_MAX {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        std::thread::sleep(POLL);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// Copies a directory with everything in it; one that is not there is empty.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    if !from.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
