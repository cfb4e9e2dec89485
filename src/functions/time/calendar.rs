//! The proleptic Gregorian calendar over days and milliseconds since 1970, total over every i64: no date panics.

/// Milliseconds of a day.
pub(in crate::functions) const DAY_MS: i64 = 86_400_000;

/// Years that a DATE or TIMESTAMP has in Flink, as days since 1970.
pub(in crate::functions) const DAYS_MIN: i64 = -719_528;
/// 9999-12-31.
pub(in crate::functions) const DAYS_MAX: i64 = 2_932_896;

/// 1582-10-15, the first day that was counted by the Gregorian calendar.
const GREGORIAN_FROM: i64 = -141_427;

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::functions) struct Date {
    /// Year, astronomical.
    pub(in crate::functions) year: i64,
    /// Month, 1 to 12.
    pub(in crate::functions) month: i64,
    /// Day of the month, from 1.
    pub(in crate::functions) day: i64,
}

impl Date {
    /// The day so many days after 1970-01-01.
    ///
    /// # Source  Hinnant, "chrono-compatible low-level date algorithms", over eras of 400 years
    pub(in crate::functions) fn from_days(days: i64) -> Self {
        // dates beyond ±25 million years are clamped, far from anything a column can hold
        let shifted = days.clamp(-9_000_000_000, 9_000_000_000) + 719_468;
        let (era, in_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
        let day_of_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
        }
    }

