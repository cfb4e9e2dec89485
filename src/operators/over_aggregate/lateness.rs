//! Which rows of a key come too late for a bounded frame.
//!
//! Flink refuses a row that is not newer than the last one fired for its key. What has fired depends on
//! the watermark of the moment; here it is judged by the watermark that was read with the row, per source
//! partition: the last fired time is the highest among the accepted rows of the key and the partition
//! that is ≤ the row's own watermark. With one partition that is Flink's rule for a watermark told per
//! record; with several it is the same for every interleaving.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::EventTime;

/// Times of one key in one partition.
#[derive(Debug)]
pub(super) struct Fired {
    pub(super) partition: i32,
    /// Highest accepted time that had fired; `i64::MIN` before the first.
    pub(super) last: i64,
    /// Accepted times that had not.
    pub(super) ahead: BinaryHeap<Reverse<i64>>,
}

impl Fired {
    pub(super) fn new(partition: i32) -> Self {
        Self { partition, last: i64::MIN, ahead: BinaryHeap::new() }
    }

    /// Takes note of all that is complete at `watermark`. No later row has a lower one.
    ///
    /// `forget_ms`: a RANGE frame's length. Nothing is known of a key once the watermark is so far past
    /// its last row.
    pub(super) fn advance(&mut self, watermark: EventTime, forget_ms: Option<i64>) {
        while let Some(Reverse(time)) = self.ahead.peek().copied()
            && time <= watermark
        {
            self.last = self.last.max(time);
            self.ahead.pop();
        }
        if forget_ms.is_some_and(|length| watermark >= self.last.saturating_add(length)) {
            self.last = i64::MIN;
        }
    }

    /// Whether a row comes in time; if so, it counts from now on.
    pub(super) fn accept(&mut self, time: EventTime, watermark: EventTime, forget_ms: Option<i64>) -> bool {
        self.advance(watermark, forget_ms);
        if time <= self.last {
            return false;
        }
        match time <= watermark {
            true => self.last = time,
            false => self.ahead.push(Reverse(time)),
        }
        true
    }

    /// Whether nothing is known any more.
    pub(super) fn is_empty(&self) -> bool {
        self.last == i64::MIN && self.ahead.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_behind_the_watermark_is_taken_if_its_key_has_not_fired_so_far() {
        let mut fired = Fired::new(0);
        assert!(fired.accept(10, i64::MIN, None));
        assert!(fired.accept(5, 9, None), "behind the watermark, but 10 has not fired");
        assert!(!fired.accept(5, 9, None), "5 has");
        assert!(fired.accept(6, 9, None));
        assert!(!fired.accept(10, 10, None));
        assert!(fired.accept(11, 20, None));
        assert!(!fired.accept(-3, 20, None));
    }

    #[test]
    fn a_range_forgets() {
        let mut fired = Fired::new(0);
        assert!(fired.accept(10, 0, Some(100)));
        assert!(!fired.accept(10, 109, Some(100)));
        assert!(fired.accept(10, 110, Some(100)));
    }
}
