//! The front half of a delivery: a [`Sink`] that keeps an epoch's rows safe until they are delivered.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::courier::{Courier, Desk, DeskState, PAUSE_MIN, blocking};
use super::segment::Segment;
use super::{Target, Writer};
use crate::connectors::staging::StagingWriter;
use crate::connectors::{Fallback, Hold, JobContext, RejectedRow, Sink, SinkState};
use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint::failpoint;
use crate::limits::{BATCH_ROWS_MAX, UNDELIVERED_EPOCHS_MAX};
use crate::protocol::{Action, Halt, Held, Protocol, Rules, SinkFacts, Standing};
use crate::time::unique_id;

const STATE_VERSION: u32 = 1;
/// How long a job that stops waits for a system that is away; what is left, the next start delivers.
const LAST_DELIVERY_TIME_MAX: Duration = Duration::from_secs(15);

/// A sink whose rows go to a [`Target`].
pub struct Outbox {
    // fixed at start
    directory: PathBuf,
    schema: SchemaRef,
    writer: Writer,
    fallback: Option<Fallback>,
    hold: Hold,
    /// A job that keeps no state cannot deliver later.
    keeps_state: bool,
    /// Begins the names of this sink's files.
    prefix: String,
    desk: Arc<Desk>,

    // changes while running
    courier: Option<Courier>,
    delivering: Option<JoinHandle<()>>,
    /// Rows that are not in the file yet: small batches share a frame.
    buffer: Vec<RecordBatch>,
    buffered_rows: usize,
    open: Option<OpenSegment>,
    /// Segments that the manifest of this epoch no longer lists.
    trimmed: Vec<Segment>,
    /// Those of the epoch before. Their lists of refused rows stay until now: should this epoch's manifest turn out
    /// to be damaged, a restart from the one before tells them again.
    told: Vec<Segment>,
    rejected: Vec<RejectedRow>,
    last: bool,
}

struct OpenSegment {
    file: String,
    writer: StagingWriter,
    rows: u64,
}

/// What the manifest holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct OutboxState {
    version: u32,
    /// Epochs whose rows are kept.
    log: Vec<Segment>,
    delivered: u64,
    trimmed: u64,
    committed: u64,
}

/// The newest epoch delivered and the epochs kept, as the state of a sink says; `None` if it is no outbox's.
pub(super) fn segments(state: &serde_json::Value) -> Option<(u64, Vec<Segment>)> {
    let state: OutboxState = serde_json::from_value(state.clone()).ok()?;
    Some((state.delivered, state.log))
}

impl Outbox {
    /// A sink of the rows `schema` for `target`; `sink` names it in the job. Nothing is touched before
    /// [`Sink::restore`].
    pub fn new(target: Box<dyn Target>, schema: SchemaRef, sink: &str, job: &JobContext) -> Self {
        let writer = Writer {
            pipeline: job.pipeline.clone(),
            sink: sink.to_owned(),
            instance: job.instance.clone(),
            fence: job.ownership.as_ref().map_or(1, |ownership| ownership.fence),
        };
        let facts = SinkFacts {
            standing: Standing::Unknown,
            delivered: 0,
            trimmed: 0,
            committed: 0,
            marker_beside_rows: target.marker_beside_rows(),
        };
        let desk = Desk::new(DeskState { facts, log: Vec::new(), halted: None, failing: None });
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        let courier = Courier {
            desk: Arc::clone(&desk),
            target,
            writer: writer.clone(),
            ownership: job.ownership.clone(),
            directory: job.outbox.clone(),
            pause: PAUSE_MIN,
        };
        Self {
            directory: job.outbox.clone(),
            schema,
            prefix: format!("{}-{}-", sink.chars().map(plain).collect::<String>(), job.instance),
            writer,
            fallback: job.fallback.clone(),
            hold: job.hold.clone(),
            keeps_state: job.ownership.is_some(),
            desk,
            courier: Some(courier),
            delivering: None,
            buffer: Vec::new(),
            buffered_rows: 0,
            open: None,
            trimmed: Vec::new(),
            told: Vec::new(),
            rejected: Vec::new(),
            last: false,
        }
    }

