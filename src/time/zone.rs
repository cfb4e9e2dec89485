//! The session's time zone: instants to local clocks and back, with the choices Java makes at changes of the clock.

use chrono::{DateTime, FixedOffset, LocalResult, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

use crate::error::{Error, Result};

const DAY_MS: i64 = 86_400_000;

/// A zone by rules, or a fixed distance from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// `Europe/Berlin`.
    Region(Tz),
    /// `+02:00`, `GMT+02:00`.
    Fixed(FixedOffset),
}

/// Which instant a local time means that comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twice {
    /// The first pass, as `LocalDateTime.atZone` and so every cast.
    Earlier,
    /// The second pass, as the old `Calendar` and so UNIX_TIMESTAMP.
    Later,
}

impl Zone {
    /// Without summer time and without doubt.
    pub const UTC: Self = Self::Region(Tz::UTC);

    /// A zone by its name.
    ///
    /// # Errors
    /// `Config` if there is no such zone.
    pub fn parse(name: &str) -> Result<Self> {
        if let Ok(region) = name.parse::<Tz>() {
            return Ok(Self::Region(region));
        }
        let offset = ["GMT", "UTC"].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
        let padded = match offset.len() {
            2 if !offset.ends_with(':') => {
                format!("{}0{}:00", offset.get(..1).unwrap_or(""), offset.get(1..).unwrap_or(""))
            }
            3 => format!("{offset}:00"),
            _ => offset.to_owned(),
        };
        padded.parse().map(Self::Fixed).map_err(|_| {
            Error::config(format!("\"{name}\" is not a time zone"))
                .hint("write a region or an offset: \"Europe/Berlin\", \"UTC\" or \"GMT+02:00\"")
        })
    }

    /// The name Arrow writes in a type.
    pub fn name(&self) -> String {
        match self {
            Self::Region(region) => region.name().to_owned(),
            Self::Fixed(offset) => offset.to_string(),
        }
    }

    /// Milliseconds that the local clock is ahead of UTC at an instant.
    pub fn offset_ms(&self, instant_ms: i64) -> i64 {
        let Some(utc) = naive(instant_ms) else { return 0 };
        let offset = match self {
            Self::Region(region) => region.offset_from_utc_datetime(&utc).fix(),
            Self::Fixed(offset) => *offset,
        };
        i64::from(offset.local_minus_utc()) * 1000
    }

    /// What the local clock shows at an instant, both in ms since 1970.
    pub fn to_local(self, instant_ms: i64) -> i64 {
        instant_ms.saturating_add(self.offset_ms(instant_ms))
    }

    /// The instant at which the local clock shows a time. A time that is skipped moves forward by the gap.
    pub fn to_instant(self, local_ms: i64, twice: Twice) -> i64 {
        let ahead = |offset: FixedOffset| i64::from(offset.local_minus_utc()) * 1000;
        let offset = match (&self, naive(local_ms)) {
            (Self::Fixed(offset), _) => ahead(*offset),
            (Self::Region(_), None) => 0,
            (Self::Region(region), Some(local)) => match region.offset_from_local_datetime(&local) {
                LocalResult::Single(offset) => ahead(offset.fix()),
                LocalResult::Ambiguous(one, other) => {
                    let (one, other) = (ahead(one.fix()), ahead(other.fix()));
                    // the larger offset is summer time, the first pass
                    if twice == Twice::Earlier { one.max(other) } else { one.min(other) }
                }
                // the offset before the gap moves the time past it; no gap is longer than a day
                LocalResult::None => self.offset_ms(local_ms.saturating_sub(DAY_MS)),
            },
        };
        local_ms.saturating_sub(offset)
    }

    /// The last local time that is over at an instant, so that no later instant shows it or an earlier one. In the
    /// first pass of an hour that comes twice that is the moment before the hour.
    pub fn over_at(self, instant_ms: i64) -> i64 {
        let local = self.to_local(instant_ms);
        let again = self.to_instant(local, Twice::Later).saturating_sub(instant_ms);
        if again <= 0 {
            return local;
        }
        let (mut over, mut open) = (local.saturating_sub(again), local);
        while open - over > 1 {
            let middle = over + (open - over) / 2;
            if self.to_instant(middle, Twice::Later) <= instant_ms { over = middle } else { open = middle }
        }
        over
    }
}

fn naive(ms: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_millis(ms).map(|time| time.naive_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(year: i32, month: u32, day: u32, minutes: i64) -> i64 {
        let date = chrono::NaiveDate::from_ymd_opt(year, month, day).unwrap();
        date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis() + minutes * 60_000
    }

    #[test]
    fn changes_of_the_clock() {
        let zone = Zone::parse("America/New_York").unwrap();
        // skipped: 02:30 is 03:30 summer time
        assert_eq!(zone.to_instant(at(2024, 3, 10, 150), Twice::Earlier), at(2024, 3, 10, 450));
        assert_eq!(zone.to_instant(at(2024, 3, 10, 150), Twice::Later), at(2024, 3, 10, 450));
        // twice: 01:00
        assert_eq!(zone.to_instant(at(2024, 11, 3, 60), Twice::Earlier), at(2024, 11, 3, 300));
        assert_eq!(zone.to_instant(at(2024, 11, 3, 60), Twice::Later), at(2024, 11, 3, 360));
        assert_eq!(zone.to_local(at(2024, 11, 3, 360)), at(2024, 11, 3, 60));
    }

    #[test]
    fn what_is_over_in_an_hour_that_comes_twice() {
        let zone = Zone::parse("America/New_York").unwrap();
        let first_pass = at(2024, 11, 3, 5 * 60 + 30);
        assert_eq!(zone.over_at(first_pass), at(2024, 11, 3, 60) - 1, "01:30 will come again");
        assert_eq!(zone.over_at(first_pass + 60 * 60_000), at(2024, 11, 3, 90));
        assert_eq!(zone.over_at(at(2024, 3, 10, 7 * 60)), at(2024, 3, 10, 3 * 60), "after the gap");
        assert_eq!((zone.over_at(i64::MIN), zone.over_at(i64::MAX)), (i64::MIN, i64::MAX));
        // Event time never goes back.
        let changes = (at(2024, 11, 3, 3 * 60)..at(2024, 11, 3, 8 * 60)).step_by(600_000);
        assert!(changes.map(|instant| zone.over_at(instant)).is_sorted());
    }

    #[test]
    fn names() {
        for (name, offset) in [("UTC", 0), ("GMT+02:00", 120), ("+05:30", 330), ("GMT-8", -480), ("UTC+3", 180)] {
            assert_eq!(Zone::parse(name).unwrap().offset_ms(0), offset * 60_000, "{name}");
        }
        for name in ["", "Nowhere/Else", "+", "+ü", "25:00"] {
            assert!(Zone::parse(name).is_err(), "{name}");
        }
        let zone = Zone::parse("Asia/Tokyo").unwrap();
        assert_eq!(zone.to_local(i64::MAX), i64::MAX);
        assert_eq!(zone.to_instant(i64::MIN, Twice::Later), i64::MIN);
    }
}
