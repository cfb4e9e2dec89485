//! Dates and times as text, in the two styles of Flink's formats.
//!
//! An instant is whole seconds since 1970 and nanoseconds after them; digits beyond a column's unit are
//! cut. Days are counted by the proleptic Gregorian calendar.
//!
//! # Source
//! Flink `TimeFormats`; Java `DateTimeFormatter` with its resolver styles; the day count after
//! Howard Hinnant, "chrono-compatible low-level date algorithms".

use arrow::datatypes::TimeUnit;

use super::number::write_integer;
use super::{Wrong, WrongKind, excerpt, trim};

/// `json.timestamp-format.standard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum TimestampStyle {
    /// `2024-03-01 10:00:00.123`
    Sql,
    /// `2024-03-01T10:00:00.123`
    Iso,
}

/// Whether fields that no calendar has are bent to the nearest that it has (Java: smart) or refused (strict).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolver {
    Smart,
    Strict,
}

const DAY_SECONDS: i64 = 86_400;

/// Units per second.
pub(in crate::formats) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// Reads a `TIMESTAMP`, or with `ltz` a `TIMESTAMP_LTZ` with its `Z`, as `unit`s since 1970.
pub(in crate::formats) fn parse_timestamp(
    text: &str,
    style: TimestampStyle,
    ltz: bool,
    unit: TimeUnit,
) -> Result<i64, Wrong> {
    let read = || {
        let bytes = text.as_bytes();
        let bytes = if ltz { bytes.strip_suffix(b"Z")? } else { bytes };
        // Java's ISO_LOCAL_DATE_TIME is strict, the formatters that Flink builds itself are smart.
        let resolver = if style == TimestampStyle::Iso && !ltz { Resolver::Strict } else { Resolver::Smart };
        let (days, rest) = date(bytes, resolver)?;
        let time = match (style, rest.first()?) {
            (TimestampStyle::Sql, b' ') | (TimestampStyle::Iso, b'T') => rest.get(1..)?,
            (TimestampStyle::Iso, b't') if !ltz => rest.get(1..)?,
            _ => return None,
        };
        let (seconds, nanos) = time_of_day(time, style == TimestampStyle::Iso, resolver)?;
        Some((days, seconds, nanos))
    };
    let (days, seconds, nanos) = read().ok_or_else(|| wrong_timestamp(text, style, ltz))?;
    let scale = per_second(unit);
    days.checked_mul(DAY_SECONDS)
        .and_then(|s| s.checked_add(seconds))
        .and_then(|s| s.checked_mul(scale))
        .and_then(|v| v.checked_add(nanos / (1_000_000_000 / scale)))
        .ok_or_else(|| Wrong::range_of(text, if ltz { "TIMESTAMP_LTZ" } else { "TIMESTAMP" }))
}

/// Reads a `DATE` (`2024-03-01`) as days since 1970.
pub(in crate::formats) fn parse_date(text: &str) -> Result<i32, Wrong> {
    match date(trim(text).as_bytes(), Resolver::Strict) {
        Some((days, [])) => i32::try_from(days).map_err(|_| Wrong::range_of(text, "DATE")),
        _ => Err(wrong_form(text, "DATE", "yyyy-MM-dd")),
    }
}

/// Reads a `TIME` (`10:00:00.5`) as `unit`s since midnight.
pub(in crate::formats) fn parse_time(text: &str, unit: TimeUnit) -> Result<i64, Wrong> {
    let scale = per_second(unit);
    match time_of_day(trim(text).as_bytes(), false, Resolver::Smart) {
        Some((seconds, nanos)) => Ok(seconds % DAY_SECONDS * scale + nanos / (1_000_000_000 / scale)),
        None => Err(wrong_form(text, "TIME", "HH:mm:ss[.f]")),
    }
}

#[cold]
fn wrong_form(text: &str, wanted: &str, form: &str) -> Wrong {
    let message = format!("{} is no {wanted} of the form {form}", excerpt(text));
    Wrong::new(WrongKind::Timestamp, message)
}

