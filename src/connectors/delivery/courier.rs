//! The back half of a delivery: does what [`crate::protocol`] decides, and tells it what came of it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::segment::Segment;
use super::{Target, Trouble, Writer};
use crate::connectors::Ownership;
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint::failpoint;
use crate::protocol::{Action, Halt, Outcome, Protocol, Rules, SinkFacts, Standing};

/// First pause after a failure.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause: how long a system that is back may wait for us.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How often in a row a system must say that it can never be written: one that has just started may not know its
/// topics yet.
const NEVERS_BELIEVED: u32 = 3;

/// What both halves know.
pub(super) struct Desk {
    state: Mutex<DeskState>,
    /// Rings when there may be something to deliver.
    pub(super) bell: Notify,
    /// Rings when something was delivered, or never will be.
    pub(super) news: Notify,
}

/// Epochs, and how far they are.
pub(super) struct DeskState {
    pub(super) facts: SinkFacts,
    /// Epochs with rows that the newest manifest lists, and the sealed one after it; rising.
    pub(super) log: Vec<Segment>,
    /// Deliveries have come to an end for good.
    pub(super) halted: Option<Error>,
    /// What the last failure said, while it lasts.
    pub(super) failing: Option<Error>,
}

impl DeskState {
    pub(super) fn epochs(&self) -> Vec<u64> {
        self.log.iter().map(|segment| segment.epoch).collect()
    }

    /// Committed epochs with rows that the system is not known to have.
    pub(super) fn undelivered(&self) -> usize {
        let marker = match self.facts.standing {
            Standing::Marked(Some(marker)) => marker,
            _ => self.facts.delivered,
        };
        self.log.iter().filter(|s| s.epoch > marker && s.epoch <= self.facts.committed).count()
    }
}

impl Desk {
    pub(super) fn new(state: DeskState) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(state), bell: Notify::new(), news: Notify::new() })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, DeskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether deliveries can still go on.
    pub(super) fn check(&self) -> Result<()> {
        self.state().halted.clone().map_or(Ok(()), Err)
    }

    fn next(&self) -> Action {
        let state = self.state();
        Protocol.next(&state.facts, &state.epochs())
    }

    fn tell(&self, outcome: Outcome) {
        let mut state = self.state();
        state.facts.standing = Protocol.after(&state.facts, outcome);
        drop(state);
        self.news.notify_waiters();
    }
}

/// Delivers until the end of the job.
pub(super) struct Courier {
    pub(super) desk: Arc<Desk>,
    pub(super) target: Box<dyn Target>,
    pub(super) writer: Writer,
    pub(super) ownership: Option<Ownership>,
    pub(super) directory: PathBuf,
    /// First pause after a failure; each further one is twice as long.
    pub(super) pause: Duration,
}

impl Courier {
    /// Runs for ever, or until nothing can be delivered any more; the desk then says why.
    pub(super) async fn run(mut self) {
        let _farewell = Farewell(Arc::clone(&self.desk));
        let (mut pause, mut nevers) = (self.pause, 0);
        loop {
            // asked for before the look, so that no ring is missed
            let desk = Arc::clone(&self.desk);
            let rung = desk.bell.notified();
            let action = desk.next();
            match action {
                Action::Rest => {
                    // whatever failed on the way here, the marker was read since
                    self.recovered();
                    pause = self.pause;
                    rung.await;
                }
                Action::Stop(halt) => return self.halt(self.explained(&halt)),
                action => match self.act(&action).await {
                    Ok(outcome) => {
                        if outcome == Outcome::Claimed {
                            nevers = 0;
                        }
                        if matches!(outcome, Outcome::Delivered(_)) {
                            self.recovered();
                            pause = self.pause;
                        }
                        desk.tell(outcome);
                    }
                    Err(error) => {
                        match error.kind() {
                            ErrorKind::Unavailable => nevers = 0,
                            ErrorKind::Config => nevers += 1,
                            // rows or the state are damaged, or a row has no form: to try again changes nothing
                            _ => return self.halt(error),
                        }
                        if nevers == NEVERS_BELIEVED {
                            return self.halt(error);
                        }
                        self.failing(error, &action);
                        desk.tell(Outcome::Doubt);
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(PAUSE_MAX);
                    }
                },
            }
        }
    }

