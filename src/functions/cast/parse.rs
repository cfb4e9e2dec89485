//! Text to values as Flink's CAST reads it: blanks around are ignored, `'1.5'` is INT 1, `'2024'` a DATE, `'yes'` TRUE.

use super::number::{divide_half_up, parse_decimal, power_of_ten};
use crate::functions::time::calendar::{Date, days_of_month};

/// An integer of `1`, `-2`, `1.5` or `.`, whose fraction is cut; `None` if it is none or i64 has no room. Only blanks
/// around are nothing.
pub(in crate::functions) fn read_integer(text: &str) -> Option<i64> {
    let text = text.trim_matches(' ');
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    if !fraction.unwrap_or("").bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match whole {
        "" | "-" | "+" if fraction.is_some() => Some(0),
        _ => whole.parse().ok(),
    }
}

/// A DOUBLE's text that Rust reads as Java does; `None` if Java would not.
///
/// # Source  `java.lang.Double.valueOf`
fn java_double(text: &str) -> Option<&str> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, "NaN" | "Infinity") {
        return Some(text);
    }
    let text = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')).then_some(text)
}

/// `0x1.8p3`: digits of 4 bits, and an exponent of two.
fn hexadecimal(text: &str) -> Option<f64> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let rest = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"))?;
    let (mantissa, exponent) = rest.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(exponent).parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    // 15 digits fit into an integer; more are no number of a person
    let bits = u64::from_str_radix(&digits, 16).ok().filter(|_| digits.len() <= 15)?;
    let shift = exponent.checked_sub(i32::try_from(fraction.len() * 4).ok()?)?;
    let size = bits as f64 * 2_f64.powi(shift);
    Some(if negative { -size } else { size })
}

/// A DOUBLE.
pub(in crate::functions) fn read_double(text: &str) -> Option<f64> {
    java_double(text).and_then(|text| text.parse().ok()).or_else(|| hexadecimal(text))
}

/// A FLOAT, rounded once.
pub(in crate::functions) fn read_float(text: &str) -> Option<f32> {
    java_double(text).and_then(|text| text.parse().ok()).or_else(|| hexadecimal(text).map(|value| value as f32))
}

/// A DECIMAL; `Some(None)` if it does not fit.
///
/// # Source  Flink, `BinaryStringDataUtil.toDecimal`, which reads short texts for up to 18 digits in a way of its own
pub(in crate::functions) fn read_decimal(text: &str, precision: u8, scale: i8) -> Option<Option<i128>> {
    if precision <= 18 && text.len() <= 18 {
        return short_decimal(text.as_bytes(), precision, scale);
    }
    let ascii = |c: char| match crate::functions::regex::digit_value(c) {
        Some(digit) if !c.is_ascii() => char::from_digit(digit, 10).unwrap_or(c),
        _ => c,
    };
    let text: String = text.trim_matches([' ', '\n', '\t']).chars().map(ascii).collect();
    parse_decimal(&text, precision, scale)
}

/// What follows the digits is looked at from the second character on: `12a` is 12 and `x` is 0, as in Flink.
fn short_decimal(bytes: &[u8], precision: u8, scale: i8) -> Option<Option<i128>> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\t');
    let rest = bytes.get(bytes.iter().position(|byte| !blank(byte))?..)?;
    let negative = rest.first() == Some(&b'-');
    let mut rest =
        if negative || rest.first() == Some(&b'+') { rest.get(1..).filter(|rest| !rest.is_empty())? } else { rest };
    let (mut units, mut digits, mut point, mut last) = (0_i128, 0_i32, None, b'0');
    while let Some((byte, after)) = rest.split_first() {
        (last, rest) = (*byte, after);
        match byte {
            b'0'..=b'9' => {
                units = units * 10 + i128::from(byte - b'0');
                digits += 1;
            }
            b'.' if point.is_none() => point = Some(digits),
            b'.' => return None,
            _ => break,
        }
    }
    let mut exponent = 0;
    if matches!(last, b'e' | b'E') && !rest.is_empty() {
        let minus = rest.first() == Some(&b'-');
        if minus || rest.first() == Some(&b'+') {
            rest = rest.get(1..).filter(|rest| !rest.is_empty())?;
        }
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            if !byte.is_ascii_digit() {
                break;
            }
            if exponent < 40 {
                exponent = exponent * 10 + i32::from(byte - b'0');
            }
        }
        exponent = if minus { -exponent } else { exponent };
    }
    if !rest.iter().all(blank) {
        return None;
    }
    let shift = exponent - (digits - point.unwrap_or(digits)) + i32::from(scale);
    if digits + shift > i32::from(precision) {
        return Some(None);
    }
    let units = match power_of_ten(shift.unsigned_abs()) {
        Some(power) if shift >= 0 => units.checked_mul(power)?,
        Some(power) if shift >= -18 => divide_half_up(units, power),
        _ => return None,
    };
    Some(Some(if negative { -units } else { units }))
}

