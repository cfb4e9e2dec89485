//! Values as Flink's CAST to STRING writes them: `1.0E10`, `TRUE`, `2024-02-29 23:59:59.999`, `[1, NULL]`, `{k=1}`.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit,
};
use datafusion::error::Result;

use super::number::{Number, number_at, power_of_ten};
use crate::error::Error;
use crate::functions::time::calendar::{DAY_MS, Date};
use crate::functions::time::value::moment_at;
use crate::time::zone::Zone;

/// The text of a value; `None` for NULL.
///
/// # Errors
/// `Sql` for a type without a text.
pub(in crate::functions) fn text_at(array: &ArrayRef, row: usize, zone: &Zone) -> Result<Option<String>> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return Ok(None);
    }
    let nested = |array: &ArrayRef, row: usize| -> Result<String> {
        Ok(text_at(array, row, zone)?.unwrap_or_else(|| "NULL".to_owned()))
    };
    Ok(Some(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).to_owned(),
        DataType::Utf8View => array.as_string_view().value(row).to_owned(),
        DataType::Boolean => (if array.as_boolean().value(row) { "TRUE" } else { "FALSE" }).to_owned(),
        DataType::Float32 => float_text(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => double_text(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, scale) => decimal_text(array.as_primitive::<Decimal128Type>().value(row), *scale),
        DataType::Date32 => date_text(Date::from_days(i64::from(array.as_primitive::<Date32Type>().value(row)))),
        DataType::Time32(_) | DataType::Time64(_) => time_text(array, row),
        DataType::Timestamp(unit, _) => {
            let moment = moment_at(array, row, zone)?;
            let (days, day_ns) = moment.map(|moment| moment.local()).unwrap_or_default();
            format!("{} {}", date_text(Date::from_days(days)), clock_text(day_ns, digits(*unit)))
        }
        DataType::List(_) => {
            let values = array.as_list::<i32>().value(row);
            let parts = (0..values.len()).map(|i| nested(&values, i)).collect::<Result<Vec<_>>>()?;
            format!("[{}]", parts.join(", "))
        }
        DataType::Map(_, _) => {
            let entries = array.as_map().value(row);
            let part = |i: usize| -> Result<String> {
                Ok(format!("{}={}", nested(entries.column(0), i)?, nested(entries.column(1), i)?))
            };
            format!("{{{}}}", (0..entries.len()).map(part).collect::<Result<Vec<_>>>()?.join(", "))
        }
        DataType::Struct(_) => {
            let columns = array.as_struct().columns();
            let parts = columns.iter().map(|column| nested(column, row)).collect::<Result<Vec<_>>>()?;
            format!("({})", parts.join(", "))
        }
        other => match number_at(array, row) {
            Some(Number::Integer(value)) => value.to_string(),
            _ => return Err(Error::sql(format!("a value of type \"{other}\" cannot be cast to STRING yet")).into()),
        },
    }))
}

/// Digits of the fraction that a unit has.
fn digits(unit: TimeUnit) -> usize {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

/// `yyyy-MM-dd`.
pub(in crate::functions) fn date_text(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)
}

/// `HH:mm:ss` with so many digits of the fraction.
fn clock_text(day_ns: i64, digits: usize) -> String {
    let seconds = day_ns / 1_000_000_000;
    let whole = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = format!("{:09}", day_ns % 1_000_000_000);
    match fraction.get(..digits) {
        Some(kept) if digits > 0 => format!("{whole}.{kept}"),
        _ => whole,
    }
}

fn time_text(array: &ArrayRef, row: usize) -> String {
    let (day_ns, digits) = match array.data_type() {
        DataType::Time32(TimeUnit::Second) => {
            (i64::from(array.as_primitive::<Time32SecondType>().value(row)).saturating_mul(1_000_000_000), 0)
        }
        DataType::Time32(_) => {
            (i64::from(array.as_primitive::<Time32MillisecondType>().value(row)).saturating_mul(1_000_000), 3)
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            (array.as_primitive::<Time64MicrosecondType>().value(row).saturating_mul(1000), 6)
        }
        _ => (array.as_primitive::<Time64NanosecondType>().value(row), 9),
    };
    clock_text(day_ns.clamp(0, DAY_MS * 1_000_000 - 1), digits)
}