    /// Without pauses between tries.
    #[cfg(test)]
    pub(super) fn hurry(&mut self) {
        if let Some(courier) = &mut self.courier {
            courier.pause = Duration::from_micros(10);
        }
    }

    /// What the deliveries fail with at the moment.
    #[cfg(test)]
    pub(super) fn failing(&self) -> Option<Error> {
        self.desk.state().failing.clone()
    }

    async fn append(&mut self, rows: RecordBatch) -> Result<()> {
        self.desk.check()?;
        self.buffered_rows += rows.num_rows();
        self.buffer.push(rows);
        if self.buffered_rows >= BATCH_ROWS_MAX { self.stage().await } else { Ok(()) }
    }

    /// Moves the buffered rows into the epoch's file.
    async fn stage(&mut self) -> Result<()> {
        if self.buffered_rows == 0 {
            return Ok(());
        }
        let rows = concat_batches(&self.schema, &std::mem::take(&mut self.buffer))?;
        self.buffered_rows = 0;
        let mut attempts = self.hold.attempts();
        loop {
            let (open, rows) = (self.open.take(), rows.clone());
            let (directory, file) =
                (self.directory.clone(), format!("{}{}-{}.rows", self.prefix, self.writer.fence, unique_id()));
            let (open, done) = blocking(move || {
                let mut open = match open {
                    Some(open) => open,
                    None => match StagingWriter::create(&directory.join(&file)) {
                        Ok(writer) => OpenSegment { writer, file, rows: 0 },
                        Err(error) => return Ok((None, Err(error))),
                    },
                };
                let done = open.writer.append(&rows);
                if done.is_ok() {
                    open.rows += rows.num_rows() as u64;
                }
                Ok((Some(open), done))
            })
            .await?;
            self.open = open;
            if attempts.take(done).await?.is_some() {
                return Ok(());
            }
        }
    }

    async fn seal(&mut self, epoch: u64, last: bool) -> Result<SinkState> {
        self.last = last;
        self.stage().await?;
        if !last {
            self.room().await?;
        }
        self.desk.check()?;
        let sealed = match self.open.take() {
            None => None,
            Some(mut open) => Some(
                blocking(move || {
                    open.writer.sync()?;
                    Ok(Segment { epoch, file: open.file, bytes: open.writer.bytes(), rows: open.rows })
                })
                .await?,
            ),
        };
        failpoint("outbox.sealed")?;
        let state = {
            let mut state = self.desk.state();
            state.log.extend(sealed);
            let (trimmed, kept): (Vec<Segment>, Vec<Segment>) =
                state.log.iter().cloned().partition(|segment| Protocol.may_trim(&state.facts, segment.epoch));
            self.trimmed = trimmed;
            let delivered = match state.facts.standing {
                Standing::Marked(Some(marker)) => marker.max(state.facts.delivered),
                _ => state.facts.delivered,
            };
            let newest = self.trimmed.iter().map(|segment| segment.epoch).max();
            let trimmed = newest.unwrap_or(state.facts.trimmed);
            OutboxState { version: STATE_VERSION, log: kept, delivered, trimmed, committed: epoch }
        };
        let (directory, trimmed) = (self.directory.clone(), self.trimmed.clone());
        self.rejected = blocking(move || {
            let lists = trimmed.iter().map(|segment| segment.rejected(&directory)).collect::<Result<Vec<_>>>()?;
            Ok(lists.into_iter().flatten().collect())
        })
        .await?;
        let state = serde_json::to_value(state)
            .map_err(|e| Error::internal(format!("the state of a sink has no JSON form: {e}")))?;
        Ok(SinkState(state))
    }

    /// Waits until fewer than [`UNDELIVERED_EPOCHS_MAX`] epochs wait.
    async fn room(&mut self) -> Result<()> {
        let desk = Arc::clone(&self.desk);
        loop {
            let news = desk.news.notified();
            desk.check()?;
            if desk.state().undelivered() < UNDELIVERED_EPOCHS_MAX {
                return Ok(());
            }
            news.await;
        }
    }

