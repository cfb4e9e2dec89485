//! The world the protocol lives in, small enough to search whole: a store with create-only manifests, a Kafka
//! with transactions of the first kind (no KIP-890), a database, and two processes that may die, pause, and be
//! replaced at any step. What a process does is decided by the production rules.

use streamer::protocol::{Action, Found, Halt, Head, Outcome, Put, Rules, SinkFacts, Standing, Verdict};

const SINKS: usize = 2;
const KAFKA: usize = 0;
const DATABASE: usize = 1;

/// How much may go wrong, and how much input there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Bounds {
    /// Records of the input; an epoch reads one or two.
    pub(crate) records: u8,
    /// Processes that may start, the first one included.
    pub(crate) starts: u8,
    /// Processes that may die.
    pub(crate) crashes: u8,
    /// Answers that are lost, with or without effect.
    pub(crate) faults: u8,
    /// Commits of a transaction that the network holds back and delivers later as well.
    pub(crate) held: u8,
}

/// Epoch and the records it read: `[from, to)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Segment {
    epoch: u64,
    from: u8,
    to: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Manifest {
    head: Head,
    /// Which life of a process has written it: the attempt id.
    life: u8,
    offset: u8,
    log: [Vec<Segment>; SINKS],
    delivered: [u64; SINKS],
    trimmed: [u64; SINKS],
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Transaction {
    producer: u8,
    rows: Vec<u8>,
    marker: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Kafka {
    rows: Vec<u8>,
    marker: Option<u64>,
    producer: u8,
    open: Option<Transaction>,
    held: Vec<u8>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Database {
    rows: Vec<u8>,
    marker: Option<u64>,
    fence: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Putting {
    Put,
    ReadBack,
}

/// A process that has read the newest manifest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Owner {
    life: u8,
    /// The newest manifest that is committed and ours; before the takeover, the one taken over.
    manifest: Manifest,
    /// The manifest on its way.
    draft: Option<(Manifest, Putting)>,
    running: bool,
    standing: [Standing; SINKS],
    /// The producer epoch of the last claim.
    producer: u8,
    /// The transaction under way: epoch and steps done.
    sent: Option<(u64, u8)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Process {
    Dead,
    Alive(Box<Owner>),
    /// Has stopped by itself, in this life.
    Stopped(u8),
}

/// Everything, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    store: Vec<Manifest>,
    kafka: Kafka,
    database: Database,
    processes: [Process; 2],
    records: u8,
    left: Bounds,
    lives: u8,
}

/// What must never be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Violation {
    /// A sink has a record twice.
    Doubled,
    /// Everything is committed and delivered, and a sink lacks a record.
    Lost,
    /// The owner of the job has stopped for a reason that is none.
    Stuck,
}

/// One step, for people: which process (2: the network) and what it did.
pub(crate) type Step = (usize, &'static str);

impl World {
    /// The beginning: nothing is there, nobody runs.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            store: Vec::new(),
            kafka: Kafka::default(),
            database: Database::default(),
            processes: [Process::Dead, Process::Dead],
            records: bounds.records,
            left: bounds,
            lives: 0,
        }
    }

    fn newest(&self) -> Option<&Manifest> {
        self.store.last()
    }

    fn at(&self, epoch: u64) -> Option<&Manifest> {
        self.store.get(usize::try_from(epoch).ok()?.checked_sub(1)?)
    }

    /// What is wrong here, if anything.
    pub(crate) fn violation(&self, rules: &dyn Rules) -> Option<Violation> {
        let doubled = |rows: &[u8]| rows.iter().enumerate().any(|(at, row)| rows[..at].contains(row));
        if doubled(&self.kafka.rows) || doubled(&self.database.rows) {
            return Some(Violation::Doubled);
        }
        let head = self.newest()?.head;
        for process in &self.processes {
            let owner = match process {
                Process::Stopped(life) if self.newest()?.life == *life => return Some(Violation::Stuck),
                Process::Dead | Process::Stopped(_) => continue,
                Process::Alive(owner) => owner,
            };
            if !owner.running || owner.manifest.head != head {
                continue;
            }
            let actions = [KAFKA, DATABASE].map(|sink| rules.next(&owner.facts(sink), &owner.epochs(sink)));
            if actions.iter().any(|a| matches!(a, Action::Stop(halt) if *halt != Halt::Fenced)) {
                return Some(Violation::Stuck);
            }
            let done = owner.draft.is_none() && owner.manifest.offset == self.records;
            let complete = done && owner.sent.is_none() && actions.iter().all(|a| *a == Action::Rest);
            let whole = |rows: &[u8]| rows.len() == usize::from(self.records);
            if complete && !(whole(&self.kafka.rows) && whole(&self.database.rows)) {
                return Some(Violation::Lost);
            }
        }
        None
    }

    /// Whether every record is in both sinks and a process rests.
    pub(crate) fn complete(&self) -> bool {
        let all = usize::from(self.records);
        self.kafka.rows.len() == all && self.database.rows.len() == all
    }

    /// Every world that can follow.
    pub(crate) fn successors(&self, rules: &dyn Rules) -> Vec<(Step, World)> {
        let mut next = Vec::new();
        for which in 0..self.processes.len() {
            self.process_steps(which, rules, &mut next);
        }
        self.held_arrives(&mut next);
        next
    }

    fn held_arrives(&self, next: &mut Vec<(Step, World)>) {
        for (at, producer) in self.kafka.held.iter().enumerate() {
            let mut world = self.clone();
            world.kafka.held.remove(at);
            if world.kafka.producer == *producer {
                world.kafka.end(*producer);
            }
            next.push(((2, "a held commit arrives"), world));
        }
    }

    fn process_steps(&self, which: usize, rules: &dyn Rules, next: &mut Vec<(Step, World)>) {
        match &self.processes[which] {
            Process::Stopped(_) => {}
            Process::Dead => {
                // the second slot stands for a standby: it is of use only while the first one lives
                let useful = which == 0 || !matches!(self.processes[0], Process::Dead);
                if self.left.starts > 0 && useful {
                    let mut world = self.clone();
                    world.left.starts -= 1;
                    world.lives += 1;
                    let owner = Owner::start(world.lives, self.newest(), rules);
                    world.processes[which] = Process::Alive(Box::new(owner));
                    next.push(((which, "starts"), world));
                }
            }
            Process::Alive(owner) => {
                if self.left.crashes > 0 {
                    let mut world = self.clone();
                    world.left.crashes -= 1;
                    world.processes[which] = Process::Dead;
                    next.push(((which, "dies"), world));
                }
                self.commit_steps(which, owner, rules, next);
                if owner.running {
                    self.read_steps(which, owner, rules, next);
                    for sink in [KAFKA, DATABASE] {
                        self.sink_steps(which, owner, sink, rules, next);
                    }
                }
            }
        }
    }

    /// The same world with this process changed.
    fn with(&self, which: usize, owner: Owner) -> World {
        let mut world = self.clone();
        world.processes[which] = Process::Alive(Box::new(owner));
        world
    }

    /// An epoch reads one or two records and is sealed.
    fn read_steps(&self, which: usize, owner: &Owner, rules: &dyn Rules, next: &mut Vec<(Step, World)>) {
        if owner.draft.is_some() {
            return;
        }
        for (count, what) in [(1, "seals an epoch of one record"), (2, "seals an epoch of two records")] {
            let to = owner.manifest.offset + count;
            if to <= self.records {
                next.push(((which, what), self.with(which, owner.sealed(to, rules))));
            }
        }
    }

    fn commit_steps(&self, which: usize, owner: &Owner, rules: &dyn Rules, next: &mut Vec<(Step, World)>) {
        let Some((draft, putting)) = &owner.draft else { return };
        let there = self.at(draft.head.epoch);
        let mut then = |what: &'static str, applied: bool, fault: bool, verdict: Verdict| {
            let mut world = self.clone();
            if applied {
                world.store.push(draft.clone());
            }
            world.left.faults -= u8::from(fault);
            world.processes[which] = match owner.clone().judged(verdict) {
                Some(owner) => Process::Alive(Box::new(owner)),
                None => Process::Stopped(draft.life),
            };
            next.push(((which, what), world));
        };
        match putting {
            Putting::Put if there.is_some() => then("puts: exists", false, false, rules.after_put(Put::Exists)),
            Putting::Put => {
                then("commits", true, false, rules.after_put(Put::Created));
                if self.left.faults > 0 {
                    then("commits, answer lost", true, true, rules.after_put(Put::Unknown));
                    then("fails to commit", false, true, rules.after_put(Put::Unknown));
                }
            }
            Putting::ReadBack => {
                let found = match there {
                    None => Found::Nothing,
                    Some(manifest) if manifest.life == draft.life => Found::Ours,
                    Some(_) => Found::Foreign,
                };
                then("reads its manifest back", false, false, rules.after_read_back(found));
            }
        }
    }

    fn sink_steps(&self, which: usize, owner: &Owner, sink: usize, rules: &dyn Rules, next: &mut Vec<(Step, World)>) {
        let facts = owner.facts(sink);
        let mut then = |what: &'static str, mut world: World, mut owner: Owner, outcome: Outcome| {
            owner.standing[sink] = rules.after(&facts, outcome);
            if sink == KAFKA {
                owner.sent = None;
            }
            world.processes[which] = Process::Alive(Box::new(owner));
            next.push(((which, what), world));
        };
        match rules.next(&facts, &owner.epochs(sink)) {
            Action::Rest => {}
            Action::Stop(_) => {
                let mut world = self.clone();
                world.processes[which] = Process::Stopped(owner.life);
                next.push(((which, "stops"), world));
            }
            Action::Confirm => {
                let ours = self.newest().is_some_and(|newest| newest.head.fence == owner.manifest.head.fence);
                let outcome = if ours { Outcome::Ours } else { Outcome::Foreign };
                then("confirms", self.clone(), owner.clone(), outcome);
            }
            Action::Claim if sink == KAFKA => {
                let mut world = self.clone();
                world.kafka.producer += 1;
                world.kafka.open = None;
                let owner = Owner { producer: world.kafka.producer, ..owner.clone() };
                then("claims kafka", world, owner, Outcome::Claimed);
            }
            Action::Claim => {
                let mut world = self.clone();
                let foreign = world.database.fence > owner.manifest.head.fence;
                world.database.fence = world.database.fence.max(owner.manifest.head.fence);
                let outcome = if foreign { Outcome::Foreign } else { Outcome::Claimed };
                then("claims the database", world, owner.clone(), outcome);
            }
            Action::ReadMarker => {
                let marker = if sink == KAFKA { self.kafka.marker } else { self.database.marker };
                then("reads a marker", self.clone(), owner.clone(), Outcome::Marker(marker));
            }
            Action::Deliver(epoch) if sink == KAFKA => self.transaction_steps(which, owner, epoch, rules, next),
            Action::Deliver(epoch) => {
                let mut world = self.clone();
                if world.database.fence != owner.manifest.head.fence {
                    then("is fenced by the database", world, owner.clone(), Outcome::Doubt);
                    return;
                }
                if self.left.faults > 0 {
                    world.left.faults -= 1;
                    then("fails to write the database", world.clone(), owner.clone(), Outcome::Doubt);
                    world.database.deliver(owner.segment(sink, epoch));
                    then("writes the database, answer lost", world, owner.clone(), Outcome::Doubt);
                }
                let mut world = self.clone();
                world.database.deliver(owner.segment(sink, epoch));
                then("writes the database", world, owner.clone(), Outcome::Delivered(epoch));
            }
        }
    }

    /// Row by row, then the marker, then the end.
    fn transaction_steps(
        &self,
        which: usize,
        owner: &Owner,
        epoch: u64,
        rules: &dyn Rules,
        next: &mut Vec<(Step, World)>,
    ) {
        let segment = owner.segment(KAFKA, epoch);
        let sent = owner.sent.filter(|(at, _)| *at == epoch).map_or(0, |(_, sent)| sent);
        let rows = segment.to - segment.from;
        let mut world = self.clone();
        let mut then = |what: &'static str, mut world: World, outcome: Outcome| {
            let mut owner = owner.clone();
            owner.sent = None;
            owner.standing[KAFKA] = rules.after(&owner.facts(KAFKA), outcome);
            world.processes[which] = Process::Alive(Box::new(owner));
            next.push(((which, what), world));
        };
        if world.kafka.producer != owner.producer {
            then("is fenced by kafka", world, Outcome::Doubt);
            return;
        }
        if sent <= rows {
            if sent == 0 {
                let (rows, marker) = (Vec::new(), None);
                world.kafka.open = Some(Transaction { producer: owner.producer, rows, marker });
            }
            // the transaction may have been ended by a held commit: then what follows hangs for ever
            if let Some(open) = &mut world.kafka.open {
                if sent < rows {
                    open.rows.push(segment.from + sent);
                } else {
                    open.marker = Some(epoch);
                }
            }
            let owner = Owner { sent: Some((epoch, sent + 1)), ..owner.clone() };
            next.push((
                (which, if sent < rows { "sends a row" } else { "sends the marker" }),
                world.with(which, owner),
            ));
            return;
        }
        if self.left.faults > 0 {
            let mut world = world.clone();
            world.left.faults -= 1;
            then("sends a commit that never arrives", world.clone(), Outcome::Doubt);
            world.kafka.end(owner.producer);
            then("commits in kafka, answer lost", world, Outcome::Doubt);
        }
        if self.left.held > 0 {
            let mut world = world.clone();
            world.left.held -= 1;
            world.kafka.held.push(owner.producer);
            world.kafka.end(owner.producer);
            then("commits in kafka at the second try, the first is held", world, Outcome::Doubt);
        }
        world.kafka.end(owner.producer);
        then("commits in kafka", world, Outcome::Delivered(epoch));
    }
}