/// The exact text of a DECIMAL, with all digits of its scale.
pub(in crate::functions) fn decimal_text(units: i128, scale: i8) -> String {
    let Ok(places) = usize::try_from(scale) else {
        let zeros = power_of_ten(scale.unsigned_abs().into()).and_then(|unit| units.checked_mul(unit));
        return zeros.map_or_else(|| format!("{units}E{}", -i32::from(scale)), |units| units.to_string());
    };
    let sign = if units < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", units.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at_checked(digits.len() - places).unwrap_or((&digits, ""));
    if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// A DOUBLE as Java 17 writes it.
pub(in crate::functions) fn double_text(value: f64) -> String {
    match special(value) {
        Some(text) => text.to_owned(),
        None => java_text(value < 0.0, exact_integer(value.abs(), 53), &format!("{:e}", value.abs()), || {
            format!("{:.1e}", value.abs())
        }),
    }
}

/// A FLOAT as Java 17 writes it.
pub(in crate::functions) fn float_text(value: f32) -> String {
    match special(f64::from(value)) {
        Some(text) => text.to_owned(),
        None => {
            java_text(value < 0.0, exact_integer(f64::from(value.abs()), 24), &format!("{:e}", value.abs()), || {
                format!("{:.1e}", value.abs())
            })
        }
    }
}

fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value.is_infinite() {
        Some(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else if value == 0.0 {
        Some(if value.is_sign_negative() { "-0.0" } else { "0.0" })
    } else {
        None
    }
}

/// The digits Java 17 writes for a whole number below 2^63 with more bits than the type keeps: those of the exact
/// value, less the ones that certainly mean nothing, and not the shortest that read back.
///
/// # Source  OpenJDK 17, `FloatingDecimal.dtoa`, whose shortcut for whole numbers this is
fn exact_integer(value: f64, bits: u32) -> Option<String> {
    if value.fract() != 0.0 || !(1.0..9_223_372_036_854_775_808.0).contains(&value) {
        return None;
    }
    let whole = value as u64;
    let exponent = whole.ilog2();
    let doubtful = exponent.saturating_sub(bits).saturating_sub(1);
    // decimal digits below a power of two: its exponent times log10(2)
    let dropped = if doubtful > 1 { doubtful * 30_103 / 100_000 } else { 0 };
    let unit = 10_u64.checked_pow(dropped)?;
    let (kept, rest) = (whole / unit, whole % unit);
    let rounded = kept + u64::from(unit > 1 && rest >= unit / 2);
    Some(format!("{rounded}{}", "0".repeat(dropped as usize)))
}

/// `d.ddd` between 10^-3 and 10^7, else `d.dddE±n`.
fn java_text(negative: bool, exact: Option<String>, shortest: &str, two_digits: impl Fn() -> String) -> String {
    let split = |text: &str| {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        (mantissa.replace('.', ""), exponent.parse::<i32>().unwrap_or(0))
    };
    let (mut digits, mut exponent) = split(shortest);
    if let Some(exact) = exact {
        exponent = i32::try_from(exact.len()).unwrap_or(0) - 1;
        digits = exact.trim_end_matches('0').to_owned();
    } else if digits.len() == 1 {
        // Java writes two digits at least and then the nearer ones: 4.9E-324
        (digits, exponent) = split(&two_digits());
        if digits.ends_with('0') {
            digits.pop();
        }
    }
    let sign = if negative { "-" } else { "" };
    let at = |place: i32| {
        let (whole, fraction) = digits.split_at_checked(usize::try_from(place).unwrap_or(0)).unwrap_or((&digits, ""));
        (whole.to_owned(), if fraction.is_empty() { "0".to_owned() } else { fraction.to_owned() })
    };
    match exponent {
        0..7 => {
            let width = usize::try_from(exponent).unwrap_or(0) + 1;
            let zeros = "0".repeat(width.saturating_sub(digits.len()));
            let (whole, fraction) = at(i32::try_from(width.min(digits.len())).unwrap_or(0));
            format!("{sign}{whole}{zeros}.{fraction}")
        }
        -3..0 => format!("{sign}0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1)),
        _ => {
            let (whole, fraction) = at(1);
            format!("{sign}{whole}.{fraction}E{exponent}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_as_java_writes_them() {
        for (value, text) in [
            (1e10, "1.0E10"),
            (-1e-5, "-1.0E-5"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (0.001, "0.001"),
            (0.00099, "9.9E-4"),
            (100.0, "100.0"),
            (-0.5, "-0.5"),
            (1234.5678, "1234.5678"),
            (123_456_789.125, "1.23456789125E8"),
            (5e-324, "4.9E-324"),
            (f64::MAX, "1.7976931348623157E308"),
            (1e21, "1.0E21"),
            (-0.0, "-0.0"),
            (3.3333333333333335, "3.3333333333333335"),
            (4_611_686_018_427_387_904.0, "4.6116860184273879E18"),
            (9_223_372_036_854_775_808.0, "9.223372036854776E18"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double_text(value), text);
        }
    }

    #[test]
    fn floats_as_java_writes_them() {
        for (value, text) in [
            (123_456_789_f32, "1.23456792E8"),
            (1e10, "1.0E10"),
            (1e21, "1.0E21"),
            (0.1, "0.1"),
            (-0.33333334, "-0.33333334"),
            (1234.5678, "1234.5677"),
            (16_777_216.0, "1.6777216E7"),
            (1.0, "1.0"),
        ] {
            assert_eq!(float_text(value), text);
        }
    }

    #[test]
    fn decimals_keep_their_scale() {
        assert_eq!(decimal_text(-2000, 3), "-2.000");
        assert_eq!(decimal_text(5, 3), "0.005");
        assert_eq!(decimal_text(7, 0), "7");
        assert_eq!(decimal_text(i128::MIN, 38), "-1.70141183460469231731687303715884105728");
        assert_eq!(decimal_text(7, -2), "700");
    }
}
