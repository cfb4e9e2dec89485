//! Event time of one source: the minimum over its partitions, who is idle, who runs too far ahead.
//!
//! All partitions of a source share one [`SourceProgress`]. What it tells never falls, and a partition that
//! comes back from silence starts at what has been told, so that no row is on time for a window that has
//! fired (DESIGN "Time and determinism"). The told minimum decides *when* things fire; *whether* a row is
//! late was decided by its own partition's watermark when it was read.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::ALIGNMENT_ROWS_MAX;
use crate::time::{EventTime, WATERMARK_MAX, WATERMARK_MIN};

/// Shared by the tasks of one source.
#[derive(Debug)]
pub(crate) struct SourceProgress {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    partitions: Vec<Partition>,
    /// The largest minimum told so far.
    told: EventTime,
}

#[derive(Debug, Clone)]
struct Partition {
    watermark: EventTime,
    idle: bool,
    finished: bool,
    /// Rows wait unread.
    behind: bool,
}

impl SourceProgress {
    /// Partitions with their restored watermarks.
    pub(crate) fn new(watermarks: &[EventTime]) -> Self {
        let partitions = watermarks
            .iter()
            .map(|&watermark| Partition { watermark, idle: false, finished: false, behind: true })
            .collect();
        Self { state: Mutex::new(State { partitions, told: WATERMARK_MIN }) }
    }

    /// Partition `at` has reached `watermark`; `behind` says whether more rows wait. Returns the minimum.
    pub(crate) fn advance(&self, at: usize, watermark: EventTime, behind: bool) -> EventTime {
        let mut state = self.lock();
        let partition = &mut state.partitions[at];
        partition.watermark = partition.watermark.max(watermark);
        partition.behind = behind;
        state.tell()
    }

    /// Partition `at` is silent: it holds back the others no longer.
    pub(crate) fn idle(&self, at: usize) -> EventTime {
        let mut state = self.lock();
        state.partitions[at].idle = true;
        state.partitions[at].behind = false;
        state.tell()
    }

    /// Partition `at` speaks again. Returns the floor of its watermark: what has been told without it.
    pub(crate) fn resume(&self, at: usize) -> EventTime {
        let mut state = self.lock();
        let told = state.told;
        let partition = &mut state.partitions[at];
        partition.idle = false;
        partition.watermark = partition.watermark.max(told);
        told
    }

    /// Partition `at` has ended.
    pub(crate) fn finish(&self, at: usize) -> EventTime {
        let mut state = self.lock();
        let partition = &mut state.partitions[at];
        partition.finished = true;
        partition.idle = false;
        partition.behind = false;
        partition.watermark = WATERMARK_MAX;
        state.tell()
    }

    /// The minimum over partitions that are not idle.
    pub(crate) fn told(&self) -> EventTime {
        self.lock().told
    }

    /// Whether partition `at`, `rows_ahead` rows ahead of the told minimum, should wait for a slower one
    /// that has rows to read. Waiting for one that has none would only delay.
    pub(crate) fn must_wait(&self, at: usize, rows_ahead: u64) -> bool {
        if rows_ahead <= ALIGNMENT_ROWS_MAX {
            return false;
        }
        let state = self.lock();
        let own = state.partitions[at].watermark;
        state.partitions.iter().any(|p| p.behind && !p.idle && !p.finished && p.watermark < own)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&mut self) -> EventTime {
        let least = self.partitions.iter().filter(|p| !p.idle).map(|p| p.watermark).min();
        // All idle: event time holds where it is.
        self.told = self.told.max(least.unwrap_or(self.told));
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_partition_holds_event_time_until_it_is_idle() {
        let progress = SourceProgress::new(&[WATERMARK_MIN, WATERMARK_MIN]);
        assert_eq!(progress.advance(0, 100, false), WATERMARK_MIN);
        assert_eq!(progress.advance(1, 40, false), 40);
        assert_eq!(progress.idle(1), 100);
        // Back again: what it says below 100 is late, for the others have gone on.
        assert_eq!(progress.resume(1), 100);
        assert_eq!(progress.advance(1, 41, false), 100);
        assert_eq!(progress.advance(0, 200, false), 100);
    }

    #[test]
    fn all_idle_holds_and_all_finished_ends() {
        let progress = SourceProgress::new(&[5, 7]);
        assert_eq!(progress.advance(0, 5, false), 5);
        progress.idle(0);
        assert_eq!(progress.idle(1), 7);
        progress.finish(0);
        assert_eq!(progress.finish(1), WATERMARK_MAX);
    }

    #[test]
    fn only_a_slower_partition_with_rows_to_read_makes_others_wait() {
        let progress = SourceProgress::new(&[WATERMARK_MIN, WATERMARK_MIN]);
        progress.advance(0, 100, true);
        assert!(progress.must_wait(0, ALIGNMENT_ROWS_MAX + 1));
        assert!(!progress.must_wait(0, ALIGNMENT_ROWS_MAX));
        assert!(!progress.must_wait(1, u64::MAX), "the slowest never waits");
        progress.advance(1, 50, false);
        assert!(!progress.must_wait(0, u64::MAX), "nothing to wait for");
    }
}