/// A BOOLEAN.
pub(in crate::functions) fn read_boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// Days since 1970 of `yyyy-M-d`, `yyyy-M` or `yyyy`; what follows a blank is ignored.
///
/// # Source  Flink, `DateTimeUtils.parseDate`
pub(in crate::functions) fn read_date(text: &str) -> Option<i64> {
    let date = match text.find(' ') {
        Some(blank) if blank > 0 => text.get(..blank)?,
        _ => text,
    };
    let digits =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u32>().ok()).flatten();
    let mut parts = date.splitn(3, '-').map(|part| digits(part.trim()).map(i64::from));
    let year = parts.next()??;
    let month = parts.next().unwrap_or(Some(1))?;
    let day = parts.next().unwrap_or(Some(1))?;
    if year > 9999 {
        return None;
    }
    Date { year, month, day }.valid().map(Date::to_days)
}

/// A number of up to `most` digits off the front.
fn number(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let digits = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(digits).filter(|_| digits >= least)?;
    Some((digits.parse().ok()?, rest))
}

/// Days since 1970 and nanoseconds of the day of `yyyy-M-d[ H:m:s[.fraction]]`: no `T`, no zone.
///
/// A day up to 31 past the end of its month is the last of it; 24:00:00 is the next day.
///
/// # Source  Flink, `DateTimeUtils.parseTimestampData` and its default formatter
pub(in crate::functions) fn read_timestamp(text: &str) -> Option<(i64, i64)> {
    read_timestamp_by(text, |date| Date { day: date.day.min(days_of_month(date.year, date.month)), ..date }.to_days())
}

/// As [`read_timestamp`], but a day past the end of its month is one of the next, as `java.sql.Timestamp` reads it.
pub(in crate::functions) fn read_sql_timestamp(text: &str) -> Option<(i64, i64)> {
    read_timestamp_by(text, Date::to_days)
}

fn read_timestamp_by(text: &str, days_of: impl Fn(Date) -> i64) -> Option<(i64, i64)> {
    let (year, rest) = number(text, 4, 4)?;
    let (month, rest) = number(rest.strip_prefix('-')?, 1, 2)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 1, 2)?;
    // the years of the formatter begin with 1
    if year == 0 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_of(Date { year, month, day });
    match rest.strip_prefix(' ') {
        Some(clock) => Some((days, read_clock(clock)?)),
        None => rest.is_empty().then_some((days, 0)),
    }
}

