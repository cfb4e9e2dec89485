//! What tests of the whole program share: the binary, a real Kafka, and an independent recomputation of
//! the main job written without the engine.

pub(crate) mod kafka;
pub(crate) mod oracle;
pub(crate) mod postgres;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};

/// The project's directory.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The binary under test, in `directory`, without anything of the caller's environment that it reads.
pub(crate) fn streamer(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamer"));
    command.current_dir(directory).env_remove("KAFKA_BOOTSTRAP_SERVERS").env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

/// Runs the binary and returns what it printed.
pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Output {
    streamer(directory).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Text of a finished process, for messages of assertions.
pub(crate) fn text(output: &Output) -> String {
    format!(
        "exit {:?}\n--- stdout\n{}\n--- stderr\n{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A running process that does not outlive its test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Running {
    /// Sends a signal by name: `INT`, `TERM`, `KILL`, `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Watches from now to the end of the process; then tells the most memory it held, in kB.
    pub(crate) fn watch_memory(&self) -> std::thread::JoinHandle<u64> {
        let process = self.0.id();
        std::thread::spawn(move || {
            let mut peak_kb = 0;
            // An ended process has no memory to tell of.
            while let Some(kb) = peak_resident_kb(process) {
                peak_kb = kb;
                std::thread::sleep(Duration::from_millis(50));
            }
            peak_kb
        })
    }

    /// Waits for the end and returns what was printed.
    pub(crate) fn finish(mut self) -> Output {
        let child = std::mem::replace(&mut self.0, Command::new("true").spawn().unwrap());
        child.wait_with_output().unwrap()
    }
}

/// Lines a running process writes to standard output, as they come.
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Takes over the output of `running`.
    pub(crate) fn of(running: &mut Running) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (out, to) = (BufReader::new(running.0.stdout.take().unwrap()), Arc::clone(&lines));
        std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| to.lock().unwrap().push(line)));
        Self(lines)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Starts the binary with its output captured.
pub(crate) fn start(command: &mut Command) -> Running {
    Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// Waits until `done` says so; fails with `what` after a minute and a half.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(90), "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The ledger of a run's summary: per partition, and for `total`, the rows read, processed, late, bad, in the
/// future, and tombstones.
pub(crate) fn ledger(shown: &str) -> BTreeMap<String, [u64; 6]> {
    let table = shown.lines().skip_while(|line| !line.contains("processed +")).skip(1);
    let lines = table.map_while(|line| {
        let (name, numbers) = line.trim().split_once(' ')?;
        let numbers: Vec<u64> =
            numbers.split(['=', '+']).map_while(|n| n.trim().replace(',', "").parse().ok()).collect();
        Some((name.to_owned(), numbers.try_into().ok()?))
    });
    lines.collect()
}

/// The most memory a running process has held, in kB; `None` if it has none any more.
pub(crate) fn peak_resident_kb(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// All rows of the visible Parquet files below a directory.
pub(crate) fn parquet(directory: &Path) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for path in visible_files(directory) {
        let file = std::fs::File::open(&path).unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        batches.extend(reader.build().unwrap().map(Result::unwrap));
    }
    batches
}

/// Files a reader sees: names that start with `.` or `_` are not for readers.
pub(crate) fn visible_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(directory) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(['.', '_']) {
            continue;
        }
        if path.is_dir() { found.extend(visible_files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// The column `name` as text, one per row.
pub(crate) fn strings(batches: &[RecordBatch], name: &str) -> Vec<String> {
    values(batches, name, |column, row| column.as_string::<i32>().value(row).to_owned())
}

/// The column `name` as numbers.
pub(crate) fn doubles(batches: &[RecordBatch], name: &str) -> Vec<f64> {
    values(batches, name, |column, row| column.as_primitive::<Float64Type>().value(row))
}

/// The column `name` as whole numbers.
pub(crate) fn longs(batches: &[RecordBatch], name: &str) -> Vec<i64> {
    values(batches, name, |column, row| column.as_primitive::<Int64Type>().value(row))
}

fn values<T>(batches: &[RecordBatch], name: &str, value: impl Fn(&dyn Array, usize) -> T) -> Vec<T> {
    batches
        .iter()
        .flat_map(|batch| {
            let column = batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
            (0..batch.num_rows()).map(|row| value(column.as_ref(), row)).collect::<Vec<_>>()
        })
        .collect()
}
