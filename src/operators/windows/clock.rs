//! The clock by which windows begin and end: for `TIMESTAMP_LTZ` that of the session's time zone.
//!
//! A day has 23, 24 or 25 hours, and an hour that comes twice is one window, complete when its second pass is.
//!
//! # Source
//! Flink `TimeWindowUtil.toUtcTimestampMills` and `toEpochMillsForTimer`: rows are shifted by the zone before they
//! are assigned, timers back. (Flink 2.3 loses rows where the size does not divide the offset of a zone,
//! FLINK-38075; not here.)

use arrow::array::Int64Array;

use crate::time::EventTime;
use crate::time::zone::{Twice, Zone};

/// `None`: event times are what the clock shows.
#[derive(Debug, Clone, Copy)]
pub(in crate::operators) struct WindowClock(Option<Zone>);

impl WindowClock {
    pub(in crate::operators) fn new(zone: Option<Zone>) -> Self {
        Self(zone)
    }

    /// What it shows at event times.
    pub(in crate::operators) fn times(&self, event_times: Int64Array) -> Int64Array {
        match self.0 {
            Some(zone) => event_times.unary(|time| zone.to_local(time)),
            None => event_times,
        }
    }

    /// What it has shown for the last time at a watermark.
    pub(in crate::operators) fn watermark(&self, watermark: EventTime) -> i64 {
        self.0.map_or(watermark, |zone| zone.over_at(watermark))
    }

    /// The event time at which it first shows a time.
    pub(in crate::operators) fn event_time(&self, shown: i64) -> EventTime {
        self.0.map_or(shown, |zone| zone.to_instant(shown, Twice::Earlier))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;

    const HOUR: i64 = 3_600_000;
    /// 2024-11-03 00:00 in New York; the clock goes from 02:00 back to 01:00 that night.
    const MIDNIGHT: i64 = 1_730_606_400_000;

    #[test]
    fn an_hour_that_comes_twice_is_one_window_complete_after_its_second_pass() -> Result<()> {
        let clock = WindowClock::new(Some(Zone::parse("America/New_York")?));
        let shown =
            clock.times(Int64Array::from(vec![MIDNIGHT, MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR, MIDNIGHT + 24 * HOUR]));
        let start = shown.value(0);
        assert_eq!(start.rem_euclid(24 * HOUR), 0, "midnight is where days begin");
        assert_eq!(shown.values(), &[start, start + HOUR, start + HOUR, start + 23 * HOUR]);
        // [01:00, 02:00) is open all through its first pass.
        assert!(clock.watermark(MIDNIGHT + 2 * HOUR - 1) < start + HOUR);
        assert_eq!(clock.watermark(MIDNIGHT + 3 * HOUR - 1), start + 2 * HOUR - 1);
        // Its window_time is the end of the first pass.
        assert_eq!(clock.event_time(start + 2 * HOUR - 1), MIDNIGHT + 2 * HOUR - 1);
        Ok(())
    }

    #[test]
    fn without_a_zone_event_times_are_what_is_shown() {
        let clock = WindowClock::new(None);
        assert_eq!((clock.watermark(i64::MAX), clock.event_time(-5)), (i64::MAX, -5));
        assert_eq!(clock.times(Int64Array::from(vec![7])).values(), &[7]);
    }
}
