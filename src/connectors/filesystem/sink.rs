//! Writing a table of files, each row visible exactly once.
//!
//! Rows are appended to a hidden staging file; an epoch's barrier makes them durable there. When the
//! rolling policy says so, the staging file becomes a sealed *segment*, the manifest of that epoch lists it,
//! and the epoch's commit publishes it ([`super::publish`]).
//!
//! ```text
//!  open ──roll at prepare(e)──► sealed, listed ──commit(e)──► published (".done") ──commit of a manifest
//!                                                                                   that lists it no more──► gone
//! ```
//!
//! A restart publishes what is listed and not marked done, the open file up to the length in the manifest, so files that a user has moved away meanwhile do not come back.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::files;
use super::options::FileOptions;
use super::publish::{Layout, Segment};
use crate::connectors::staging::StagingWriter;
use crate::connectors::{Fallback, Hold, JobContext, Sink, SinkState, Usage};
use crate::durable::{self, failure};
use crate::error::{Error, Result};
use crate::failpoint::failpoint;
use crate::limits::BATCH_ROWS_MAX;
use crate::protocol::{Held, Protocol, Rules};
use crate::table::TableSpec;
use crate::time::{Clock, system_clock, unique_id};

/// Folder below the table's path for rows that are not visible yet.
pub const STAGING: &str = "_staging";
const STATE_VERSION: u32 = 3;

/// A table of files, for writing.
pub struct FileSink {
    /// Calls run one after the other on blocking threads; the lock only hands the writer over.
    writer: Arc<Mutex<TableWriter>>,
    hold: Hold,
}

impl FileSink {
    /// Reads the table's options. Nothing is touched before [`Sink::restore`].
    ///
    /// # Errors
    /// `Config` for wrong options.
    pub fn open(table: &TableSpec, job: &JobContext) -> Result<Self> {
        Self::with_clock(table, job, system_clock())
    }

    fn with_clock(table: &TableSpec, job: &JobContext, clock: Clock) -> Result<Self> {
        let options = FileOptions::parse(table, Usage::Sink)?;
        if options.path.is_file() {
            let message = format!("\"{}\" is a file; a table writes files into a folder", options.path.display());
            return Err(table.options.error("path", message).hint("give a path that is a folder, or is not there yet"));
        }
        // two INSERTs may write one table: each writer has names of its own, kept in its state
        let own: String = unique_id().chars().take(8).collect();
        let writer = TableWriter {
            layout: Layout::new(table, &options)?,
            schema: table.sink_schema(),
            staging: options.path.join(STAGING),
            table: table.name.clone(),
            format: options.format.name(),
            file_size_bytes: options.file_size_bytes,
            rollover_interval: options.rollover_interval,
            clock,
            fence: job.ownership.as_ref().map_or(1, |ownership| ownership.fence),
            instance: job.instance.clone(),
            fallback: job.fallback.clone(),
            files: table.clone(),
            writer: if job.instance.is_empty() { own } else { format!("{}-{own}", job.instance) },
            next_segment: 0,
            buffer: Vec::new(),
            buffered_rows: 0,
            open: None,
            sealed: Vec::new(),
        };
        Ok(Self { writer: Arc::new(Mutex::new(writer)), hold: job.hold.clone() })
    }

    /// Runs work that can be done again if it ends for want of space, until there is space.
    fn hold<T: Send + 'static>(
        &self,
        work: impl Fn(&mut TableWriter) -> Result<T> + Send + Sync + Copy + 'static,
    ) -> BoxFuture<'_, Result<T>> {
        Box::pin(async move {
            let mut attempts = self.hold.attempts();
            loop {
                if let Some(done) = attempts.take(self.run(work).await).await? {
                    return Ok(done);
                }
            }
        })
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut TableWriter) -> Result<T> + Send + 'static,
    ) -> BoxFuture<'_, Result<T>> {
        let writer = Arc::clone(&self.writer);
        Box::pin(async move {
            tokio::task::spawn_blocking(move || work(&mut writer.lock().unwrap_or_else(PoisonError::into_inner)))
                .await
                .map_err(|e| Error::internal(format!("writing files was broken off: {e}")))?
        })
    }
}

