//! One round: a job with topics of its own, some faults one after the other, and the reckoning.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cluster::{Cluster, NODES};
use super::job::{Job, Process, Program, Progress, table};
use super::load::Load;
use super::oracle::{self, Difference};
use super::plan::Fault;
use super::sinks::{self, Place, kinds};
use crate::support::postgres::Cluster as Database;

/// Longest until the job is well again.
const WELL: Duration = Duration::from_secs(180);
/// Longest until an armed step is reached.
const REACHED: Duration = Duration::from_secs(40);
/// Longest until a process that was taken over, and wakes up, has found out.
const FOUND_OUT: Duration = Duration::from_secs(60);
/// How long a broker is away.
const BROKER_AWAY: Duration = Duration::from_secs(8);
/// Until readings it has sent before it died are used up.
const BROKER_MISSED: Duration = Duration::from_secs(1);
const BROKER_PAUSED: Duration = Duration::from_secs(30);
const OUTAGE: Duration = Duration::from_secs(60);
/// How long a table is locked.
const TABLE_LOCKED: Duration = Duration::from_secs(60);

/// What a round needs.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) program: Program,
    pub(crate) cluster: Cluster,
    pub(crate) place: Place,
    /// Readings per second.
    pub(crate) rate: u64,
}

/// What became of one fault.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) fault: Fault,
    /// From the kill, or the end of the fault, to an epoch with new readings of every partition.
    pub(crate) recovery: Duration,
    /// The step was not reached.
    pub(crate) missed: bool,
}

/// What became of a round.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) done: Vec<Done>,
    pub(crate) readings: usize,
    /// Times the process ended by itself and was started again, as a supervisor does.
    pub(crate) restarts: Vec<String>,
    /// Per result and kind of sink.
    pub(crate) differences: Vec<(String, Difference)>,
    /// What went wrong.
    pub(crate) failures: Vec<String>,
}

struct Round<'a> {
    cluster: &'a Cluster,
    job: Job,
    current: Process,
    report: Report,
}

/// Runs a round.
pub(crate) fn run(setting: &Setting, faults: &[Fault], tell: &dyn Fn(&str)) -> Report {
    let job = Job::new(&setting.program, &setting.cluster, setting.place.clone());
    let load = Load::start(&setting.cluster.bootstrap, &job.input, setting.rate);
    let current = job.start(&[], None);
    let mut round = Round { cluster: &setting.cluster, job, current, report: Report::default() };
    let well = round.recover(&Progress::default());
    if let Err(failure) = well {
        round.report.failures.push(format!("the job does not start: {failure}"));
        return round.report;
    }
    for fault in faults {
        let started = Instant::now();
        let done = round.fault(fault);
        let took = started.elapsed().as_secs_f64();
        match done {
            Ok((recovery, missed)) => {
                let note = if missed { ", step not reached" } else { "" };
                let epoch = round.job.progress().epoch;
                tell(&format!(
                    "{fault}: well after {:.1} s ({took:.1} s, epoch {epoch}, {} sent{note})",
                    recovery.as_secs_f64(),
                    load.sent()
                ));
                round.report.done.push(Done { fault: fault.clone(), recovery, missed });
            }
            Err(failure) => {
                tell(&format!("{fault}: {failure}"));
                round.report.failures.push(format!("{fault}: {failure}"));
            }
        }
    }
    load.finish();
    round.reckon(tell);
    round.report
}

