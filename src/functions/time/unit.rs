//! Units of time, and what EXTRACT, TIMESTAMPADD, TIMESTAMPDIFF, FLOOR and CEIL do with them.

use super::calendar::{DAY_MS, Date, months_between, plus_months};
use super::value::Moment;
use arrow::datatypes::DataType;

use crate::error::{Error, Result};

/// A unit of time or a field of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::functions) enum Unit {
    Millennium,
    Century,
    Decade,
    Year,
    IsoYear,
    Quarter,
    Month,
    Week,
    Day,
    DayOfYear,
    DayOfWeek,
    IsoDayOfWeek,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
    Epoch,
}

const NAMES: &[(&str, Unit)] = &[
    ("MILLENNIUM", Unit::Millennium),
    ("CENTURY", Unit::Century),
    ("DECADE", Unit::Decade),
    ("YEAR", Unit::Year),
    ("ISOYEAR", Unit::IsoYear),
    ("QUARTER", Unit::Quarter),
    ("MONTH", Unit::Month),
    ("WEEK", Unit::Week),
    ("DAY", Unit::Day),
    ("DOY", Unit::DayOfYear),
    ("DOW", Unit::DayOfWeek),
    ("ISODOW", Unit::IsoDayOfWeek),
    ("HOUR", Unit::Hour),
    ("MINUTE", Unit::Minute),
    ("SECOND", Unit::Second),
    ("MILLISECOND", Unit::Millisecond),
    ("MICROSECOND", Unit::Microsecond),
    ("NANOSECOND", Unit::Nanosecond),
    ("EPOCH", Unit::Epoch),
];