impl Sink for FileSink {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let full = self.run(|writer| Ok(writer.take(rows))).await?;
            if full { self.hold(TableWriter::stage).await } else { Ok(()) }
        })
    }

    fn prepare(&mut self, epoch: u64, last: bool) -> BoxFuture<'_, Result<SinkState>> {
        self.hold(move |writer| writer.prepare(epoch, last))
    }

    fn commit(&mut self, epoch: u64) -> BoxFuture<'_, Result<()>> {
        self.hold(move |writer| writer.commit(epoch))
    }

    fn restore(&mut self, state: Option<SinkState>) -> BoxFuture<'_, Result<()>> {
        self.run(|writer| writer.restore(state))
    }
}

/// What the manifest holds.
#[derive(Debug, Serialize, Deserialize)]
struct WriterState {
    version: u32,
    writer: String,
    format: String,
    /// The folder of staging files, which is below the table's `path`.
    staging: PathBuf,
    next_segment: u64,
    open: Option<SegmentState>,
    /// To be published.
    sealed: Vec<SegmentState>,
}

/// A staging file and what names the files made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SegmentState {
    /// Of the process that wrote it: one that was taken over may still write, to names of its own.
    fence: u64,
    number: u64,
    bytes: u64,
    first_epoch: u64,
    last_epoch: u64,
    /// When its first row came, ms since 1970.
    first_row_ms: i64,
    file_size_bytes: u64,
}

/// The staging file that grows.
struct OpenSegment {
    number: u64,
    file: StagingWriter,
    /// Known from its first barrier on.
    first_epoch: Option<u64>,
    first_row_ms: i64,
}

/// A staging file that no longer grows.
struct SealedSegment {
    state: SegmentState,
    published: bool,
    /// The first epoch whose manifest does not list it.
    unlisted_at: Option<u64>,
}

/// The blocking side of the sink.
struct TableWriter {
    // fixed at start
    layout: Layout,
    schema: SchemaRef,
    staging: PathBuf,
    table: String,
    format: &'static str,
    file_size_bytes: u64,
    rollover_interval: Duration,
    clock: Clock,
    fence: u64,
    instance: String,
    fallback: Option<Fallback>,
    /// As the options say: to list what is visible.
    files: TableSpec,

    // changes while running
    writer: String,
    next_segment: u64,
    /// Rows not in the staging file yet: small batches share a frame.
    buffer: Vec<RecordBatch>,
    buffered_rows: usize,
    open: Option<OpenSegment>,
    sealed: Vec<SealedSegment>,
}

impl TableWriter {
    /// Takes rows; whether it is time to stage them.
    fn take(&mut self, rows: RecordBatch) -> bool {
        if rows.num_rows() > 0 {
            self.buffered_rows += rows.num_rows();
            self.buffer.push(rows);
        }
        self.buffered_rows >= BATCH_ROWS_MAX
    }

    /// Moves the buffered rows into the staging file.
    fn stage(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let rows = concat_batches(&self.schema, &self.buffer)?;
        if self.open.is_none() {
            let file = StagingWriter::create(&self.staged(self.fence, self.next_segment))?;
            let first_row_ms = self.clock.now_ms();
            self.open = Some(OpenSegment { number: self.next_segment, file, first_epoch: None, first_row_ms });
            self.next_segment += 1;
        }
        if let Some(open) = &mut self.open {
            open.file.append(&rows)?;
        }
        self.buffer.clear();
        self.buffered_rows = 0;
        Ok(())
    }

    fn prepare(&mut self, epoch: u64, last: bool) -> Result<SinkState> {
        self.stage()?;
        let now = self.clock.now_ms();
        let mut open_state = None;
        if let Some(open) = &mut self.open {
            open.file.sync()?;
            let state = SegmentState {
                fence: self.fence,
                number: open.number,
                bytes: open.file.bytes(),
                first_epoch: *open.first_epoch.get_or_insert(epoch),
                last_epoch: epoch,
                first_row_ms: open.first_row_ms,
                file_size_bytes: self.file_size_bytes,
            };
            let age = Duration::from_millis(u64::try_from(now.saturating_sub(open.first_row_ms)).unwrap_or(0));
            if last || state.bytes >= self.file_size_bytes || age >= self.rollover_interval {
                self.open = None;
                self.sealed.push(SealedSegment { state, published: false, unlisted_at: None });
            } else {
                open_state = Some(state);
            }
        }
        failpoint("files.sealed")?;
        for segment in self.sealed.iter_mut().filter(|segment| segment.published) {
            segment.unlisted_at.get_or_insert(epoch);
        }
        let state = WriterState {
            version: STATE_VERSION,
            writer: self.writer.clone(),
            format: self.format.into(),
            staging: self.staging.clone(),
            next_segment: self.next_segment,
            open: open_state,
            sealed: self.sealed.iter().filter(|s| !s.published).map(|s| s.state.clone()).collect(),
        };
        let state = serde_json::to_value(state)
            .map_err(|e| Error::internal(format!("the state of a sink has no JSON form: {e}")))?;
        Ok(SinkState(state))
    }

