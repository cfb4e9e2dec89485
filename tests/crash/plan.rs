//! What is to be broken, drawn from a seed.

use std::fmt;

use super::cluster::NODES;

/// A number after the other, the same for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    /// One of `0..sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }

    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            all.swap(at, self.roll(at + 1));
        }
    }
}

/// One thing that is done to the job or what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL so long after it was well; then a restart, or a standby that has been waiting takes over.
    Kill { after_ms: u64, standby: bool },
    /// SIGKILL of itself at a step, then a restart.
    StepKill { point: String },
    /// SIGSTOP of itself at a step; a standby takes over, and the old process wakes up.
    StepTakeover { point: String },
    /// The step fails; if the process ends, it is started again.
    StepError { point: String },
    /// SIGKILL of a broker, which comes back.
    BrokerKill { node: usize },
    /// SIGSTOP of a broker for half a minute.
    BrokerPause { node: usize },
    /// All brokers away for a minute; in every second one the job is killed meanwhile.
    Outage { kill: bool },
    /// The database dies, and comes back.
    DatabaseCrash,
    /// A table of the database is locked for a minute.
    DatabaseLock,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { after_ms, standby: false } => write!(f, "kill after {after_ms} ms, restart"),
            Self::Kill { after_ms, standby: true } => write!(f, "kill after {after_ms} ms, standby"),
            Self::StepKill { point } => write!(f, "{point}=kill, restart"),
            Self::StepTakeover { point } => write!(f, "{point}=stop, takeover"),
            Self::StepError { point } => write!(f, "{point}=error"),
            Self::BrokerKill { node } => write!(f, "broker {node} killed"),
            Self::BrokerPause { node } => write!(f, "broker {node} stopped for 30 s"),
            Self::Outage { kill } => write!(f, "all brokers away for 60 s{}", if *kill { ", job killed" } else { "" }),
            Self::DatabaseCrash => f.write_str("database killed"),
            Self::DatabaseLock => f.write_str("table locked for 60 s"),
        }
    }
}

/// How much of what.
#[derive(Debug, Clone)]
pub(crate) struct Amounts {
    pub(crate) kills: usize,
    /// Names of steps, each with `:nth` or without.
    pub(crate) steps: Vec<String>,
    pub(crate) takeover: bool,
    pub(crate) brokers: usize,
    pub(crate) outages: usize,
    /// Of the database; every fourth is a lock.
    pub(crate) databases: usize,
}

/// The faults of a seed, in the order of the dice.
pub(crate) fn faults(amounts: &Amounts, seed: u64) -> Vec<Fault> {
    let mut dice = Dice::new(seed);
    let mut faults = Vec::new();
    for kill in 0..amounts.kills {
        let standby = amounts.takeover && kill % 4 == 3;
        faults.push(Fault::Kill { after_ms: dice.roll(2_000) as u64, standby });
    }
    for step in &amounts.steps {
        // each variant at another time
        let mut point =
            || if step.contains(':') { step.clone() } else { format!("{step}:{}", 1 + dice.roll(often(step))) };
        faults.push(Fault::StepKill { point: point() });
        faults.push(Fault::StepError { point: point() });
        if amounts.takeover {
            faults.push(Fault::StepTakeover { point: point() });
        }
    }
    for broker in 0..amounts.brokers {
        let node = broker % NODES + 1;
        faults.push(if broker % 4 == 3 { Fault::BrokerPause { node } } else { Fault::BrokerKill { node } });
    }
    faults.extend((0..amounts.outages).map(|outage| Fault::Outage { kill: outage % 2 == 1 }));
    faults
        .extend((0..amounts.databases).map(|at| if at % 4 == 1 { Fault::DatabaseLock } else { Fault::DatabaseCrash }));
    dice.shuffle(&mut faults);
    faults
}

/// How often a process reaches a step before it has run for long.
fn often(step: &str) -> usize {
    match step.split('.').next() {
        Some("takeover" | "garbage") => 1,
        _ if ["courier.confirm", "courier.claim", "courier.claimed", "courier.marker-read"].contains(&step) => 2,
        _ => 4,
    }
}
