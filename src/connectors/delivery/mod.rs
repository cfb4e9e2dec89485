//! Sinks outside the engine's own disk, exactly once: rows wait in an *outbox* until the manifest that lists
//! their epoch is durable, then they are delivered epoch by epoch, rows and marker in one atomic unit of the system
//! behind (protocol R, [`crate::protocol`]).
//!
//! ```text
//!  sink task                                   courier (a task of its own)
//!  write ─► segment file                        confirm ─► claim ─► read marker ─► deliver n ─► deliver n+1 …
//!  prepare(n) ─► sealed, listed in manifest n       ▲                                  │ any doubt, with backoff
//!  commit(n) ─────────────── bell ────────────►     └──────────────────────────────────┘
//! ```
//! A system that is away holds back its own deliveries only, until [`crate::limits::UNDELIVERED_EPOCHS_MAX`] wait; then
//! [`Sink::prepare`](super::Sink::prepare) waits, and with it the job: nothing is dropped.

mod courier;
mod outbox;
mod segment;

use std::path::{Path, PathBuf};

use futures::future::BoxFuture;

use crate::error::{Error, Result};

pub use outbox::Outbox;
pub use segment::{EpochRows, NumberedRows};

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// Name of the job.
    pub pipeline: String,
    /// Name of the sink in the job, stable across restarts.
    pub sink: String,
    /// Sixteen hex digits, new with every fresh state: markers of another instance are not ours.
    pub instance: String,
    /// Rises by one with every process that takes the job over.
    pub fence: u64,
}

/// A row that the system behind will never take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its [`NumberedRows::numbers`].
    pub row: u64,
    /// Stable code.
    pub code: String,
    /// The column at fault, if known.
    pub column: Option<String>,
    /// What the system says.
    pub message: String,
}

/// Why an epoch is not known to be delivered.
#[derive(Debug)]
pub enum Trouble {
    /// Whether it is, is not known: the connection is gone, an answer did not come, anything was tried again.
    Doubt(Error),
    /// Nothing of it is: these rows cannot be, the others can.
    Refused(Vec<Refused>),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Doubt(error)
    }
}

/// A system that takes whole epochs. All calls come from one task, in the order the protocol decides.
pub trait Target: Send {
    /// Connects anew and fences off every earlier writer of this job's sink: when it returns, none of what they had
    /// under way can appear any more. `false`: a later process has the job.
    ///
    /// # Errors
    /// `Config` if the target can never be written (no such table or topic, wrong types): at a start that stops the job,
    /// later only if it is said several times in a row. `Unavailable` otherwise.
    fn claim<'a>(&'a mut self, writer: &'a Writer) -> BoxFuture<'a, Result<bool>>;

    /// The newest epoch in the system, as its marker says; `None`: no marker.
    ///
    /// # Errors
    /// `Unavailable`.
    fn marker(&mut self) -> BoxFuture<'_, Result<Option<u64>>>;

    /// Delivers an epoch's rows and its marker in one atomic unit.
    ///
    /// # Errors
    /// See [`Trouble`]. After either, [`Target::claim`] is called next.
    fn deliver(&mut self, rows: EpochRows) -> BoxFuture<'_, Result<(), Trouble>>;

    /// Whether rows and marker can only be lost together ([`crate::protocol::SinkFacts::marker_beside_rows`]).
    fn marker_beside_rows(&self) -> bool;

    /// What is written, for messages: `kafka topic alerts`.
    fn name(&self) -> String;
}

/// The rows of one epoch in an outbox, as somebody sees them who only looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The epoch.
    pub epoch: u64,
    /// Rows in it.
    pub rows: u64,
    /// Its files: the rows, and the list of those refused if there is one.
    pub files: Vec<PathBuf>,
    /// The sink is not known to have it.
    pub undelivered: bool,
    /// The file of rows is not there: with a newer manifest that is as it should be.
    pub gone: bool,
    /// What is wrong with it: the file and the reason.
    pub damage: Option<(PathBuf, String)>,
}

/// What waits in the outbox according to the state of one sink; `None`: the sink has no outbox. Nothing is changed.
///
/// # Errors
/// `Unavailable` if a file cannot be read, which says nothing of what is in it.
pub fn inspect(outbox: &Path, state: &serde_json::Value) -> Result<Option<Vec<Waiting>>> {
    let Some((delivered, segments)) = outbox::segments(state) else { return Ok(None) };
    let look = |segment: &segment::Segment| segment.inspect(outbox, segment.epoch > delivered);
    segments.iter().map(look).collect::<Result<Vec<_>>>().map(Some)
}

/// Forgets what waits in an outbox (`--fresh`): its rows belong to epochs that are forgotten.
///
/// # Errors
/// `Unavailable` if it cannot be removed.
pub fn clear(outbox: &Path) -> Result<()> {
    match std::fs::remove_dir_all(outbox) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