    fn commit(&mut self, epoch: u64) -> Result<()> {
        for place in 0..self.sealed.len() {
            let Some(segment) = self.sealed.get(place).filter(|s| !s.published && s.state.last_epoch <= epoch) else {
                continue;
            };
            let state = segment.state.clone();
            self.publish(&state)?;
            if let Some(segment) = self.sealed.get_mut(place) {
                segment.published = true;
            }
        }
        // an epoch later than could be: should this epoch's manifest turn out to be damaged, the one before lists them
        let (gone, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.sealed).into_iter().partition(|s| s.unlisted_at.is_some_and(|at| at < epoch));
        self.sealed = kept;
        gone.iter()
            .try_for_each(|segment| durable::remove(&done(&self.staged(segment.state.fence, segment.state.number))))
    }

    /// Publishes a segment unless that was done before, and leaves the mark that it is done.
    fn publish(&self, state: &SegmentState) -> Result<()> {
        let staged = self.staged(state.fence, state.number);
        let mark = done(&staged);
        match std::fs::metadata(&mark) {
            Ok(found) if found.len() <= MARK_BYTES_MAX => return Ok(()),
            Ok(_) => return leave_mark(&mark, state),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(failure("read", &mark, e)),
        }
        failpoint("files.publish")?;
        self.layout.publish(&Segment {
            writer: &self.writer,
            fence: self.fence,
            begun: state.fence != self.fence,
            first_epoch: state.first_epoch,
            last_epoch: state.last_epoch,
            file_size_bytes: state.file_size_bytes,
            staged: staged.clone(),
            staged_bytes: state.bytes,
        })?;
        failpoint("files.written")?;
        std::fs::rename(&staged, &mark).map_err(|e| failure("write", &mark, e))?;
        durable::sync_dir(&self.staging)?;
        failpoint("files.marked")?;
        // only now that the mark is durable may the rows go
        leave_mark(&mark, state)?;
        failpoint("files.emptied")
    }

    fn restore(&mut self, state: Option<SinkState>) -> Result<()> {
        durable::create_dir(&self.staging)?;
        let Some(SinkState(state)) = state else { return self.may_leave_out(&[]) };
        let state: WriterState = serde_json::from_value(state).map_err(|e| {
            Error::state(format!("the state of table \"{}\" cannot be read", self.table)).detail(e.to_string())
        })?;
        if state.version != STATE_VERSION {
            return Err(Error::state(format!("the state of table \"{}\" has format {}", self.table, state.version))
                .hint("run the streamer that wrote it, or start over with --fresh"));
        }
        let waiting = state.open.is_some() || !state.sealed.is_empty();
        if state.format != self.format && waiting {
            return Err(Error::state(format!(
                "rows of table \"{}\" are waiting to be written as {}, but its format is {} now",
                self.table, state.format, self.format
            ))
            .hint("run the earlier script once more to its end, or start over with --fresh"));
        }
        self.writer = state.writer;
        self.next_segment = state.next_segment;
        self.may_leave_out(&state.sealed)?;
        let moved = (state.staging != self.staging).then_some(state.staging);
        // A file that was growing ends here: the process that made it may hang, and write on when it wakes up.
        for segment in state.sealed.into_iter().chain(state.open) {
            if let Some(moved) = &moved {
                self.must_have(&segment, moved)?;
            }
            self.publish(&segment)?;
            self.sealed.push(SealedSegment { state: segment, published: true, unlisted_at: None });
        }
        self.remove_strays()
    }

