//! `INTERVAL` literals as Flink writes them, read exactly: months, or milliseconds.
//!
//! DataFusion knows one field and no compound forms, and counts a day as a day of the calendar, where
//! Flink counts 24 hours; so a literal is read here and handed on in one plain form
//! (`INTERVAL '1 days 3600000 milliseconds'`, `INTERVAL '3 months'`), which this module reads as well. Days of 24 hours
//! and what is left of them are the one form of an interval: equal lengths are equal values, and 292 years of
//! nanoseconds are no limit.

use datafusion::sql::sqlparser::ast::{Expr, Interval, UnaryOperator, Value};

use crate::error::{Error, Result};

/// Length of an interval literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// `YEAR`, `QUARTER`, `MONTH` and `YEAR TO MONTH`.
    Months(i64),
    /// All others.
    Millis(i64),
}

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

impl Length {
    /// The form DataFusion reads.
    pub(crate) fn plain(self) -> String {
        match self {
            Self::Months(n) => format!("{n} months"),
            Self::Millis(n) => format!("{} days {} milliseconds", n / DAY, n % DAY),
        }
    }

    /// The same backwards.
    pub(crate) fn negated(self) -> Self {
        match self {
            Self::Months(n) => Self::Months(-n),
            Self::Millis(n) => Self::Millis(-n),
        }
    }

    /// Whether months or days can be counted in 32 bits, as intervals of Arrow are.
    fn has_room(self) -> bool {
        match self {
            Self::Months(n) => i32::try_from(n).is_ok(),
            Self::Millis(n) => i32::try_from(n / DAY).is_ok(),
        }
    }
}

/// Reads a literal.
///
/// # Errors
/// `Sql` if it is no interval of Flink's.
pub(crate) fn parse(interval: &Interval) -> Result<Length> {
    let wrong = || {
        Error::sql(format!("\"{interval}\" is not an interval"))
            .hint("write INTERVAL '30' SECOND, INTERVAL '1' MINUTE, INTERVAL '1 06:30:00' DAY TO SECOND")
    };
    let text = literal(&interval.value).ok_or_else(wrong)?;
    let unit = |field: &dyn std::fmt::Display| field.to_string().to_ascii_uppercase().trim_end_matches('S').to_owned();
    if interval.leading_field.is_none() {
        return plain(text.trim()).ok_or_else(wrong);
    }
    let (negative, text) = match text.trim().strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.trim().trim_start_matches('+')),
    };
    let length = match (&interval.leading_field, &interval.last_field) {
        (Some(first), Some(last)) => compound(text, &unit(first), &unit(last)),
        (Some(first), None) => single(text, &unit(first)),
        (None, _) => None,
    };
    let length = length.ok_or_else(wrong)?;
    if !length.has_room() {
        return Err(Error::sql(format!("\"{interval}\" is longer than any two times are apart"))
            .hint("times are those of the years 0001 to 9999"));
    }
    Ok(if negative { length.negated() } else { length })
}

fn literal(value: &Expr) -> Option<String> {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::Number(text, _) => Some(text.clone()),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => literal(expr).map(|text| format!("-{text}")),
        _ => None,
    }
}

/// `'1 days 3600000 milliseconds'`, `'3 months'`.
fn plain(text: &str) -> Option<Length> {
    let parts: Vec<&str> = text.split(' ').collect();
    match parts[..] {
        [months, "months"] => months.parse().ok().map(Length::Months),
        [days, "days", millis, "milliseconds"] => {
            let days = days.parse::<i64>().ok()?.checked_mul(DAY)?;
            days.checked_add(millis.parse().ok()?).map(Length::Millis)
        }
        _ => None,
    }
}

fn single(text: &str, unit: &str) -> Option<Length> {
    if unit == "SECOND" {
        return seconds(text).map(Length::Millis);
    }
    let number: i64 = digits(text)?;
    let months = |n: i64| number.checked_mul(n).map(Length::Months);
    let millis = |n: i64| number.checked_mul(n).map(Length::Millis);
    match unit {
        "YEAR" => months(12),
        "QUARTER" => months(3),
        "MONTH" => months(1),
        "WEEK" => millis(7 * DAY),
        "DAY" => millis(DAY),
        "HOUR" => millis(HOUR),
        "MINUTE" => millis(MINUTE),
        "MILLISECOND" => millis(1),
        _ => None,
    }
}