    async fn release(&mut self, epoch: u64) -> Result<()> {
        failpoint("outbox.commit")?;
        {
            let mut state = self.desk.state();
            state.facts.committed = epoch;
            if let Some(newest) = self.trimmed.last() {
                state.facts.trimmed = newest.epoch;
                state.facts.delivered = state.facts.delivered.max(newest.epoch);
                state.log.retain(|segment| segment.epoch > newest.epoch);
            }
        }
        self.desk.bell.notify_one();
        let (directory, trimmed) = (self.directory.clone(), std::mem::take(&mut self.trimmed));
        let told = std::mem::replace(&mut self.told, trimmed.clone());
        blocking(move || {
            trimmed.iter().try_for_each(|segment| segment.remove_rows(&directory))?;
            told.iter().try_for_each(|segment| segment.remove_refusals(&directory))
        })
        .await?;
        failpoint("outbox.trimmed")?;
        if self.last { self.finish().await } else { self.desk.check() }
    }

    /// Waits for the last deliveries; a system that is away is not waited for long if the job can go on later.
    pub(super) async fn finish(&mut self) -> Result<()> {
        let desk = Arc::clone(&self.desk);
        let all = async {
            loop {
                let news = desk.news.notified();
                desk.check()?;
                if desk.state().undelivered() == 0 {
                    return Ok(());
                }
                news.await;
            }
        };
        if !self.keeps_state {
            all.await?;
            return self.forget().await;
        }
        match tokio::time::timeout(LAST_DELIVERY_TIME_MAX, all).await {
            Ok(done) => done,
            Err(_) => {
                let state = self.desk.state();
                tracing::warn!(
                    sink = self.writer.sink,
                    epochs = state.undelivered(),
                    reason = state.failing.as_ref().map(Error::message),
                    "rows are committed and wait in the outbox; the next start delivers them"
                );
                Ok(())
            }
        }
    }

    /// Removes what is delivered: a job without state has no next start to do it. Rows that were refused since the
    /// last epoch stay in their list, for the ledger is closed.
    async fn forget(&mut self) -> Result<()> {
        let (directory, log) = (self.directory.clone(), self.desk.state().log.clone());
        let (rows, lists) = blocking(move || {
            let (mut rows, mut lists) = (0, Vec::new());
            for segment in log {
                segment.remove_rows(&directory)?;
                match segment.rejected(&directory)?.len() {
                    0 => segment.remove_refusals(&directory)?,
                    refused => {
                        rows += refused;
                        lists.push(segment.refusals(&directory).display().to_string());
                    }
                }
            }
            Ok((rows, lists))
        })
        .await?;
        if rows > 0 {
            tracing::warn!(sink = self.writer.sink, rows, "rows were refused; they are in {}", lists.join(", "));
        }
        Ok(())
    }

    async fn resume(&mut self, state: Option<SinkState>) -> Result<()> {
        let first = state.is_none();
        let state: OutboxState = match state {
            None => OutboxState { version: STATE_VERSION, ..OutboxState::default() },
            Some(SinkState(state)) => serde_json::from_value(state).map_err(|e| {
                Error::state(format!("the state of sink \"{}\" cannot be read", self.writer.sink)).detail(e.to_string())
            })?,
        };
        if state.version != STATE_VERSION {
            return Err(Error::state(format!(
                "the state of sink \"{}\" has format {}",
                self.writer.sink, state.version
            ))
            .hint("run the streamer that wrote it, or start over with --fresh"));
        }
        let known: Vec<String> = state.log.iter().map(|segment| segment.file.clone()).collect();
        {
            let mut desk = self.desk.state();
            desk.facts.delivered = state.delivered;
            desk.facts.trimmed = state.trimmed;
            desk.facts.committed = state.committed;
            desk.log = state.log;
        }
        let (directory, prefix, fence) = (self.directory.clone(), self.prefix.clone(), self.writer.fence);
        blocking(move || {
            durable::create_dir(&directory)?;
            remove_strays(&directory, &prefix, fence, &known)
        })
        .await?;
        let Some(mut courier) = self.courier.take() else { return Err(Error::internal("a sink is opened twice")) };
        self.greet(&mut courier, first).await?;
        self.delivering = Some(tokio::spawn(courier.run()));
        Ok(())
    }