    /// The table's `path` is another one than in the run before: its folder may have been moved with all that is in it.
    fn must_have(&self, segment: &SegmentState, earlier: &Path) -> Result<()> {
        let staged = self.staged(segment.fence, segment.number);
        if staged.exists() || done(&staged).exists() {
            return Ok(());
        }
        Err(Error::state(format!(
            "rows of table \"{}\" are waiting in \"{}\", but its path leads to \"{}\" now",
            self.table,
            earlier.display(),
            self.staging.display()
        ))
        .hint("put back the path, move the folder, or start over with --fresh"))
    }

    /// Whether a damaged epoch can be left out, if one is: no file of it may be published. `sealed`: what was to be
    /// published before it.
    fn may_leave_out(&self, sealed: &[SegmentState]) -> Result<()> {
        let Some(fallback) = &self.fallback else { return Ok(()) };
        let held = self.held(sealed)?;
        if Protocol.may_leave_out(fallback.damaged, held) {
            return Ok(());
        }
        let has = match held {
            Held::UpTo(epoch) => format!("has published a file of epoch {epoch}"),
            Held::Unknown => "has published files and does not say of which epoch".to_owned(),
        };
        Err(fallback.refused(&format!("table \"{}\"", self.table), &has))
    }

    /// The newest epoch that this job has published files of, by the marks of its segments and the names of files.
    fn held(&self, sealed: &[SegmentState]) -> Result<Held> {
        let mut newest = 0;
        let known: Vec<PathBuf> = sealed.iter().map(|s| done(&self.staged(s.fence, s.number))).collect();
        let marks = format!("{}-{}", files::escape(&self.table), self.instance);
        for entry in std::fs::read_dir(&self.staging).map_err(|e| failure("read", &self.staging, e))? {
            let path = entry.map_err(|e| failure("read", &self.staging, e))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
            if !name.starts_with(&marks) || !name.ends_with(".done") || known.contains(&path) {
                continue;
            }
            let text = std::fs::read(&path).map_err(|e| failure("read", &path, e))?;
            match std::str::from_utf8(&text).ok().and_then(|text| text.parse::<u64>().ok()) {
                Some(epoch) => newest = newest.max(epoch),
                None => return Ok(Held::Unknown),
            }
        }
        for path in super::visible_files(&self.files)? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
            newest = newest.max(super::publish::last_epoch(name, &self.instance).unwrap_or(0));
        }
        Ok(Held::UpTo(newest))
    }

    /// Removes staging files of this writer that the manifest does not know. Those of later owners stay: a process
    /// that hung while it was taken over wakes up with a manifest that is old.
    fn remove_strays(&self) -> Result<()> {
        let prefix = self.prefix();
        let mut known: Vec<PathBuf> =
            self.sealed.iter().map(|s| done(&self.staged(s.state.fence, s.state.number))).collect();
        known.extend(self.open.iter().map(|open| self.staged(self.fence, open.number)));
        for entry in std::fs::read_dir(&self.staging).map_err(|e| failure("read", &self.staging, e))? {
            let path = entry.map_err(|e| failure("read", &self.staging, e))?.path();
            let rest = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(&prefix));
            let owner = rest.and_then(|rest| rest.split_once('-')?.0.parse::<u64>().ok());
            if owner.is_some_and(|owner| owner <= self.fence) && !known.contains(&path) {
                durable::remove(&path)?;
            }
        }
        Ok(())
    }

    fn prefix(&self) -> String {
        format!("{}-{}-", files::escape(&self.table), self.writer)
    }

    fn staged(&self, fence: u64, number: u64) -> PathBuf {
        self.staging.join(format!("{}{fence}-{number}.arrows", self.prefix()))
    }
}

/// Digits of an epoch.
const MARK_BYTES_MAX: u64 = 20;

/// Puts the epoch where the rows were, for a restart that leaves one out.
fn leave_mark(mark: &Path, state: &SegmentState) -> Result<()> {
    std::fs::write(mark, state.last_epoch.to_string()).map_err(|e| failure("write", mark, e))
}

/// The mark that a segment is published.
fn done(staged: &Path) -> PathBuf {
    staged.with_extension("done")
}

#[cfg(test)]
mod tests;