impl Kafka {
    /// Commits the open transaction of a producer, if there is one.
    fn end(&mut self, producer: u8) {
        if let Some(open) = self.open.take_if(|open| open.producer == producer) {
            self.rows.extend(open.rows);
            self.marker = open.marker.or(self.marker);
        }
    }
}

impl Database {
    /// One transaction: rows and marker, unless the epoch is there.
    fn deliver(&mut self, segment: Segment) {
        if self.marker.is_none_or(|marker| marker < segment.epoch) {
            self.rows.extend(segment.from..segment.to);
            self.marker = Some(segment.epoch);
        }
    }
}

impl Owner {
    fn start(life: u8, newest: Option<&Manifest>, rules: &dyn Rules) -> Self {
        let head = rules.take_over(newest.map(|m| m.head));
        let nothing =
            Manifest { head, life, offset: 0, log: Default::default(), delivered: [0; SINKS], trimmed: [0; SINKS] };
        let taken = newest.cloned().unwrap_or_else(|| nothing.clone());
        let draft = Manifest { head, life, ..newest.cloned().unwrap_or(nothing) };
        Self {
            life,
            manifest: taken,
            draft: Some((draft, Putting::Put)),
            running: false,
            standing: [Standing::Unknown; SINKS],
            producer: 0,
            sent: None,
        }
    }