    /// Days since 1970-01-01.
    pub(in crate::functions) fn to_days(self) -> i64 {
        let year = self.year.clamp(-25_000_000, 25_000_000) - i64::from(self.month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let from_march = (self.month + 9) % 12;
        let day_of_year = (153 * from_march + 2) / 5 + self.day - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }

    /// The day of the calendar that changed in 1582: Julian before 1582-10-15, as Java's old classes have it.
    pub(in crate::functions) fn from_days_of_1582(days: i64) -> Self {
        if days >= GREGORIAN_FROM {
            return Self::from_days(days);
        }
        // # Source  Richards, "Calendars", over Julian day numbers
        let shifted = days.max(-9_000_000_000) + 2_440_588 + 32_082;
        let year = (4 * shifted + 3).div_euclid(1461);
        let of_year = shifted - (1461 * year).div_euclid(4);
        let month = (5 * of_year + 2) / 153;
        Self {
            year: year - 4800 + month / 10,
            month: month + 3 - 12 * (month / 10),
            day: of_year - (153 * month + 2) / 5 + 1,
        }
    }

    /// Days since 1970 of a date of that calendar, whose month and day may be beyond their ends.
    pub(in crate::functions) fn to_days_of_1582(self) -> i64 {
        let months =
            self.year.clamp(-25_000_000, 25_000_000) * 12 + (self.month - 1).clamp(-1_000_000_000, 1_000_000_000);
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        let beyond = (self.day - 1).clamp(-10_000_000_000, 10_000_000_000);
        let gregorian = Self { year, month, day: 1 }.to_days() + beyond;
        if gregorian >= GREGORIAN_FROM {
            return gregorian;
        }
        let january = (14 - month) / 12;
        let (y, m) = (year + 4800 - january, month + 12 * january - 3);
        1 + (153 * m + 2) / 5 + 365 * y + y.div_euclid(4) - 32_083 - 2_440_588 + beyond
    }

    /// The same day so many months later, or the last of that month.
    pub(in crate::functions) fn plus_months(self, months: i64) -> Self {
        let total = (self.year * 12 + self.month - 1).saturating_add(months.clamp(-1_000_000_000, 1_000_000_000));
        let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
        Self { year, month, day: self.day.min(days_of_month(year, month)) }
    }

    /// The date, if the calendar has it.
    pub(in crate::functions) fn valid(self) -> Option<Self> {
        let fits = (1..=12).contains(&self.month) && (1..=days_of_month(self.year, self.month)).contains(&self.day);
        fits.then_some(self)
    }

    /// Day of the year, from 1.
    pub(in crate::functions) fn day_of_year(self) -> i64 {
        self.to_days() - Self { month: 1, day: 1, ..self }.to_days() + 1
    }

    /// ISO weekday, Monday 1 to Sunday 7.
    pub(in crate::functions) fn iso_weekday(self) -> i64 {
        (self.to_days() + 3).rem_euclid(7) + 1
    }

    /// ISO year and week: the week belongs to the year that has its Thursday.
    pub(in crate::functions) fn iso_week(self) -> (i64, i64) {
        let thursday = Self::from_days(self.to_days() + 4 - self.iso_weekday());
        (thursday.year, (thursday.day_of_year() - 1) / 7 + 1)
    }
}

/// Milliseconds since 1970 with so many months added: the same day of the month, or the last.
pub(in crate::functions) fn plus_months(ms: i64, months: i64) -> i64 {
    let days = Date::from_days(ms.div_euclid(DAY_MS)).plus_months(months).to_days();
    days.saturating_mul(DAY_MS).saturating_add(ms.rem_euclid(DAY_MS))
}

/// Number of days of a month.
pub(in crate::functions) fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Whole months from `from` to `to`, both ms since 1970.
///
/// # Source  Flink, `DateTimeUtils.subtractMonths`, with its rule for the time of day when going back
pub(in crate::functions) fn months_between(from: i64, to: i64) -> i64 {
    let (from_day, to_day) = (from.div_euclid(DAY_MS), to.div_euclid(DAY_MS));
    let months = whole_months(from_day, to_day);
    let reached = Date::from_days(from_day).plus_months(months).to_days();
    months - i64::from(reached == to_day && to.rem_euclid(DAY_MS) < from.rem_euclid(DAY_MS))
}

fn whole_months(from: i64, to: i64) -> i64 {
    if to < from {
        return -whole_months(to, from);
    }
    let start = Date::from_days(from);
    let end = Date::from_days(to);
    let months = (end.year - start.year) * 12 + end.month - start.month;
    if start.plus_months(months).to_days() > to { months - 1 } else { months }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_agree() {
        for days in (DAYS_MIN..=DAYS_MAX).step_by(97) {
            let date = Date::from_days(days);
            assert_eq!(date.to_days(), days);
            assert!(date.valid().is_some());
        }
        assert_eq!(Date::from_days(DAYS_MIN), Date { year: 0, month: 1, day: 1 });
        assert_eq!(Date::from_days(DAYS_MAX), Date { year: 9999, month: 12, day: 31 });
        let far = Date::from_days(i64::MAX).plus_months(i64::MAX);
        assert!(far.year > 20_000_000 && far.to_days() > 0);
    }

    #[test]
    fn the_calendar_of_1582() {
        for days in [-141_427, -141_428, -719_164, 0, -200_000] {
            assert_eq!(Date::from_days_of_1582(days).to_days_of_1582(), days);
        }
        assert_eq!(Date::from_days_of_1582(-141_428), Date { year: 1582, month: 10, day: 4 });
        assert_eq!(
            Date { year: 2024, month: 13, day: 32 }.to_days_of_1582(),
            Date { year: 2025, month: 2, day: 1 }.to_days()
        );
    }

    #[test]
    fn iso_weeks() {
        for (year, month, day, week) in [(2021, 1, 3, (2020, 53)), (2024, 12, 30, (2025, 1)), (2024, 1, 1, (2024, 1))] {
            assert_eq!(Date { year, month, day }.iso_week(), week);
        }
    }

    #[test]
    fn months_clamp_and_count() {
        let date = Date { year: 2024, month: 10, day: 31 };
        assert_eq!(date.plus_months(4), Date { year: 2025, month: 2, day: 28 });
        let ms = |year, month, day, hour: i64| Date { year, month, day }.to_days() * DAY_MS + hour * 3_600_000;
        assert_eq!(months_between(ms(2024, 10, 31, 13), ms(2024, 3, 31, 0)), -8);
        assert_eq!(months_between(ms(2024, 11, 30, 23), ms(2024, 3, 31, 0)), -8);
        assert_eq!(months_between(ms(2024, 2, 29, 23), ms(2024, 3, 31, 0)), 1);
        assert_eq!(months_between(ms(2024, 1, 31, 0), ms(2024, 2, 29, 0)), 1);
        assert_eq!(months_between(ms(2024, 1, 31, 1), ms(2024, 2, 29, 0)), 0);
    }
}