impl Round<'_> {
    /// Breaks something and waits until the job is well again.
    fn fault(&mut self, fault: &Fault) -> Result<(Duration, bool), String> {
        match fault {
            Fault::Kill { after_ms, standby } => {
                let waiting = standby.then(|| self.standby()).transpose()?;
                std::thread::sleep(Duration::from_millis(*after_ms));
                let before = self.job.progress();
                self.current.kill();
                self.current = waiting.unwrap_or_else(|| self.job.start(&[], None));
                Ok((self.recover(&before)?, false))
            }
            Fault::StepKill { point } => self.step(&format!("{point}=kill"), true),
            Fault::StepError { point } => self.step(&format!("{point}=error"), false),
            Fault::StepTakeover { point } => self.takeover(&format!("{point}=stop")),
            Fault::BrokerKill { node } => {
                Cluster::kill(*node);
                // what was fetched before is committed still
                std::thread::sleep(BROKER_MISSED);
                let before = self.job.progress();
                let well = self.recover(&before).map(|well| well + BROKER_MISSED);
                std::thread::sleep(BROKER_AWAY);
                Cluster::start(*node);
                self.cluster.wait();
                Ok((well?, false))
            }
            Fault::BrokerPause { node } => {
                Cluster::pause(*node);
                std::thread::sleep(BROKER_PAUSED);
                let before = self.job.progress();
                Cluster::resume(*node);
                let well = self.recover(&before);
                self.cluster.wait();
                Ok((well?, false))
            }
            Fault::Outage { kill } => self.outage(*kill),
            Fault::DatabaseCrash => self.database_crash(),
            Fault::DatabaseLock => self.database_lock(),
        }
    }

    /// The database dies as in a power cut, and is back after a while.
    fn database_crash(&mut self) -> Result<(Duration, bool), String> {
        let database = self.database()?;
        database.stop("immediate");
        std::thread::sleep(BROKER_AWAY);
        let before = self.job.progress();
        database.up();
        Ok((self.recover(&before)?, false))
    }

    /// Somebody holds a table of ours for longer than a delivery may take.
    fn database_lock(&mut self) -> Result<(Duration, bool), String> {
        let database = self.database()?;
        let table = sinks::relation(&self.job.place, &table("rolling", "postgres"));
        let seconds = TABLE_LOCKED.as_secs();
        let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({seconds}); COMMIT");
        let held = database.psql(&lock).output().map_err(|error| error.to_string())?;
        if !held.status.success() {
            return Err(format!("the table cannot be locked: {}", String::from_utf8_lossy(&held.stderr)));
        }
        let before = self.job.progress();
        Ok((self.recover(&before)?, false))
    }

    fn database(&self) -> Result<Arc<Database>, String> {
        self.job.place.postgres.clone().ok_or_else(|| "there is no database".to_owned())
    }

    /// Starts the job with an armed step.
    fn step(&mut self, failpoint: &str, dies: bool) -> Result<(Duration, bool), String> {
        self.current.kill();
        self.current = self.job.start(&[], Some(failpoint));
        let reached = self
            .current
            .wait(REACHED, |process| process.ended().is_some() || (!dies && process.said().contains("failpoint")));
        let before = self.job.progress();
        if reached && !dies {
            // what fails may be tried again by the process itself
            self.current.wait(Duration::from_secs(3), |process| process.ended().is_some());
        }
        if !reached {
            self.current.kill();
        }
        if !reached || self.current.ended().is_some() {
            self.current = self.job.start(&[], None);
        }
        Ok((self.recover(&before)?, !reached))
    }

    /// A process is held at a step, another takes over, and the first one wakes up.
    fn takeover(&mut self, failpoint: &str) -> Result<(Duration, bool), String> {
        self.current.kill();
        let mut old = self.job.start(&[], Some(failpoint));
        let reached = old.wait(REACHED, |process| process.is_stopped() || process.ended().is_some());
        if !reached {
            old.kill();
        }
        let before = self.job.progress();
        self.current = self.job.start(&["--standby"], None);
        let well = self.recover(&before)?;
        if reached && self.job.progress().fence == before.fence {
            return Err("nobody has taken over: the held process goes on, somebody else has woken it".to_owned());
        }
        if reached {
            old.signal("CONT");
            // it writes to nobody while it finds out: the reckoning shows
            if !old.wait(FOUND_OUT, |process| process.ended().is_some()) {
                return Err("the process that was taken over goes on".to_owned());
            }
            if old.ended().is_some_and(|status| status.success()) {
                return Err(format!("the process that was taken over ended well: {}", old.last_words()));
            }
        }
        let before = self.job.progress();
        self.recover(&before)?;
        Ok((well, !reached))
    }

    /// A process that waits for the current one to go.
    fn standby(&self) -> Result<Process, String> {
        let mut waiting = self.job.start(&["--standby"], None);
        if waiting.wait(REACHED, |process| process.said().contains("standby")) {
            Ok(waiting)
        } else {
            Err(format!("a standby does not wait: {}", waiting.last_words()))
        }
    }

    fn outage(&mut self, kill: bool) -> Result<(Duration, bool), String> {
        (1..=NODES).for_each(Cluster::kill);
        std::thread::sleep(OUTAGE / 2);
        if kill {
            self.current.kill();
        }
        std::thread::sleep(OUTAGE / 2);
        let before = self.job.progress();
        (1..=NODES).for_each(Cluster::start);
        let well = self.recover(&before);
        self.cluster.wait();
        Ok((well?, false))
    }

    /// Waits until an epoch has new readings of every partition; a process that ends is started again.
    fn recover(&mut self, before: &Progress) -> Result<Duration, String> {
        let start = Instant::now();
        while !self.job.progress().beyond(before) {
            if let Some(status) = self.current.ended() {
                if !is_killed(status) {
                    self.report.restarts.push(self.current.last_words());
                }
                std::thread::sleep(Duration::from_millis(500));
                self.current = self.job.start(&[], None);
            }
            if start.elapsed() > WELL {
                return Err(format!("not well after {} s: {}", WELL.as_secs(), self.current.last_words()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(start.elapsed())
    }

    /// Ends the job, reads every sink and compares.
    fn reckon(&mut self, tell: &dyn Fn(&str)) {
        self.current.kill();
        // twice: what the first leaves in an outbox, the second delivers
        for turn in 0..2 {
            let mut last = self.job.start(&["--drain"], None);
            let ended = last.wait(WELL, |process| process.ended().is_some());
            if !ended || last.ended().is_some_and(|status| !status.success()) {
                self.report.failures.push(format!("draining, turn {turn}: {}", last.last_words()));
            }
        }
        let place = &self.job.place;
        let expected = oracle::expected(&sinks::records(&place.bootstrap, &self.job.input));
        self.report.readings = expected.readings;
        for (result, rows) in &expected.results {
            for kind in kinds(place) {
                let found = (kind.read)(place, &table(result, kind.name));
                let (difference, told) = oracle::compare(result, &found, rows);
                let name = format!("{result} in {}", kind.name);
                if !told.is_empty() {
                    self.report.failures.push(format!("{name}: {}", told.join("; ")));
                    told.iter().for_each(|line| tell(&format!("{name}: {line}")));
                }
                self.report.differences.push((name, difference));
            }
        }
    }
}

fn is_killed(status: std::process::ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status).is_some()
}
