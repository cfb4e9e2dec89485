//! Which rows of a key come too late for a bounded frame of OVER, and what later rows still see of it; which rows come
//! too late for an ORDER BY, where all are of one key.
//!
//! Flink refuses a row that is not newer than the last one fired for its key, and a RANGE frame forgets a key
//! some time after its last row: then even very late rows are taken again, and see nothing of what was before.
//! What has fired depends on the watermark of the moment; here it is judged by the watermark that was read with
//! the row, per source partition. With one partition that is Flink's rule for a watermark told per record; with
//! several it is the same for every interleaving.
//!
//! # Source
//! Flink `RowTimeRowsBoundedPrecedingFunction`, `RowTimeRangeBoundedPrecedingFunction`, `RowTimeSortOperator`: a timer in the past fires
//! when the watermark next moves; state is cleared by a timer that is set anew only when it would come too soon, and
//! the one it replaces still counts as the last that fired.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::EventTime;

/// A moment before all rows.
pub(super) const NEVER: i64 = i64::MIN;

/// Times of one key in one partition.
#[derive(Debug)]
pub(super) struct Fired {
    pub(super) partition: i32,
    /// What counts as fired while nothing has.
    first: i64,
    /// Time of the last timer that had fired.
    pub(super) last: i64,
    /// When the key was last forgotten.
    pub(super) forgotten: i64,
    /// Timers that had not fired, of accepted rows and for forgetting: when they do, and their times.
    pub(super) ahead: BinaryHeap<Reverse<(i64, i64)>>,
    /// When the key is to be forgotten: time of the timer, and the watermark at which it fires.
    pub(super) cleanup: Option<(i64, i64)>,
}

/// When a row fires: at its time, or for one behind the watermark when that next moves.
pub(super) fn fires_at(time: EventTime, watermark: EventTime) -> i64 {
    time.max(watermark.saturating_add(1))
}

/// When a RANGE frame of `length_ms` forgets a key whose last row is of `time`, at the latest.
pub(super) fn forgets_at(time: EventTime, length_ms: i64) -> i64 {
    time.saturating_add(length_ms.saturating_add(length_ms / 2)).saturating_add(1)
}

impl Fired {
    /// Of a frame of OVER: Flink takes 0 for the last time fired while it knows none, so that no row up to 1970 counts.
    pub(super) fn of_over(partition: i32) -> Self {
        Self::new(partition, 0)
    }

    /// Of an ORDER BY, whose first row may be of any time.
    pub(super) fn of_order(partition: i32) -> Self {
        Self::new(partition, NEVER)
    }

    fn new(partition: i32, first: i64) -> Self {
        Self { partition, first, last: first, forgotten: NEVER, ahead: BinaryHeap::new(), cleanup: None }
    }

    /// Takes note of all that is complete at `watermark`. No later row has a lower one.
    pub(super) fn advance(&mut self, watermark: EventTime) {
        while let Some(Reverse((_, time))) = self.ahead.peek().copied().filter(|next| next.0.0 <= watermark) {
            match self.cleanup {
                Some((cleanup, at)) if cleanup <= time => {
                    (self.last, self.forgotten, self.cleanup) = (self.first, at, None);
                }
                _ => self.last = self.last.max(time),
            }
            self.ahead.pop();
        }
    }

    /// An accepted row of `time` leaves at the watermark `due`.
    pub(super) fn leaves(&mut self, due: EventTime, time: EventTime) {
        self.ahead.push(Reverse((due, time)));
    }

    /// Whether a RANGE frame knows nothing of the key any more, once `watermark` is reached.
    pub(super) fn forgotten_by(&self, watermark: EventTime) -> bool {
        self.cleanup.is_none_or(|(_, at)| at <= watermark)
    }

    /// Whether a row comes in time; if so, it counts from now on. `range_ms`: a RANGE frame's length.
    pub(super) fn accept(&mut self, time: EventTime, watermark: EventTime, range_ms: Option<i64>) -> bool {
        self.advance(watermark);
        if time <= self.last {
            return false;
        }
        self.leaves(fires_at(time, watermark), time);
        if let Some(length) = range_ms
            && self.cleanup.is_none_or(|(set, _)| set <= time.saturating_add(length))
        {
            let cleanup = forgets_at(time, length);
            let at = fires_at(cleanup, watermark);
            self.cleanup = Some((cleanup, at));
            self.ahead.push(Reverse((at, cleanup)));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_behind_the_watermark_is_taken_if_its_key_has_not_fired_so_far() {
        let mut fired = Fired::of_over(0);
        assert!(fired.accept(10, NEVER, None));
        assert!(fired.accept(5, 9, None), "behind the watermark, but 10 has not fired");
        assert!(fired.accept(5, 9, None), "nor has 5: the watermark has not moved since it came");
        assert!(!fired.accept(5, 10, None));
        assert!(!fired.accept(10, 10, None));
        assert!(fired.accept(11, 20, None));
        assert!(!fired.accept(-3, 20, None));
    }

    #[test]
    fn before_anything_has_fired_an_over_knows_no_row_up_to_1970() {
        assert!(!Fired::of_over(0).accept(0, NEVER, None));
        assert!(Fired::of_over(0).accept(1, NEVER, Some(5)));
        assert!(Fired::of_order(0).accept(-1, NEVER, None));
    }

    #[test]
    fn a_range_forgets_by_a_timer_that_is_moved_only_when_it_comes_too_soon() {
        let mut fired = Fired::of_over(0);
        assert!(fired.accept(10, 0, Some(100)));
        assert_eq!(fired.cleanup, Some((161, 161)));
        assert!(fired.accept(60, 0, Some(100)), "161 is soon enough for 60");
        assert_eq!(fired.cleanup, Some((161, 161)));
        assert!(!fired.accept(10, 160, Some(100)));
        assert!(fired.accept(10, 161, Some(100)), "forgotten");
        assert_eq!((fired.forgotten, fired.cleanup), (161, Some((161, 162))));
        assert!(fired.accept(61, 161, Some(100)));
        assert_eq!(fired.cleanup, Some((212, 212)), "161 is too soon for 61");
        assert!(!fired.accept(160, 170, Some(100)), "and has fired since, without forgetting");
        assert!(fired.accept(162, 170, Some(100)));
    }
}
