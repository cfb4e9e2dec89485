//! Values as Flink's CAST to STRING writes them: `1.0E10`, `TRUE`, `2024-02-29 23:59:59.999`, `[1, NULL]`, `{k=1}`.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit,
};
use datafusion::error::Result;

use super::number::{Number, number_at, power_of_ten};
use crate::error::Error;
use crate::functions::collection::lists::bounds;
use crate::functions::time::calendar::{DAY_MS, Date};
use crate::functions::time::value::{interval_at, moment_at};
use crate::table::float;
use crate::table::map::keys;
use crate::time::zone::Zone;

/// The text of a TIME or time stamp with so many digits of its fraction; that of another value as it is.
///
/// # Errors
/// As [`text_at`].
pub(in crate::functions) fn text_with_digits(
    array: &ArrayRef,
    row: usize,
    zone: &Zone,
    digits: usize,
) -> Result<Option<String>> {
    match array.data_type() {
        _ if array.is_null(row) => Ok(None),
        DataType::Time32(_) | DataType::Time64(_) => Ok(Some(time_text(array, row, Some(digits)))),
        DataType::Timestamp(_, _) => {
            let moment = moment_at(array, row, zone)?;
            let (days, day_ns) = moment.map(|moment| moment.local()).unwrap_or_default();
            Ok(Some(format!("{} {}", date_text(Date::from_days(days)), clock_text(day_ns, digits))))
        }
        _ => text_at(array, row, zone),
    }
}

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
        DataType::Binary => String::from_utf8_lossy(array.as_binary::<i32>().value(row)).into_owned(),
        DataType::Interval(_) => {
            let (months, ms) = interval_at(array, row).unwrap_or_default();
            interval_text(months, ms)
        }
        DataType::Date32 => date_text(Date::from_days(i64::from(array.as_primitive::<Date32Type>().value(row)))),
        DataType::Time32(_) | DataType::Time64(_) => time_text(array, row, None),
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
            let map = array.as_map();
            let part =
                |i: usize| -> Result<String> { Ok(format!("{}={}", nested(keys(map), i)?, nested(map.values(), i)?)) };
            format!("{{{}}}", bounds(map.offsets(), row).map(part).collect::<Result<Vec<_>>>()?.join(", "))
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

/// Behind the point one digit stays, and no zeros after it; TIME(0), which TIME means, has no point. Without a known
/// precision there is one if there is a fraction.
fn time_text(array: &ArrayRef, row: usize, digits: Option<usize>) -> String {
    let day_ns = match array.data_type() {
        DataType::Time32(TimeUnit::Second) => {
            i64::from(array.as_primitive::<Time32SecondType>().value(row)).saturating_mul(1_000_000_000)
        }
        DataType::Time32(_) => {
            i64::from(array.as_primitive::<Time32MillisecondType>().value(row)).saturating_mul(1_000_000)
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            array.as_primitive::<Time64MicrosecondType>().value(row).saturating_mul(1000)
        }
        _ => array.as_primitive::<Time64NanosecondType>().value(row),
    };
    let whole = day_ns % 1_000_000_000 == 0;
    let digits = digits.unwrap_or(if whole { 0 } else { 9 });
    let text = clock_text(day_ns.clamp(0, DAY_MS * 1_000_000 - 1), digits);
    match text.split_once('.') {
        Some((clock, fraction)) => {
            let kept = fraction.trim_end_matches('0');
            format!("{clock}.{}", if kept.is_empty() { "0" } else { kept })
        }
        None => text,
    }
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

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::with_capacity(24);
    write(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// A DOUBLE as Java 17 writes it.
pub(in crate::functions) fn double_text(value: f64) -> String {
    written(|out| float::write_double(value, out))
}

/// A FLOAT as Java 17 writes it.
fn float_text(value: f32) -> String {
    written(|out| float::write_float(value, out))
}

/// `+1 02:03:04.500`, or `+1-02` for years and months.
fn interval_text(months: i32, ms: i64) -> String {
    if months != 0 {
        let size = months.unsigned_abs();
        return format!("{}{}-{:02}", if months < 0 { '-' } else { '+' }, size / 12, size % 12);
    }
    let size = ms.unsigned_abs();
    let (seconds, rest) = (size / 1000, size % 1000);
    let (days, clock) = (seconds / 86_400, seconds % 86_400);
    let sign = if ms < 0 { '-' } else { '+' };
    format!("{sign}{days} {:02}:{:02}:{:02}.{rest:03}", clock / 3600, clock / 60 % 60, clock % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_scale() {
        assert_eq!(decimal_text(-2000, 3), "-2.000");
        assert_eq!(decimal_text(5, 3), "0.005");
        assert_eq!(decimal_text(7, 0), "7");
        assert_eq!(decimal_text(i128::MIN, 38), "-1.70141183460469231731687303715884105728");
        assert_eq!(decimal_text(7, -2), "700");
    }
}
