//! Passes and their cost: wall time, and the CPU time of the threads that did the work.
//!
//! Subjects take turns, so that a busy minute of the machine hits all of them; the best pass counts.

use std::time::Duration;

use streamer::error::{Error, Result};
use streamer::time::{Clock, system_clock};

/// Something with a cost per row.
pub(crate) trait Subject {
    /// Name in the table and for the filter.
    fn name(&self) -> String;

    /// The subject that does the same to the same bytes another way.
    fn peer(&self) -> Option<String> {
        None
    }

    /// Makes what a pass uses up; not measured.
    ///
    /// # Errors
    /// Those of the engine.
    fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    /// Does the work once and returns the number of rows that went through.
    ///
    /// # Errors
    /// Those of the engine, and `Internal` if rows are missing.
    fn pass(&mut self) -> Result<u64>;

    /// Whose CPU time counts.
    fn threads(&self) -> Threads {
        Threads::Caller
    }
}

/// Whose CPU time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The calling thread's: the work has no others.
    Caller,
    /// All of the process but the embedded brokers'.
    AllButBrokers,
}

/// What passes took, each number of the pass where it was least.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    rows: u64,
    wall: Duration,
    cpu: Duration,
}

impl Cost {
    pub(crate) fn cpu_per_row(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.rows.max(1) as f64
    }

    pub(crate) fn rows_per_second(&self) -> f64 {
        self.rows as f64 / self.wall.as_secs_f64().max(1e-9)
    }

    fn better(self, other: Self) -> Self {
        Self { rows: self.rows, wall: self.wall.min(other.wall), cpu: self.cpu.min(other.cpu) }
    }
}

/// Lets the subjects take turns, `passes` times; the best cost of each.
pub(crate) fn interleaved(subjects: &mut [Box<dyn Subject + '_>], passes: usize) -> Result<Vec<Cost>> {
    let clock = system_clock();
    let mut best: Vec<Option<Cost>> = vec![None; subjects.len()];
    for _ in 0..passes {
        for (subject, best) in subjects.iter_mut().zip(&mut best) {
            subject.prepare()?;
            let cost = one(subject.as_mut(), &clock)?;
            *best = Some(best.map_or(cost, |known| known.better(cost)));
        }
    }
    best.into_iter().map(|cost| cost.ok_or_else(|| Error::internal("no pass"))).collect()
}

fn one(subject: &mut dyn Subject, clock: &Clock) -> Result<Cost> {
    let threads = subject.threads();
    let (cpu, wall) = (cpu_time(threads)?, clock.elapsed());
    let rows = subject.pass()?;
    let (wall, cpu) = (clock.elapsed().saturating_sub(wall), cpu_time(threads)?.saturating_sub(cpu));
    Ok(Cost { rows, wall, cpu })
}

/// CPU time spent so far, in user space and in the kernel.
fn cpu_time(threads: Threads) -> Result<Duration> {
    match threads {
        Threads::Caller => nanoseconds("/proc/thread-self/schedstat"),
        Threads::AllButBrokers => Ok(process_time()?.saturating_sub(brokers_time()?)),
    }
}

/// The first number of a `schedstat`: time on a CPU, ns.
fn nanoseconds(path: &str) -> Result<Duration> {
    let text = std::fs::read_to_string(path)?;
    let first = text.split_whitespace().next().and_then(|n| n.parse().ok());
    first.map(Duration::from_nanos).ok_or_else(|| Error::internal(format!("no CPU time in \"{path}\"")))
}

/// All threads there are and were; the kernel tells it in hundredths of a second.
fn process_time() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    // Fields are counted behind the name in parentheses, which may hold anything: user and system time are
    // the 12th and 13th.
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: Vec<u64> = fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse().ok()).collect();
    match ticks.as_slice() {
        [user, system] => Ok(Duration::from_millis((user + system) * 10)),
        _ => Err(Error::internal("no CPU time in \"/proc/self/stat\"")),
    }
}

/// The thread of the embedded brokers, by the name librdkafka gives it.
fn brokers_time() -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        // A thread may end between the listing and the look: then it is not the brokers'.
        if std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "rdk:mock") {
            sum += nanoseconds(&path.join("schedstat").to_string_lossy())?;
        }
    }
    Ok(sum)
}

/// Most memory the process has held.
pub(crate) fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    kib.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