    /// One action; an error is a doubt.
    pub(super) async fn act(&mut self, action: &Action) -> Result<Outcome> {
        match action {
            Action::Confirm => {
                failpoint("courier.confirm")?;
                match &self.ownership {
                    Some(ownership) if !(ownership.confirm)().await? => Ok(Outcome::Foreign),
                    _ => Ok(Outcome::Ours),
                }
            }
            Action::Claim => {
                failpoint("courier.claim")?;
                let claimed = self.target.claim(&self.writer).await?;
                failpoint("courier.claimed")?;
                Ok(if claimed { Outcome::Claimed } else { Outcome::Foreign })
            }
            Action::ReadMarker => {
                let marker = self.target.marker().await?;
                failpoint("courier.marker-read")?;
                Ok(Outcome::Marker(marker))
            }
            Action::Deliver(epoch) => self.deliver(*epoch).await,
            Action::Rest | Action::Stop(_) => Err(Error::internal("there was nothing to do for a sink")),
        }
    }

    async fn deliver(&mut self, epoch: u64) -> Result<Outcome> {
        let segment = self.desk.state().log.iter().find(|segment| segment.epoch == epoch).cloned();
        let segment = segment.ok_or_else(|| Error::internal(format!("epoch {epoch} is not in the outbox")))?;
        let (directory, own) = (self.directory.clone(), segment.clone());
        let rows = blocking(move || own.open(&directory)).await?;
        failpoint("courier.deliver")?;
        match self.target.deliver(rows).await {
            Ok(()) => {
                failpoint("courier.delivered")?;
                Ok(Outcome::Delivered(epoch))
            }
            Err(Trouble::Doubt(error)) => Err(error),
            Err(Trouble::Refused(refused)) => {
                let Some(first) = refused.first() else {
                    return Err(Error::internal("a sink refuses an epoch, but none of its rows"));
                };
                let (rows, reason) = (refused.len(), &first.message);
                tracing::warn!(epoch, rows, reason, "{} refuses rows; they go to ledger.bad", self.target.name());
                let directory = self.directory.clone();
                blocking(move || segment.refuse(&directory, &refused)).await?;
                Ok(Outcome::Doubt)
            }
        }
    }

    fn failing(&self, error: Error, action: &Action) {
        let mut state = self.desk.state();
        if state.failing.is_none() {
            let waiting = state.undelivered();
            tracing::warn!(%error, ?action, epochs = waiting, "{} does not take rows; they wait and it is tried again", self.target.name());
        }
        state.failing = Some(error);
    }

    fn recovered(&self) {
        if self.desk.state().failing.take().is_some() {
            // as loud as the trouble was
            tracing::warn!("{} takes rows again", self.target.name());
        }
    }

    fn halt(&self, error: Error) {
        self.desk.state().halted = Some(error);
        self.desk.news.notify_waiters();
    }

    pub(super) fn explained(&self, halt: &Halt) -> Error {
        let name = self.target.name();
        match halt {
            Halt::Fenced => Error::state(format!("another process has taken over the job \"{}\"", self.writer.pipeline))
                .hint("this one stops; what it had not committed, the other one does"),
            Halt::SinkAhead { marker } => Error::state(format!(
                "{name} already has epoch {marker}, which the state of this job does not know: the state is older than what was delivered"
            ))
            .hint("bring the newest state back; with --fresh the job starts over and delivers everything again"),
            Halt::MarkerLost { delivered } => Error::state(format!(
                "{name} no longer says which epoch it has; up to {delivered} were delivered, and to deliver again could double rows"
            ))
            .hint(if self.target.marker_beside_rows() {
                "the marker is a row of the table \"streamer_markers\", which is gone, or which another job of this name has taken; with --fresh the job starts over and delivers everything again"
            } else {
                "the marker is kept as the offset of a consumer group; with --fresh the job starts over and delivers everything again"
            }),
            Halt::RowsGone { first, last } => Error::state(format!(
                "{name} has lost the epochs {first} to {last}, whose rows are no longer kept"
            ))
            .hint("restore the system from a copy, or start over with --fresh"),
        }
    }
}

/// However the courier ends, nobody waits for it any more.
struct Farewell(Arc<Desk>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.state().halted.get_or_insert_with(|| Error::internal("the deliveries of a sink have broken off"));
        self.0.news.notify_waiters();
    }
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal(format!("the outbox was broken off: {e}")))?
}
