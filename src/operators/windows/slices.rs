//! Which slice a time falls into, and which windows a slice is part of.
//!
//! Windows are made of slices as long as the distance between two window ends: the size of TUMBLE, the
//! slide of HOP, the step of CUMULATE. A slice and a window are named by their ends.
//!
//! # Source
//! Li et al. 2005, "No pane, no gain"; Flink `SliceAssigners`; start of a window with floor semantics for
//! times before 1970 as Flink `TimeWindow.getWindowStartWithOffset`.

use crate::error::{Error, Result};
use crate::plan::{WindowKind, WindowSpec};
use crate::time::moment_text;

/// Arithmetic of one window function.
#[derive(Debug, Clone, Copy)]
pub(in crate::operators) struct Slices {
    slice_ms: i64,
    /// From the end of a window to that of the next.
    step_ms: i64,
    size_ms: i64,
    offset_ms: i64,
    /// Windows share their start and grow.
    cumulative: bool,
    newest_first: bool,
}

impl Slices {
    pub(in crate::operators) fn new(window: &WindowSpec) -> Result<Self> {
        let (step_ms, size_ms, cumulative) = match window.kind {
            WindowKind::Tumble { size_ms } => (size_ms, size_ms, false),
            WindowKind::Hop { slide_ms, size_ms } | WindowKind::GroupHop { slide_ms, size_ms } => {
                (slide_ms, size_ms, false)
            }
            WindowKind::Cumulate { step_ms, size_ms } => (step_ms, size_ms, true),
            // Every ms may be the last of a window, whatever its start.
            WindowKind::Attached { .. } => (1, 1, false),
            WindowKind::Session { .. } => return Err(Error::internal("sessions have no slices")),
        };
        if step_ms <= 0 || size_ms <= 0 || cumulative && size_ms % step_ms != 0 {
            return Err(Error::internal(format!("windows of {size_ms} ms have no ends {step_ms} ms apart")));
        }
        // Windows begin and end with slices.
        let (mut slice_ms, mut rest) = (step_ms, size_ms % step_ms);
        while rest != 0 {
            (slice_ms, rest) = (rest, slice_ms % rest);
        }
        let newest_first = matches!(window.kind, WindowKind::Hop { .. });
        Ok(Self { slice_ms, step_ms, size_ms, offset_ms: window.offset_ms, cumulative, newest_first })
    }

    /// End of the slice that contains `time`.
    pub(in crate::operators) fn slice_end(&self, time: i64) -> Result<i64> {
        let distance = i128::from(time) - i128::from(self.offset_ms);
        let slice = i128::from(self.slice_ms);
        let end = i128::from(time) - distance.rem_euclid(slice) + slice;
        // All later sums stay within a window's size of `end`.
        let margin = i128::from(i64::MAX) - 2 * i128::from(self.size_ms);
        if end.abs() > margin {
            return Err(Error::data(format!(
                "the event time {} is too far from 1970 to be put into a window",
                moment_text(time)
            )));
        }
        Ok(end as i64)
    }

    /// End of the first window with this slice that `watermark` has not completed (`end - 1 > watermark`);
    /// `None` if all are complete, or there is none.
    pub(in crate::operators) fn first_open(&self, slice_end: i64, watermark: i64) -> Option<i64> {
        let open = i128::from(watermark) + 2;
        let end = match i128::from(slice_end) >= open && self.slice_ms == self.step_ms {
            true => i128::from(slice_end),
            false => self.next_end(open.max(i128::from(slice_end))),
        };
        (end <= i128::from(self.last_window(slice_end))).then_some(end as i64)
    }

    /// Whether a slice is in a window at all: HOP may leave gaps.
    pub(in crate::operators) fn has_window(&self, slice_end: i64) -> bool {
        self.last_window(slice_end) >= slice_end
    }

    /// End of the first window that ends at `time` or later.
    fn next_end(&self, time: i128) -> i128 {
        time + (i128::from(self.offset_ms) + i128::from(self.size_ms) - time).rem_euclid(i128::from(self.step_ms))
    }

    /// Ends of all windows that contain `time`.
    pub(in crate::operators) fn window_ends(&self, time: i64) -> Result<impl Iterator<Item = i64>> {
        let slice_end = self.slice_end(time)?;
        let (first, last) = (self.next_end(i128::from(slice_end)) as i64, self.last_window(slice_end));
        Ok((first..=last).step_by(usize::try_from(self.step_ms).unwrap_or(usize::MAX)))
    }

    /// End of the last window with this slice; before the slice, if it is in none.
    pub(in crate::operators) fn last_window(&self, slice_end: i64) -> i64 {
        match self.cumulative {
            true => self.window_start(slice_end).saturating_add(self.size_ms),
            false => {
                let start = slice_end.saturating_sub(self.slice_ms);
                let into = (i128::from(start) - i128::from(self.offset_ms)).rem_euclid(i128::from(self.step_ms));
                start.saturating_sub(into as i64).saturating_add(self.size_ms)
            }
        }
    }