/// Says what form was expected and, where it can be guessed, what to change.
#[cold]
fn wrong_timestamp(text: &str, style: TimestampStyle, ltz: bool) -> Wrong {
    let wanted = if ltz { "TIMESTAMP_LTZ" } else { "TIMESTAMP" };
    let form = match (style, ltz) {
        (TimestampStyle::Sql, false) => "yyyy-MM-dd HH:mm:ss[.f]",
        (TimestampStyle::Sql, true) => "yyyy-MM-dd HH:mm:ss[.f]Z",
        (TimestampStyle::Iso, false) => "yyyy-MM-ddTHH:mm:ss[.f]",
        (TimestampStyle::Iso, true) => "yyyy-MM-ddTHH:mm:ss[.f]Z",
    };
    let mut wrong = wrong_form(text, wanted, form);
    let separator = text.as_bytes().get(10);
    let hint = if let Some(hint) = epoch_hint(text) {
        hint
    } else if style == TimestampStyle::Sql && separator == Some(&b'T') {
        wrong.standard = Some("ISO-8601");
        return wrong;
    } else if style == TimestampStyle::Iso && separator == Some(&b' ') {
        wrong.standard = Some("SQL");
        return wrong;
    } else if !ltz && text.ends_with('Z') {
        "a time with \"Z\" needs a column of type TIMESTAMP_LTZ"
    } else if ltz && !text.ends_with('Z') {
        "a TIMESTAMP_LTZ ends with \"Z\"; a time without zone needs a column of type TIMESTAMP"
    } else {
        return wrong;
    };
    wrong.message.push_str("; ");
    wrong.message.push_str(hint);
    wrong
}

/// The error for a number where a time stamp should be.
#[cold]
pub(in crate::formats) fn wrong_number(text: &str, ltz: bool) -> Wrong {
    let wanted = if ltz { "TIMESTAMP_LTZ" } else { "TIMESTAMP" };
    let mut message = format!("the number {} is no {wanted}", excerpt(text));
    if let Some(hint) = epoch_hint(text) {
        message.push_str("; ");
        message.push_str(hint);
    }
    Wrong::new(WrongKind::Timestamp, message)
}

/// What to do about a number of the size that instants of our time have since 1970 in some unit.
fn epoch_hint(text: &str) -> Option<&'static str> {
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite())?.abs();
    Some(match number {
        n if n < 1e8 => return None,
        n if n < 1e11 => {
            "it looks like seconds since 1970: declare the column BIGINT and compute TO_TIMESTAMP_LTZ(column, 0)"
        }
        n if n < 1e14 => {
            "it looks like milliseconds since 1970: declare the column BIGINT and compute TO_TIMESTAMP_LTZ(column, 3)"
        }
        n if n < 1e17 => {
            "it looks like microseconds since 1970: declare the column BIGINT and compute \
             TO_TIMESTAMP_LTZ(column / 1000, 3)"
        }
        n if n < 1e20 => {
            "it looks like nanoseconds since 1970: declare the column BIGINT and compute \
             TO_TIMESTAMP_LTZ(column / 1000000, 3)"
        }
        _ => return None,
    })
}

/// Two digits at `at`.
fn two(bytes: &[u8], at: usize) -> Option<i64> {
    let (tens, ones) = (bytes.get(at)?.wrapping_sub(b'0'), bytes.get(at + 1)?.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| i64::from(tens) * 10 + i64::from(ones))
}

/// Year, month and day at the start; days since 1970 and what follows.
fn date(bytes: &[u8], resolver: Resolver) -> Option<(i64, &[u8])> {
    let (year, rest) = match bytes.first()? {
        b'+' => signed_year(bytes.get(1..)?, 5)?,
        b'-' => signed_year(bytes.get(1..)?, 4).map(|(year, rest)| (-year, rest))?,
        _ => (two(bytes, 0)? * 100 + two(bytes, 2)?, bytes.get(4..)?),
    };
    if rest.first()? != &b'-' || rest.get(3)? != &b'-' {
        return None;
    }
    let (month, day) = (two(rest, 1)?, two(rest, 4)?);
    let last = days_of_month(year, month)?;
    let fits = day >= 1 && (day <= last || (resolver == Resolver::Smart && day <= 31));
    fits.then_some((days_from_civil(year, month, day.min(last)), rest.get(6..)?))
}

/// A year of `least` to ten digits.
fn signed_year(bytes: &[u8], least: usize) -> Option<(i64, &[u8])> {
    let count = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    if !(least..=10).contains(&count) {
        return None;
    }
    let year = bytes.iter().take(count).fold(0i64, |year, b| year * 10 + i64::from(b - b'0'));
    Some((year, bytes.get(count..)?))
}

/// `HH:mm:ss[.f{1,9}]` to the end (with `short`, seconds may be missing): seconds and nanoseconds.
fn time_of_day(bytes: &[u8], short: bool, resolver: Resolver) -> Option<(i64, i64)> {
    let (hour, minute) = (two(bytes, 0)?, two(bytes, 3)?);
    if bytes.get(2)? != &b':' {
        return None;
    }
    let (second, nanos) = match bytes.get(5..)? {
        [] if short => (0, 0),
        [b':', rest @ ..] => (two(rest, 0)?, fraction(rest.get(2..)?)?),
        _ => return None,
    };
    let seconds = hour * 3600 + minute * 60 + second;
    let midnight = resolver == Resolver::Smart && seconds == DAY_SECONDS && hour == 24 && nanos == 0;
    ((hour <= 23 && minute <= 59 && second <= 59) || midnight).then_some((seconds, nanos))
}

