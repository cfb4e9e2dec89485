//! Text to values as Flink's CAST reads it: blanks around are ignored, `'1.5'` is INT 1, `'2024'` a DATE, `'yes'` TRUE.

use super::number::parse_decimal;
use crate::functions::time::calendar::{Date, days_of_month};

/// An integer of `1`, `-2` or `1.5`, whose fraction is cut; `None` if it is none or i64 has no room.
pub(in crate::functions) fn read_integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match whole {
        "" | "-" | "+" if !fraction.is_empty() => Some(0),
        _ => whole.parse().ok(),
    }
}

/// A DOUBLE's text that Rust reads as Java does; `None` if Java would not.
///
/// # Source  `java.lang.Double.valueOf`, less its hexadecimal form
fn java_double(text: &str) -> Option<&str> {
    let text = text.trim();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, "NaN" | "Infinity") {
        return Some(text);
    }
    let text = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')).then_some(text)
}

/// A DOUBLE.
pub(in crate::functions) fn read_double(text: &str) -> Option<f64> {
    java_double(text)?.parse().ok()
}

/// A FLOAT, rounded once.
pub(in crate::functions) fn read_float(text: &str) -> Option<f32> {
    java_double(text)?.parse().ok()
}

/// A DECIMAL; `Some(None)` if it does not fit.
pub(in crate::functions) fn read_decimal(text: &str, precision: u8, scale: i8) -> Option<Option<i128>> {
    parse_decimal(text.trim(), precision, scale)
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
    let mut parts = date.splitn(3, '-').map(|part| part.trim().parse::<u32>().ok().map(i64::from));
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
/// A day up to 31 past the end of its month is the last of it.
///
/// # Source  Flink, `DateTimeUtils.parseTimestampData` and its default formatter
pub(in crate::functions) fn read_timestamp(text: &str) -> Option<(i64, i64)> {
    let (year, rest) = number(text, 4, 4)?;
    let (month, rest) = number(rest.strip_prefix('-')?, 1, 2)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 1, 2)?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = Date { year, month, day: day.min(days_of_month(year, month)) }.to_days();
    match rest.strip_prefix(' ') {
        Some(clock) => Some((days, read_clock(clock, true)?)),
        None => rest.is_empty().then_some((days, 0)),
    }
}

/// Nanoseconds of the day of a TIME: `H:m:s[.fraction]`, `H:m` or `H`.
pub(in crate::functions) fn read_time(text: &str) -> Option<i64> {
    read_clock(text.trim(), false)
}

fn read_clock(text: &str, whole: bool) -> Option<i64> {
    let (hour, rest) = number(text, 1, 2)?;
    let part = |rest: &mut &str| -> Option<i64> {
        match rest.strip_prefix(':') {
            Some(after) => {
                let (value, after) = number(after, 1, 2)?;
                *rest = after;
                Some(value)
            }
            None => (!whole && rest.is_empty()).then_some(0),
        }
    };
    let mut rest = rest;
    let (minute, second) = (part(&mut rest)?, part(&mut rest)?);
    let fraction = match rest.strip_prefix('.') {
        Some(digits) if digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{digits:0<9}").parse().ok()?
        }
        None if rest.is_empty() => 0,
        _ => return None,
    };
    let fits = hour < 24 && minute < 60 && second < 60;
    fits.then_some((hour * 3600 + minute * 60 + second) * 1_000_000_000 + fraction)
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
        for text in ["", "x", "1.x", "1e3", "9223372036854775808", "--1", "-", ".", "1 2"] {
            assert_eq!(read_integer(text), None, "{text}");
        }
        assert_eq!(read_double(" 1e3 "), Some(1000.0));
        assert_eq!(read_double("-Infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(read_double("1.5d"), Some(1.5));
        for text in ["inf", "nan", "", "1,5", "infinity"] {
            assert_eq!(read_double(text), None, "{text}");
        }
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
        assert_eq!(read_time("1:02"), Some(3_720_000_000_000));
    }
}