impl Unit {
    /// A unit by its name, in any case; `SQL_TSI_` before and a plural `S` after it mean nothing.
    ///
    /// # Errors
    /// `Sql` with the nearest unit.
    pub(in crate::functions) fn parse(name: &str) -> Result<Self> {
        let upper = name.trim().to_ascii_uppercase();
        let bare = upper.strip_prefix("SQL_TSI_").unwrap_or(&upper);
        let find = |name: &str| NAMES.iter().find(|(known, _)| *known == name).map(|(_, unit)| *unit);
        find(bare).or_else(|| find(bare.strip_suffix('S')?)).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            Error::sql(format!("\"{name}\" is not a unit of time"))
                .hint(format!("units: {}", names.join(", ")))
                .nearest(&upper, names.iter().copied())
        })
    }

    /// Whether values of a type have the unit: a TIME has no day, a DATE and a TIME nothing finer than milliseconds. Intervals
    /// are told apart where they are read.
    pub(in crate::functions) fn is_part_of(self, data_type: &DataType) -> bool {
        match data_type {
            DataType::Time32(_) | DataType::Time64(_) => {
                matches!(self, Self::Hour | Self::Minute | Self::Second | Self::Millisecond)
            }
            DataType::Date32 => !matches!(self, Self::Microsecond | Self::Nanosecond),
            _ => true,
        }
    }

    /// Length, if it is always the same.
    fn length_ms(self) -> Option<i64> {
        match self {
            Self::Week => Some(7 * DAY_MS),
            Self::Day => Some(DAY_MS),
            Self::Hour => Some(3_600_000),
            Self::Minute => Some(60_000),
            Self::Second => Some(1000),
            Self::Millisecond => Some(1),
            _ => None,
        }
    }

    /// Length in months, if it is one.
    fn months(self) -> Option<i64> {
        match self {
            Self::Millennium => Some(12_000),
            Self::Century => Some(1200),
            Self::Decade => Some(120),
            Self::Year => Some(12),
            Self::Quarter => Some(3),
            Self::Month => Some(1),
            _ => None,
        }
    }

    /// What EXTRACT takes from a TIME of three digits at most.
    ///
    /// # Errors
    /// `Sql` for a unit of the calendar, and for one that is finer.
    pub(in crate::functions) fn of_a_time(self) -> Result<Self> {
        if self.is_of_the_clock() { Ok(self) } else { Err(self.refuse("EXTRACT from a TIME")) }
    }

    /// Whether it is shorter than a day.
    pub(in crate::functions) fn is_of_the_clock(self) -> bool {
        matches!(self, Self::Hour | Self::Minute | Self::Second | Self::Millisecond)
    }

    fn refuse(self, what: &str) -> Error {
        Error::sql(format!("{what} does not take the unit {self:?}").replace("DayOf", "day of "))
    }

    /// The field of a moment.
    ///
    /// Before 1970 a time stamp is cut towards 1970, so an hour can be negative and the day the one after: Flink
    /// computes so, and results are compared with its.
    ///
    /// # Errors
    /// `Sql` for a field of the clock of a DATE.
    pub(in crate::functions) fn part(self, moment: Moment, is_date: bool) -> Result<i64> {
        let (days, day_ms) = (moment.local_ms / DAY_MS, moment.local_ms % DAY_MS);
        let date = Date::from_days(days);
        if is_date && (self.is_of_the_clock() || matches!(self, Self::Microsecond | Self::Nanosecond)) {
            return Err(self.refuse("EXTRACT from a DATE"));
        }
        // centuries and millennia have no year 0: 2001 is the first year of both
        let count_from_one =
            |years: i64| if date.year > 0 { (date.year + years - 1) / years } else { date.year / years - 1 };
        Ok(match self {
            Self::Millennium => count_from_one(1000),
            Self::Century => count_from_one(100),
            Self::Decade => date.year.div_euclid(10),
            Self::Year => date.year,
            Self::IsoYear => date.iso_week().0,
            Self::Quarter => (date.month + 2) / 3,
            Self::Month => date.month,
            Self::Week => date.iso_week().1,
            Self::Day => date.day,
            Self::DayOfYear => date.day_of_year(),
            Self::DayOfWeek => date.iso_weekday() % 7 + 1,
            Self::IsoDayOfWeek => date.iso_weekday(),
            Self::Hour => day_ms / 3_600_000,
            Self::Minute => day_ms / 60_000 % 60,
            Self::Second => day_ms / 1000 % 60,
            Self::Millisecond => day_ms % 1000,
            Self::Microsecond => day_ms % 1000 * 1000 + moment.nanos / 1000,
            Self::Nanosecond => day_ms % 1000 * 1_000_000 + moment.nanos,
            Self::Epoch => moment.local_ms / 1000,
        })
    }

    /// The field of an interval of months or of milliseconds.
    ///
    /// # Errors
    /// `Sql` for a field that it has not.
    pub(in crate::functions) fn part_of_interval(self, months: i32, ms: i64) -> Result<i64> {
        let months = i64::from(months);
        Ok(match self {
            Self::Millennium | Self::Century | Self::Decade | Self::Year => months / self.months().unwrap_or(12),
            // as Flink computes it: three months are still the first quarter
            Self::Quarter => (months % 12 - 1) / 3 + 1,
            Self::Month => months % 12,
            _ if months != 0 => return Err(self.refuse("EXTRACT from an interval of months")),
            Self::Day => ms / DAY_MS,
            Self::Hour => ms / 3_600_000 % 24,
            Self::Minute => ms / 60_000 % 60,
            Self::Second => ms / 1000 % 60,
            Self::Millisecond => ms % 1000,
            _ => return Err(self.refuse("EXTRACT from an interval")),
        })
    }

    /// Whole units from one time to another, truncated.
    ///
    /// # Errors
    /// `Sql` if it is no length.
    pub(in crate::functions) fn between(self, from_ms: i64, to_ms: i64) -> Result<i64> {
        // weeks and parts of a second are computed from seconds in an INT, which runs over after 68 years
        let seconds = (to_ms.saturating_sub(from_ms) / 1000) as i32;
        match (self.length_ms(), self.months()) {
            _ if self == Self::Week => Ok(i64::from(seconds / 604_800)),
            _ if self == Self::Millisecond => Ok(i64::from(seconds.wrapping_mul(1000))),
            _ if self == Self::Microsecond => Ok(i64::from(seconds.wrapping_mul(1_000_000))),
            (Some(length), _) => Ok(to_ms.saturating_sub(from_ms) / length),
            (_, Some(months)) => Ok(months_between(from_ms, to_ms) / months),
            _ => Err(self.refuse("TIMESTAMPDIFF")),
        }
    }

    /// The time so many units later.
    ///
    /// # Errors
    /// `Sql` if it is no length, `Data` if the time is out of range.
    pub(in crate::functions) fn add(self, ms: i64, count: i64) -> Result<i64> {
        let sum = match (self.length_ms(), self.months()) {
            (Some(length), _) => count.checked_mul(length).and_then(|more| ms.checked_add(more)),
            (_, Some(months)) => count.checked_mul(months).map(|months| plus_months(ms, months)),
            _ => return Err(self.refuse("TIMESTAMPADD")),
        };
        sum.ok_or_else(|| Error::data(format!("{count} units are more than a time stamp can move")))
    }

    /// The begin of the unit at or before a local time, or at or after it.
    ///
    /// Weeks, months and longer units look at the day alone and cut it towards 1970, as Flink does.
    ///
    /// # Errors
    /// `Sql` if it is no length.
    pub(in crate::functions) fn snap(self, local_ms: i64, up: bool) -> Result<i64> {
        if let (Some(length), true) = (self.length_ms(), self != Self::Week) {
            let floor = local_ms.saturating_sub(local_ms.rem_euclid(length));
            return Ok(if up && floor != local_ms { floor.saturating_add(length) } else { floor });
        }
        let days = local_ms / DAY_MS;
        // # Source  Calcite, `DateTimeUtils.julianDateFloor`: dates are taken apart by the calendar of 1582 and put
        // together by ours
        let date = Date::from_days_of_1582(days);
        let later = i64::from(up && (date.month > 1 || date.day > 1));
        let always = i64::from(up);
        let begin = |year: i64, months: i64| Date { year, month: 1, day: 1 }.plus_months(months).to_days();
        let snapped = match self {
            Self::Week => {
                let offset = (days + 4).rem_euclid(7);
                date.to_days() - if up && offset > 0 { offset - 7 } else { offset }
            }
            Self::Month => begin(date.year, date.month - 1 + i64::from(up && date.day > 1)),
            Self::Quarter => begin(date.year, ((date.month - 1) / 3 + later) * 3),
            Self::Year => begin(date.year + later, 0),
            Self::Decade => begin((date.year.div_euclid(10) + always) * 10, 0),
            // 2001 is the first year of a century
            Self::Century => begin(((date.year - 1).div_euclid(100) + always) * 100 + 1, 0),
            Self::Millennium => begin(((date.year - 1).div_euclid(1000) + always) * 1000 + 1, 0),
            _ => return Err(self.refuse("FLOOR and CEIL")),
        };
        Ok(snapped.saturating_mul(DAY_MS))
    }
}