/// `'1-6' YEAR TO MONTH`, `'1 06:30:00.5' DAY TO SECOND` and the forms between.
fn compound(text: &str, first: &str, last: &str) -> Option<Length> {
    if (first, last) == ("YEAR", "MONTH") {
        let (years, months) = text.split_once('-')?;
        let months = digits(months).filter(|m| *m < 12)?;
        return digits(years)?.checked_mul(12)?.checked_add(months).map(Length::Months);
    }
    const UNITS: [(&str, i64); 4] = [("DAY", DAY), ("HOUR", HOUR), ("MINUTE", MINUTE), ("SECOND", SECOND)];
    let place = |name: &str| UNITS.iter().position(|(unit, _)| *unit == name);
    let (from, to) = (place(first)?, place(last)?);
    let parts: Vec<&str> = text.split([' ', ':']).collect();
    if from >= to || parts.len() != to - from + 1 {
        return None;
    }
    let mut total = 0i64;
    for (i, part) in parts.into_iter().enumerate() {
        let (unit, millis) = UNITS[from + i];
        let value = if unit == "SECOND" { seconds(part)? } else { digits(part)?.checked_mul(millis)? };
        // all but the first field must stay below the next larger unit
        if i > 0 && value >= UNITS[from + i - 1].1 {
            return None;
        }
        total = total.checked_add(value)?;
    }
    Some(Length::Millis(total))
}

/// Seconds with a fraction, in ms; finer digits are cut, as Flink cuts them.
fn seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let millis = format!("{fraction:0<3}").get(..3)?.parse::<i64>().ok()?;
    digits(whole)?.checked_mul(SECOND)?.checked_add(millis)
}

fn digits(text: &str) -> Option<i64> {
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn length(text: &str) -> Option<Length> {
        let expr = Parser::new(&GenericDialect {}).try_with_sql(text).unwrap().parse_expr().unwrap();
        match expr {
            Expr::Interval(interval) => parse(&interval).ok(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_form_of_flink() {
        for (text, expected) in [
            ("INTERVAL '1' MINUTE", Length::Millis(60_000)),
            ("INTERVAL '30' SECONDS", Length::Millis(30_000)),
            ("INTERVAL '0.001' SECOND", Length::Millis(1)),
            ("INTERVAL '1.5' SECOND(2)", Length::Millis(1_500)),
            ("INTERVAL -'5' MINUTE", Length::Millis(-300_000)),
            ("INTERVAL '-5' MINUTE", Length::Millis(-300_000)),
            ("INTERVAL '2' WEEK", Length::Millis(14 * DAY)),
            ("INTERVAL '1 06:30:15.250' DAY TO SECOND", Length::Millis(DAY + 6 * HOUR + 30 * MINUTE + 15_250)),
            ("INTERVAL '1:30' HOUR TO MINUTE", Length::Millis(90 * MINUTE)),
            ("INTERVAL '1 days 90000 milliseconds'", Length::Millis(DAY + 90_000)),
            ("INTERVAL '200000' DAY(6)", Length::Millis(200_000 * DAY)),
            ("INTERVAL '1-6' YEAR TO MONTH", Length::Months(18)),
            ("INTERVAL '2' YEAR", Length::Months(24)),
        ] {
            assert_eq!(length(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn the_plain_form_is_read_as_what_it_stands_for() {
        for n in [0, 1, -1, DAY, -DAY - 1, 5 * DAY + 7, 200_000 * DAY] {
            let Length::Millis(read) = plain(&Length::Millis(n).plain()).unwrap() else { panic!("{n}") };
            assert_eq!(read, n);
        }
        assert_eq!(plain(&Length::Months(-14).plain()), Some(Length::Months(-14)));
    }

    #[test]
    fn what_is_no_interval() {
        for text in [
            "INTERVAL 'x' MINUTE",
            "INTERVAL '1' CENTURY",
            "INTERVAL '1:99' HOUR TO MINUTE",
            "INTERVAL '1-12' YEAR TO MONTH",
            "INTERVAL '1:2:3' HOUR TO MINUTE",
            "INTERVAL '99999999999999999999' DAY",
            "INTERVAL '1 day'",
            "INTERVAL '3000000000' DAY",
            "INTERVAL '200000000' YEAR",
        ] {
            assert_eq!(length(text), None, "{text}");
        }
    }
}