    /// Claims the system and reads its marker. On a first start it must answer; later it may be away for a while.
    async fn greet(&mut self, courier: &mut Courier, first: bool) -> Result<()> {
        loop {
            let action = {
                let state = self.desk.state();
                Protocol.next(&state.facts, &state.epochs())
            };
            match &action {
                Action::Confirm | Action::Claim | Action::ReadMarker => {}
                Action::Stop(Halt::SinkAhead { marker }) if self.fallback.is_some() => {
                    return self
                        .may_leave_out(courier, Held::UpTo(*marker))
                        .and(Err(courier.explained(&Halt::SinkAhead { marker: *marker })));
                }
                Action::Stop(halt) => return Err(courier.explained(halt)),
                Action::Deliver(_) | Action::Rest => {
                    let held = match self.desk.state().facts.standing {
                        Standing::Marked(marker) => Held::UpTo(marker.unwrap_or(0)),
                        _ => Held::Unknown,
                    };
                    self.may_leave_out(courier, held)?;
                    self.tell_start(courier, &action);
                    return Ok(());
                }
            }
            let outcome = match courier.act(&action).await {
                Ok(outcome) => outcome,
                Err(error) if first || error.kind() == ErrorKind::Config => return Err(error),
                Err(error) if let Some(Fallback { used, damaged, .. }) = &self.fallback => {
                    return Err(error.hint(format!(
                        "epoch {damaged} is damaged, and epoch {used} can be used only if {} has nothing of it: start again when it answers",
                        courier.target.name()
                    )));
                }
                Err(error) => {
                    tracing::warn!(%error, "{} does not answer; its rows wait in the outbox", courier.target.name());
                    self.desk.state().failing = Some(error);
                    return Ok(());
                }
            };
            let mut state = self.desk.state();
            state.facts.standing = Protocol.after(&state.facts, outcome);
        }
    }

    /// Whether the sink allows to leave a damaged epoch out, if one is.
    fn may_leave_out(&self, courier: &Courier, held: Held) -> Result<()> {
        let Some(fallback) = &self.fallback else { return Ok(()) };
        if Protocol.may_leave_out(fallback.damaged, held) {
            return Ok(());
        }
        let has = match held {
            Held::UpTo(epoch) => format!("already has epoch {epoch}"),
            Held::Unknown => "cannot say what it has".to_owned(),
        };
        Err(fallback.refused(&courier.target.name(), &has))
    }

    /// What was in doubt, and how the marker has decided it.
    fn tell_start(&self, courier: &Courier, action: &Action) {
        let state = self.desk.state();
        if let (Action::Deliver(_), Some(newest)) = (action, state.log.last()) {
            tracing::info!(
                sink = self.writer.sink,
                in_doubt = newest.epoch,
                epochs = state.undelivered(),
                "{} lacks committed epochs, as its marker says; they are delivered now",
                courier.target.name()
            );
        }
    }
}

/// Files of this sink that no manifest lists: rows of an epoch that was not committed. Those of later owners stay: a
/// process that hung while it was taken over wakes up with a list that is old.
fn remove_strays(directory: &std::path::Path, prefix: &str, fence: u64, known: &[String]) -> Result<()> {
    let unreadable = |e| durable::failure("read", directory, e);
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        let listed = known.iter().any(|file| name.strip_prefix(file.as_str()).is_some());
        let owner = name.strip_prefix(prefix).and_then(|rest| rest.split_once('-')?.0.parse::<u64>().ok());
        if owner.is_some_and(|owner| owner <= fence) && !listed {
            durable::remove(&directory.join(name))?;
        }
    }
    Ok(())
}

impl Sink for Outbox {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.append(rows))
    }

    fn prepare(&mut self, epoch: u64, last: bool) -> BoxFuture<'_, Result<SinkState>> {
        Box::pin(self.seal(epoch, last))
    }

    fn commit(&mut self, epoch: u64) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.release(epoch))
    }

    fn undelivered(&self) -> usize {
        self.desk.state().undelivered()
    }

    fn rejected(&mut self) -> Vec<RejectedRow> {
        std::mem::take(&mut self.rejected)
    }

    fn restore(&mut self, state: Option<SinkState>) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.resume(state))
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        if let Some(delivering) = self.delivering.take() {
            delivering.abort();
        }
    }
}