    /// Whether slices of one window are merged from its end: Flink does so for HOP, which shows in the order of
    /// collected values; but not for HOP in GROUP BY.
    ///
    /// # Source  Flink `SliceAssigners.HoppingSliceAssigner#mergeSlices`
    pub(in crate::operators) fn newest_first(&self) -> bool {
        self.newest_first
    }

    /// First instant of the window that ends at `end`.
    pub(in crate::operators) fn window_start(&self, end: i64) -> i64 {
        match self.cumulative {
            true => {
                let last = end.saturating_sub(1);
                last.saturating_sub(last.saturating_sub(self.offset_ms).rem_euclid(self.size_ms))
            }
            false => end.saturating_sub(self.size_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slices(kind: WindowKind, offset_ms: i64) -> Slices {
        Slices::new(&WindowSpec { kind, offset_ms, rowtime: 0, zone: None }).unwrap()
    }

    /// All windows `[start, end)` that contain `time`, by definition.
    fn windows(kind: WindowKind, offset: i64, time: i64) -> Vec<(i64, i64)> {
        let floor = |t: i64, n: i64| (t - offset).div_euclid(n) * n + offset;
        match kind {
            WindowKind::Tumble { size_ms } => vec![(floor(time, size_ms), floor(time, size_ms) + size_ms)],
            WindowKind::Hop { slide_ms, size_ms } | WindowKind::GroupHop { slide_ms, size_ms } => {
                let last = floor(time, slide_ms);
                let starts = (0..size_ms).rev().map(|k| last - k * slide_ms);
                starts.map(|s| (s, s + size_ms)).filter(|(_, end)| *end > time).collect()
            }
            WindowKind::Session { .. } | WindowKind::Attached { .. } => vec![],
            WindowKind::Cumulate { step_ms, size_ms } => {
                let start = floor(time, size_ms);
                let ends = (1..=size_ms / step_ms).map(|k| start + k * step_ms);
                ends.filter(|end| *end > time).map(|end| (start, end)).collect()
            }
        }
    }

    fn kinds() -> impl Strategy<Value = WindowKind> {
        (1i64..50, 1i64..8, 1i64..50, 0..4).prop_map(|(unit, times, size_ms, kind)| match kind {
            0 => WindowKind::Tumble { size_ms: unit },
            1 => WindowKind::Hop { slide_ms: unit, size_ms: unit * times },
            2 => WindowKind::Hop { slide_ms: unit, size_ms },
            _ => WindowKind::Cumulate { step_ms: unit, size_ms: unit * times },
        })
    }

    proptest! {
        #[test]
        fn slices_make_up_the_windows(kind in kinds(), offset in -40i64..40, time in -500i64..500, watermark in -600i64..600) {
            let slices = slices(kind, offset);
            let slice_end = slices.slice_end(time).unwrap();
            let expected = windows(kind, offset, time);
            match expected.last() {
                Some((_, last)) => prop_assert_eq!(slices.last_window(slice_end), *last),
                None => prop_assert!(slices.last_window(slice_end) < slice_end),
            }
            let open = expected.iter().find(|(_, end)| end - 1 > watermark).map(|(_, end)| *end);
            prop_assert_eq!(slices.first_open(slice_end, watermark), open);
            prop_assert_eq!(slices.window_ends(time).unwrap().collect::<Vec<_>>(), expected.iter().map(|(_, end)| *end).collect::<Vec<_>>());
            prop_assert!(expected.len() as u64 <= kind.windows_max());
            for (start, end) in expected {
                prop_assert_eq!(slices.window_start(end), start);
            }
        }
    }

    #[test]
    fn extremes_are_refused_or_kept_in_range() {
        let s = slices(WindowKind::Cumulate { step_ms: 1000, size_ms: 86_400_000 }, 0);
        assert!(s.slice_end(i64::MAX).is_err());
        assert!(s.slice_end(i64::MIN).is_err());
        assert_eq!(s.first_open(1000, i64::MIN), Some(1000));
        assert_eq!(s.first_open(1000, i64::MAX), None);
        let gaps = slices(WindowKind::Hop { slide_ms: 10, size_ms: 4 }, 0);
        assert!(gaps.has_window(4) && !gaps.has_window(6), "windows [0, 4) and [10, 14)");
        let uneven = WindowKind::Cumulate { step_ms: 7, size_ms: 10 };
        assert!(Slices::new(&WindowSpec { kind: uneven, offset_ms: 0, rowtime: 0, zone: None }).is_err());
    }
}
