//! `INTERVAL` literals as Flink writes them, read exactly: months, or milliseconds.
//!
//! DataFusion knows one field and no compound forms, and counts a day as a day of the calendar, where
//! Flink counts 24 hours; so a literal is read here and handed on in one plain form
//! (`INTERVAL '90000 milliseconds'`, `INTERVAL '3 months'`), which this module reads as well.

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
            Self::Millis(n) => format!("{n} milliseconds"),
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
    let (negative, text) = match text.trim().strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.trim().trim_start_matches('+')),
    };
    let length = match (&interval.leading_field, &interval.last_field) {
        (Some(first), Some(last)) => compound(text, &unit(first), &unit(last)),
        (Some(first), None) => single(text, &unit(first)),
        (None, _) => plain(text),
    };
    let length = length.ok_or_else(wrong)?;
    Ok(match (negative, length) {
        (false, length) => length,
        (true, Length::Months(n)) => Length::Months(-n),
        (true, Length::Millis(n)) => Length::Millis(-n),
    })
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

/// `'90000 milliseconds'`, `'3 months'`.
fn plain(text: &str) -> Option<Length> {
    let (number, unit) = text.split_once(' ')?;
    let number = number.parse().ok()?;
    match unit {
        "months" => Some(Length::Months(number)),
        "milliseconds" => Some(Length::Millis(number)),
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
            ("INTERVAL '90000 milliseconds'", Length::Millis(90_000)),
            ("INTERVAL '1-6' YEAR TO MONTH", Length::Months(18)),
            ("INTERVAL '2' YEAR", Length::Months(24)),
        ] {
            assert_eq!(length(text), Some(expected), "{text}");
        }
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
        ] {
            assert_eq!(length(text), None, "{text}");
        }
    }
}