/// Nothing, or a point and one to nine digits, as nanoseconds.
fn fraction(bytes: &[u8]) -> Option<i64> {
    let digits = match bytes {
        [] => return Some(0),
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => digits,
        _ => return None,
    };
    let mut nanos = 0i64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        nanos = nanos * 10 + i64::from(digit - b'0');
    }
    Some((digits.len()..9).fold(nanos, |nanos, _| nanos * 10))
}

/// Last day of a month; `None` if there is no such month.
fn days_of_month(year: i64, month: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    Some(match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    })
}

/// Days since 1970; years of up to ten digits cannot overflow.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a day since 1970.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn write_two(number: i64, out: &mut Vec<u8>) {
    let number = number.unsigned_abs() as u8;
    out.extend_from_slice(&[b'0' + number / 10 % 10, b'0' + number % 10]);
}

/// Appends `unit`s since 1970 as `style` writes them; with `ltz` in UTC, with `Z`.
pub(in crate::formats) fn write_timestamp(
    value: i64,
    unit: TimeUnit,
    style: TimestampStyle,
    ltz: bool,
    out: &mut Vec<u8>,
) {
    let day = DAY_SECONDS.saturating_mul(per_second(unit));
    write_days(value.div_euclid(day), out);
    out.push(if style == TimestampStyle::Iso { b'T' } else { b' ' });
    write_time(value.rem_euclid(day), unit, out);
    if ltz {
        out.push(b'Z');
    }
}

/// Appends days since 1970.
pub(in crate::formats) fn write_days(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil_from_days(days);
    match year {
        0..=9999 => {
            write_two(year / 100, out);
            write_two(year % 100, out);
        }
        _ => {
            out.push(if year < 0 { b'-' } else { b'+' });
            let digits = year.unsigned_abs();
            for limit in [1_000, 100, 10] {
                if digits < limit {
                    out.push(b'0');
                }
            }
            write_integer(digits as i64, out);
        }
    }
    out.push(b'-');
    write_two(month, out);
    out.push(b'-');
    write_two(day, out);
}