/// Nanoseconds of a TIME: `H:m:s[.fraction]`, `H:m` or `H`, with a distance `+H[:m]` or `-H[:m]` that is added; it may
/// lead out of the day.
///
/// # Source  Flink, `DateTimeUtils.parseTime`
pub(in crate::functions) fn read_time(text: &str) -> Option<i64> {
    const SECOND_NS: i64 = 1_000_000_000;
    let text = text.trim();
    let sign = text.find('+').or_else(|| text.find('-'));
    let (clock, distance) = match sign {
        Some(at) => (text.get(..at)?, text.get(at..)?),
        None => (text, ""),
    };
    let parsed = |part: &str| -> Option<i64> {
        let part = part.trim();
        (part.len() <= 9 && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse().ok()).flatten()
    };
    let mut parts = clock.splitn(3, ':');
    let hour = parsed(parts.next()?)?;
    let minute = parts.next().map_or(Some(0), parsed)?;
    let (second, fraction) = match parts.next().map(|last| last.split_once('.').unwrap_or((last, ""))) {
        Some((second, fraction)) => (parsed(second)?, nanoseconds(fraction)),
        None => (0, 0),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let local = (hour * 3600 + minute * 60 + second) * SECOND_NS + fraction;
    let Some(length) = distance.get(1..) else { return Some(local) };
    let (hours, minutes) = length.split_once(':').map_or((length, Some("0")), |(hours, rest)| (hours, Some(rest)));
    let seconds = parsed(hours)?.checked_mul(3600)?.checked_add(parsed(minutes?)?.checked_mul(60)?)?;
    let away = seconds.checked_mul(SECOND_NS)?;
    local.checked_add(if distance.starts_with('-') { -away } else { away })
}

/// Nanoseconds of the digits behind the point: as many as there are up to nine, the tenth rounds.
fn nanoseconds(fraction: &str) -> i64 {
    let digits = fraction.trim().bytes().take_while(u8::is_ascii_digit).map(|byte| i64::from(byte - b'0'));
    let mut unit = 100_000_000;
    let mut sum = 0;
    for (place, digit) in digits.take(10).enumerate() {
        sum += if place < 9 { digit * unit } else { i64::from(digit >= 5) };
        unit /= 10;
    }
    sum
}

/// Nanoseconds of the day of `H:m:s[.fraction]`; 24:00:00 is the end of the day.
fn read_clock(text: &str) -> Option<i64> {
    let (hour, rest) = number(text, 1, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 1, 2)?;
    let (second, rest) = number(rest.strip_prefix(':')?, 1, 2)?;
    let fraction = match rest.strip_prefix('.') {
        Some(digits) if digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{digits:0<9}").parse().ok()?
        }
        None if rest.is_empty() => 0,
        _ => return None,
    };
    let ns = (hour * 3600 + minute * 60 + second) * 1_000_000_000 + fraction;
    let fits = hour < 24 && minute < 60 && second < 60 || ns == 86_400_000_000_000 && hour == 24;
    fits.then_some(ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, value) in
            [(" 12 ", Some(12)), ("1.5", Some(1)), ("-1.9", Some(-1)), ("+7", Some(7)), (".5", Some(0))]
        {
            assert_eq!(read_integer(text), value, "{text}");
        }
        assert_eq!(read_integer("."), Some(0));
        for text in ["", "x", "1.x", "1e3", "9223372036854775808", "--1", "-", "1 2", "\t7"] {
            assert_eq!(read_integer(text), None, "{text}");
        }
        assert_eq!(read_double(" 1e3 "), Some(1000.0));
        assert_eq!(read_double("-Infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(read_double("1.5d"), Some(1.5));
        for text in ["inf", "nan", "", "1,5", "infinity"] {
            assert_eq!(read_double(text), None, "{text}");
        }
        assert_eq!((read_double("0x1p3"), read_double("-0x.8p1")), (Some(8.0), Some(-1.0)));
        for (text, units) in [
            ("1.005", Some(Some(101))),
            ("12a", Some(Some(1200))),
            ("x", Some(Some(0))),
            ("1L", Some(Some(100))),
            ("1e3", Some(Some(100_000))),
            ("999999999", Some(None)),
            ("1e-400", None),
            ("1 2", None),
            ("--1", None),
            ("", None),
        ] {
            assert_eq!(read_decimal(text, 10, 2), units, "{text}");
        }
        assert_eq!(read_decimal("１", 38, 0), Some(Some(1)));
        assert_eq!(read_boolean("YES"), Some(true));
        assert_eq!(read_boolean("2"), None);
    }

    #[test]
    fn dates_and_times() {
        let day = |year, month, day| Date { year, month, day }.to_days();
        assert_eq!(read_date("2024"), Some(day(2024, 1, 1)));
        assert_eq!(read_date("12"), Some(day(12, 1, 1)));
        assert_eq!(read_date("2024-2-9 10:00:00"), Some(day(2024, 2, 9)));
        for text in ["2023-02-29", "2024-13-01", "x", "", "2024-01-01T00:00:00", "-2024-01-01"] {
            assert_eq!(read_date(text), None, "{text}");
        }
        assert_eq!(read_timestamp("2024-2-30 1:2:3.5"), Some((day(2024, 2, 29), 3_723_500_000_000)));
        assert_eq!(read_timestamp("2024-02-09"), Some((day(2024, 2, 9), 0)));
        for text in
            ["2024-02-09T10:00:00", "2024-02-09 10:00", "2024-02-32", "24-02-09", "2024-02-09 25:00:00", " 2024-02-09"]
        {
            assert_eq!(read_timestamp(text), None, "{text}");
        }
        for (text, clock) in [
            ("1:02", Some(3_720_000_000_000)),
            ("12: 34:056.1234567891", Some(45_296_123_456_789)),
            ("12:34:56.x", Some(45_296_000_000_000)),
            ("12-1", Some(39_600_000_000_000)),
            ("00:00:00-00:01", Some(-60_000_000_000)),
            ("23:30:00+01:00", Some(88_200_000_000_000)),
            ("24:00:00", None),
            ("12:60", None),
            ("+1:00:00", None),
            ("12:34:56Z", None),
            ("12:34:56+01:30:15", None),
        ] {
            assert_eq!(read_time(text), clock, "{text}");
        }
        for text in ["+5", "+2024-01-01", "2024-+01-01"] {
            assert_eq!(read_date(text), None, "{text}");
        }
        assert_eq!(read_timestamp("0000-12-31 23:59:59"), None);
    }
}
