//! Scripts and settings: each case is a folder, a command, an exit code and what the command says.

use std::process::{Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::cases::{Case, parse};
use crate::support::{Running, streamer, text};

/// What nothing may say, whatever the input.
const NEVER: &[&str] = &["panicked", "stack overflow", "Internal error", "internal error", "DataFusion", "unaccounted"];

/// How long a command may take, on a machine with other work.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Processes side by side.
const WORKERS: usize = 3;

/// What differs from what the cases of a file expect.
pub(super) fn differences(file: &str, cases: &str) -> Vec<String> {
    let cases = parse(file, cases);
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(difference) = difference(case) {
                        found.lock().unwrap().push(difference);
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    found.sort();
    found
}

fn difference(case: &Case) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("q.sql"), &case.script).unwrap();
    for (name, bytes) in &case.files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    if let Some(first) = &case.first {
        let output = streamer(directory.path()).args(first).stdin(Stdio::null()).output().unwrap();
        if !output.status.success() {
            return Some(format!("{} ({}): what comes first fails\n{}", case.id, case.about, text(&output)));
        }
    }
    let mut command = streamer(directory.path());
    command.args(&case.command).envs(case.environment.iter().map(|(name, value)| (name, value)));
    let out = std::fs::File::create(directory.path().join("stdout")).unwrap();
    let err = std::fs::File::create(directory.path().join("stderr")).unwrap();
    let mut running = Running(command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap());
    let start = Instant::now();
    let status = loop {
        if let Some(status) = running.0.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > TIME_MAX {
            return Some(format!("{} ({}): does not end", case.id, case.about));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let read = |name: &str| std::fs::read(directory.path().join(name)).unwrap();
    let output = Output { status, stdout: read("stdout"), stderr: read("stderr") };
    let shown = text(&output);
    let mut wrong = Vec::new();
    if status.code() != Some(case.exit) {
        wrong.push(format!("exit code {:?} instead of {}", status.code(), case.exit));
    }
    let missing = case.has.iter().filter(|part| !shown.contains(part.as_str()));
    wrong.extend(missing.map(|part| format!("does not say {part:?}")));
    let never = NEVER.iter().copied().chain(case.not.iter().map(String::as_str));
    wrong.extend(never.filter(|part| shown.contains(part)).map(|part| format!("says {part:?}")));
    if wrong.is_empty() {
        return None;
    }
    let shown: String = shown.chars().take(2_000).collect();
    Some(format!("{} ({}): {}\n{shown}", case.id, case.about, wrong.join("; ")))
}