/// Appends `unit`s since midnight, without zeros at the end of the fraction.
pub(in crate::formats) fn write_time(value: i64, unit: TimeUnit, out: &mut Vec<u8>) {
    let scale = per_second(unit);
    let (seconds, rest) = (value.div_euclid(scale), value.rem_euclid(scale));
    write_two(seconds / 3600 % 24, out);
    out.push(b':');
    write_two(seconds / 60 % 60, out);
    out.push(b':');
    write_two(seconds % 60, out);
    if rest == 0 {
        return;
    }
    out.push(b'.');
    let (mut rest, mut place) = (rest, scale / 10);
    while rest > 0 {
        out.push(b'0' + (rest / place) as u8);
        rest %= place;
        place = (place / 10).max(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::TimestampStyle::{Iso, Sql};
    use super::*;

    const MS: TimeUnit = TimeUnit::Millisecond;

    fn written(value: i64, unit: TimeUnit, style: TimestampStyle, ltz: bool) -> String {
        let mut out = Vec::new();
        write_timestamp(value, unit, style, ltz, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_instants() {
        for (text, style, ltz, ms) in [
            ("1970-01-01 00:00:00", Sql, false, 0),
            ("2024-03-01 10:00:00.5", Sql, false, 1_709_287_200_500),
            ("2024-03-01T10:00:00.123456", Iso, false, 1_709_287_200_123),
            ("1969-12-31T23:59:59.999999999Z", Iso, true, -1),
            ("0001-01-01 00:00:00", Sql, false, -62_135_596_800_000),
            ("2024-02-30 00:00:00", Sql, false, 1_709_164_800_000),
            ("2024-02-29 24:00:00", Sql, false, 1_709_251_200_000),
            ("2024-03-01T10:00", Iso, false, 1_709_287_200_000),
            ("+12345-01-01 00:00:00", Sql, false, 327_403_382_400_000),
            ("2024-03-01 10:00:00Z", Sql, true, 1_709_287_200_000),
        ] {
            assert_eq!(parse_timestamp(text, style, ltz, MS), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_stamp_is_refused() {
        for (text, style, ltz) in [
            ("2024-03-01T10:00:00", Sql, false),
            ("2024-03-01 10:00:00", Iso, false),
            ("2024-03-01 10:00", Sql, false),
            ("2024-03-01 10:00:00Z", Sql, false),
            ("2024-03-01 10:00:00", Sql, true),
            ("2024-13-01 00:00:00", Sql, false),
            ("2024-02-32 00:00:00", Sql, false),
            ("2024-02-30T00:00:00", Iso, false),
            ("2024-02-29T24:00:00", Iso, false),
            ("2016-12-31 23:59:60", Sql, false),
            ("24-03-01 10:00:00", Sql, false),
            ("99999-03-01 10:00:00", Sql, false),
            ("2024-03-01 10:00:00.1234567890", Sql, false),
            ("2024-03-01 10:00:00.", Sql, false),
            ("", Sql, false),
            ("2024-03-01", Sql, false),
            ("2024-03-01 25:00:00", Sql, false),
            ("2024-03-01 10:00:00+02:00", Sql, true),
            (" 2024-03-01 10:00:00", Sql, false),
            ("２０２４-03-01 10:00:00", Sql, false),
        ] {
            let wrong = parse_timestamp(text, style, ltz, MS).unwrap_err();
            assert_eq!(wrong.kind, WrongKind::Timestamp, "{text}");
        }
        let far = parse_timestamp("2300-01-01 00:00:00", Sql, false, TimeUnit::Nanosecond).unwrap_err();
        assert_eq!(far.kind, WrongKind::Range);
        assert!(parse_timestamp("+9999999999-01-01 00:00:00", Sql, false, TimeUnit::Nanosecond).is_err());
    }

    #[test]
    fn hints_name_the_way_out() {
        let message = |text, style, ltz| parse_timestamp(text, style, ltz, MS).unwrap_err().message;
        let standard = |text, style| parse_timestamp(text, style, false, MS).unwrap_err().standard;
        assert_eq!(standard("2024-03-01T10:00:00", Sql), Some("ISO-8601"));
        assert_eq!(standard("2024-03-01 10:00:00", Iso), Some("SQL"));
        assert!(message("2024-03-01 10:00:00Z", Sql, false).contains("TIMESTAMP_LTZ"));
        assert!(message("1709287200000", Sql, false).contains("TO_TIMESTAMP_LTZ(column, 3)"));
        assert!(wrong_number("1709287200", false).message.contains("TO_TIMESTAMP_LTZ(column, 0)"));
        assert!(wrong_number("1709287200000000", false).message.contains("column / 1000, 3"));
        assert!(!wrong_number("17", false).message.contains("1970"));
    }

    #[test]
    fn dates_and_times() {
        assert_eq!(parse_date("1969-12-31"), Ok(-1));
        assert_eq!(parse_time("23:59:59.9999", MS), Ok(86_399_999));
        for text in ["2024-02-30", "01.03.2024", "2024-3-1", "2024-03-01x"] {
            assert!(parse_date(text).is_err(), "{text}");
        }
        for text in ["10:00", "1:00:00", "10:00:60", "10-00-00"] {
            assert!(parse_time(text, MS).is_err(), "{text}");
        }
    }

    #[test]
    fn zeros_at_the_end_of_a_fraction_are_dropped() {
        assert_eq!(written(1_709_287_200_120, MS, Sql, false), "2024-03-01 10:00:00.12");
        assert_eq!(written(1, TimeUnit::Nanosecond, Iso, true), "1970-01-01T00:00:00.000000001Z");
        assert_eq!(written(-62_167_219_200_001, MS, Iso, false), "-0001-12-31T23:59:59.999");
    }

    proptest! {
        #[test]
        fn time_stamps_read_back_the_same(value: i64, iso: bool, ltz: bool, unit in 0usize..4) {
            let unit = [TimeUnit::Second, MS, TimeUnit::Microsecond, TimeUnit::Nanosecond][unit];
            // years of more than ten digits have no text
            let value = if unit == TimeUnit::Second { value / 1_000 } else { value };
            let style = if iso { Iso } else { Sql };
            prop_assert_eq!(parse_timestamp(&written(value, unit, style, ltz), style, ltz, unit), Ok(value));
        }

        #[test]
        fn days_agree_with_chrono(days in -100_000_000i64..100_000_000) {
            use chrono::Datelike;
            let (year, month, day) = civil_from_days(days);
            prop_assert_eq!(days_from_civil(year, month, day), days);
            if let Some(date) = chrono::NaiveDate::from_num_days_from_ce_opt((days + 719_163) as i32) {
                prop_assert_eq!((i64::from(date.year()), i64::from(date.month()), i64::from(date.day())), (year, month, day));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,30}", iso: bool, ltz: bool) {
            let style = if iso { Iso } else { Sql };
            prop_assert!(parse_timestamp(&text, style, ltz, MS).is_err() || text.len() >= 16);
            prop_assert!(parse_date(&text).is_ok() || parse_date(&text).is_err());
        }
    }
}