    fn facts(&self, sink: usize) -> SinkFacts {
        SinkFacts {
            standing: self.standing[sink],
            delivered: self.manifest.delivered[sink],
            trimmed: self.manifest.trimmed[sink],
            committed: self.manifest.head.epoch,
            marker_beside_rows: sink == DATABASE,
        }
    }

    /// Epochs with rows for a sink, the sealed one included.
    fn epochs(&self, sink: usize) -> Vec<u64> {
        let newest = self.draft.as_ref().map_or(&self.manifest, |(draft, _)| draft);
        let mut epochs: Vec<u64> =
            self.manifest.log[sink].iter().chain(&newest.log[sink]).map(|segment| segment.epoch).collect();
        epochs.sort_unstable();
        epochs.dedup();
        epochs
    }

    fn segment(&self, sink: usize, epoch: u64) -> Segment {
        let draft = self.draft.iter().flat_map(|(draft, _)| &draft.log[sink]);
        *self.manifest.log[sink].iter().chain(draft).find(|segment| segment.epoch == epoch).unwrap()
    }

    /// With the records up to `to` read and sealed as the next epoch.
    fn sealed(&self, to: u8, rules: &dyn Rules) -> Self {
        let mut draft = self.manifest.clone();
        draft.life = self.life;
        draft.head.epoch += 1;
        draft.offset = to;
        for sink in [KAFKA, DATABASE] {
            let facts = self.facts(sink);
            if let Standing::Marked(Some(marker)) = facts.standing {
                draft.delivered[sink] = draft.delivered[sink].max(marker);
            }
            let (gone, kept): (Vec<Segment>, Vec<Segment>) =
                draft.log[sink].iter().partition(|segment| rules.may_trim(&facts, segment.epoch));
            draft.trimmed[sink] = gone.iter().map(|s| s.epoch).max().unwrap_or(draft.trimmed[sink]);
            draft.log[sink] = kept;
            draft.log[sink].push(Segment { epoch: draft.head.epoch, from: self.manifest.offset, to });
        }
        Self { draft: Some((draft, Putting::Put)), ..self.clone() }
    }

    /// After an answer of the store; `None`: the process stops.
    fn judged(mut self, verdict: Verdict) -> Option<Self> {
        match verdict {
            Verdict::Fenced => return None,
            Verdict::ReadBack => self.draft = self.draft.map(|(draft, _)| (draft, Putting::ReadBack)),
            Verdict::PutAgain => self.draft = self.draft.map(|(draft, _)| (draft, Putting::Put)),
            Verdict::Committed => {
                if let Some((draft, _)) = self.draft.take() {
                    self.manifest = draft;
                    self.running = true;
                }
            }
        }
        Some(self)
    }
}
