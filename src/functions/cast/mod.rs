//! CAST and TRY_CAST with Flink's rules: `flink_cast(value, typed_null)` takes the type of its second argument.
//!
//! Number to number never fails ([`number`]); text that does not fit stops the job under CAST and is NULL under
//! TRY_CAST; time stamps lose digits by cutting, and go between zones on the session's clock.

pub(in crate::functions) mod length;
pub(in crate::functions) mod nested;
pub(in crate::functions) mod number;
pub(in crate::functions) mod parse;
pub(in crate::functions) mod text;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, Time32MillisecondArray, Time32SecondArray, Time64MicrosecondArray, Time64NanosecondArray,
    new_null_array,
};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::Result;

use super::scalar::Takes::{Any, Integer};
use super::scalar::{At, Call, Entry, Types};
use super::time::calendar::DAY_MS;
use super::time::value::{dates, from_local, moment_at, timestamps};
use crate::error::Error;

pub(in crate::functions) use nested::convert;

const fn entry(
    name: &'static str,
    usage: &'static str,
    kernel: fn(&Call<'_>) -> Result<ArrayRef>,
    doc: &'static str,
) -> Entry {
    let returns = |types: &Types<'_>| types.get(1);
    Entry { name, usage, takes: &[Any, Any], returns, kernel, doc, ..Entry::BASE }
}

/// The functions of this file. They have no Flink name: the planner writes them for CAST.
pub(super) const ENTRIES: &[Entry] = &[
    entry(
        "flink_cast",
        "CAST(value AS type)",
        |call| cast(call, false),
        "The value in the type of the second argument.",
    ),
    entry("flink_try_cast", "TRY_CAST(value AS type)", |call| cast(call, true), "As CAST, NULL where that fails."),
    Entry {
        optional: &[Integer],
        ..entry(
            "flink_cast_digits",
            "CAST(value AS STRING)",
            |call| to_text(call.any(0)?, call),
            "The text of a time with so many digits of its fraction.",
        )
    },
    Entry {
        takes: &[Any, Integer],
        optional: &[Any],
        returns: |types| types.get(0),
        ..entry(
            "flink_digits",
            "CAST(value AS TIMESTAMP(p))",
            cut_digits,
            "A time with so many digits of its fraction; the others are cut.",
        )
    },
    Entry {
        takes: &[Any],
        optional: &[Any],
        returns: |types| matches!(types.get(1), None | Some(DataType::Boolean)).then_some(DataType::Utf8),
        ..entry(
            "typeof",
            "TYPEOF(value [, serializable])",
            |_| Err(Error::internal("TYPEOF was not planned").into()),
            "The type's name.",
        )
    },
    Entry {
        takes: &[Any],
        returns: |_| Some(DataType::Utf8),
        ..entry(
            "flink_cast_string",
            "CAST(value AS STRING)",
            |call| to_text(call.any(0)?, call),
            "The text of a value.",
        )
    },
];

fn to_text(column: &ArrayRef, call: &Call<'_>) -> Result<ArrayRef> {
    if *column.data_type() == DataType::Utf8 {
        return Ok(Arc::clone(column));
    }
    if call.count() > 2 {
        let digits = call.integers(2)?;
        return call.build_text(|row| {
            let digits = digits.at(row).and_then(|digits| usize::try_from(digits).ok()).unwrap_or(0);
            text::text_with_digits(column, row, call.zone, digits.min(9))
        });
    }
    call.build_text(|row| text::text_at(column, row, call.zone))
}

/// A time stamp is cut towards 1970 in its milliseconds, as Flink's division does; one that was read from text loses
/// the digits of the text: a third argument says so.
fn cut_digits(call: &Call<'_>) -> Result<ArrayRef> {
    let (column, digits) = (call.any(0)?, call.integers(1)?);
    let cut = |row: usize| -> Result<Option<(i64, i64)>> {
        let Some((moment, digits)) = moment_at(column, row, call.zone)?.zip(digits.at(row)) else { return Ok(None) };
        let unit = |kept: i64| 10_i64.pow(u32::try_from(kept.clamp(0, 9)).unwrap_or(0));
        if digits >= 3 {
            let unit = unit(9 - digits);
            return Ok(Some((moment.ms, moment.nanos / unit * unit)));
        }
        let unit = unit(3 - digits);
        let whole = if call.count() > 2 { moment.ms.div_euclid(unit) } else { moment.ms / unit };
        Ok(Some((whole * unit, 0)))
    };
    match column.data_type() {
        DataType::Timestamp(_, _) => timestamps(call.return_type, call.rows, cut),
        DataType::Time32(_) | DataType::Time64(_) => {
            times(call.return_type, call.rows, |row| Ok(cut(row)?.map(|(ms, nanos)| ms * 1_000_000 + nanos)))
        }
        _ => Ok(Arc::clone(column)),
    }
}

fn cast(call: &Call<'_>, lenient: bool) -> Result<ArrayRef> {
    let (column, to) = (call.any(0)?, call.return_type);
    let from = column.data_type();
    if from == to {
        return Ok(Arc::clone(column));
    }
    if *from == DataType::Null {
        return Ok(new_null_array(to, call.rows));
    }
    if *to == DataType::Utf8 {
        return to_text(column, call);
    }
    if from.is_string() {
        return from_text(call, lenient);
    }
    if let Some(nested) = nested::nested(column, to, call.zone, lenient) {
        return nested;
    }
    if matches!(to, DataType::Decimal128(..)) {
        number::check_finite(column)?;
    }
    if let Some(numbers) = number::cast(column, to) {
        return Ok(numbers);
    }
    match (from, to) {
        (DataType::Date32 | DataType::Timestamp(_, _), DataType::Timestamp(_, zone)) => {
            let instant = matches!(from, DataType::Timestamp(_, Some(_)));
            if instant == zone.is_some() {
                return timestamps(
                    to,
                    call.rows,
                    |row| Ok(moment_at(column, row, call.zone)?.map(|m| (m.ms, m.nanos))),
                );
            }
            from_local(to, call.rows, call.zone, |row| Ok(moment_at(column, row, call.zone)?.map(|m| m.local())))
        }
        (DataType::Time32(_) | DataType::Time64(_), DataType::Timestamp(_, None)) => {
            from_local(to, call.rows, call.zone, |row| Ok(moment_at(column, row, call.zone)?.map(|m| m.local())))
        }
        (DataType::Timestamp(_, Some(_)), DataType::Date32) => {
            dates(call.rows, |row| Ok(moment_at(column, row, call.zone)?.map(|m| m.local_ms.div_euclid(DAY_MS))))
        }
        (DataType::Timestamp(_, _), DataType::Date32) => {
            // Flink cuts towards 1970: before it, all but midnight is the next day
            dates(call.rows, |row| Ok(moment_at(column, row, call.zone)?.map(|m| m.local_ms / DAY_MS)))
        }
        (DataType::Timestamp(_, _), DataType::Time32(_) | DataType::Time64(_)) => times(to, call.rows, |row| {
            // Flink cuts towards 1970 before it wraps into the day
            Ok(moment_at(column, row, call.zone)?.map(|m| (m.local_ms % DAY_MS) * 1_000_000))
        }),
        (DataType::Time32(_) | DataType::Time64(_), DataType::Time32(_) | DataType::Time64(_)) => {
            times(to, call.rows, |row| Ok(moment_at(column, row, call.zone)?.map(|m| m.ms * 1_000_000 + m.nanos)))
        }
        _ => Err(no_cast(from, to).into()),
    }
}

fn no_cast(from: &DataType, to: &DataType) -> Error {
    let error = Error::sql(format!("a value of type \"{}\" cannot be cast to \"{}\"", name(from), name(to)));
    match (from, to) {
        (DataType::Timestamp(..) | DataType::Date32, to) if to.is_numeric() => {
            error.hint("for seconds since 1970 write UNIX_TIMESTAMP(CAST(… AS STRING))")
        }
        (from, DataType::Timestamp(..)) if from.is_numeric() => {
            error.hint("for a number since 1970 write TO_TIMESTAMP_LTZ(number, 0), in seconds, or with 3 in ms")
        }
        _ => error,
    }
}

/// A column of TIMEs from nanoseconds, which may be negative.
fn times(to: &DataType, rows: usize, mut value: impl FnMut(usize) -> Result<Option<i64>>) -> Result<ArrayRef> {
    let unit_ns = match to {
        DataType::Time32(TimeUnit::Second) => 1_000_000_000,
        DataType::Time32(_) => 1_000_000,
        DataType::Time64(TimeUnit::Microsecond) => 1000,
        _ => 1,
    };
    let in_day = |ns: i64| (ns / unit_ns).rem_euclid(DAY_MS * 1_000_000 / unit_ns);
    let values = (0..rows).map(|row| Ok(value(row)?.map(in_day))).collect::<Result<Vec<Option<i64>>>>()?;
    let small = || values.iter().map(|value| value.and_then(|value| i32::try_from(value).ok()));
    Ok(match to {
        DataType::Time32(TimeUnit::Second) => Arc::new(small().collect::<Time32SecondArray>()),
        DataType::Time32(_) => Arc::new(small().collect::<Time32MillisecondArray>()),
        DataType::Time64(TimeUnit::Microsecond) => Arc::new(values.into_iter().collect::<Time64MicrosecondArray>()),
        _ => Arc::new(values.into_iter().collect::<Time64NanosecondArray>()),
    })
}

/// Flink's name of a type.
fn name(data_type: &DataType) -> String {
    match data_type {
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INT".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::Float32 => "FLOAT".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Date32 => "DATE".into(),
        DataType::Utf8 => "STRING".into(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Time32(_) | DataType::Time64(_) => "TIME".into(),
        DataType::Timestamp(unit, zone) => {
            let digits = match unit {
                TimeUnit::Second => 0,
                TimeUnit::Millisecond => 3,
                TimeUnit::Microsecond => 6,
                TimeUnit::Nanosecond => 9,
            };
            format!("TIMESTAMP{}({digits})", if zone.is_some() { "_LTZ" } else { "" })
        }
        other => other.to_string(),
    }
}

/// One value per text that is not NULL; a text that `read` does not take fails, or is NULL under TRY_CAST.
fn read_each<T>(
    texts: &ArrayRef,
    to: &DataType,
    lenient: bool,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<Option<T>>> {
    let texts = texts.as_string::<i32>();
    let one = |text: Option<&str>| {
        let Some(text) = text else { return Ok(None) };
        let value = read(text);
        if value.is_none() && !lenient {
            return Err(Error::data(format!("\"{text}\" cannot be cast to {}", name(to)))
                .hint("TRY_CAST gives NULL instead")
                .into());
        }
        Ok(value)
    };
    texts.iter().map(one).collect()
}

fn from_text(call: &Call<'_>, lenient: bool) -> Result<ArrayRef> {
    let (texts, to) = (&arrow::compute::cast(call.any(0)?, &DataType::Utf8)?, call.return_type);
    macro_rules! column {
        ($array:ty, $read:expr) => {
            Arc::new(read_each(texts, to, lenient, $read)?.into_iter().collect::<$array>())
        };
    }
    Ok(match to {
        DataType::Int8 => column!(Int8Array, |text| parse::read_integer(text)?.try_into().ok()),
        DataType::Int16 => column!(Int16Array, |text| parse::read_integer(text)?.try_into().ok()),
        DataType::Int32 => column!(Int32Array, |text| parse::read_integer(text)?.try_into().ok()),
        DataType::Int64 => column!(Int64Array, parse::read_integer),
        DataType::Float32 => column!(Float32Array, parse::read_float),
        DataType::Float64 => column!(Float64Array, parse::read_double),
        DataType::Boolean => column!(BooleanArray, parse::read_boolean),
        DataType::Decimal128(precision, scale) => {
            let read = |text: &str| parse::read_decimal(text, *precision, *scale);
            // one that does not fit fails as one that is none
            let units: Decimal128Array =
                read_each(texts, to, lenient, |text| read(text).flatten())?.into_iter().collect();
            Arc::new(units.with_data_type(to.clone()))
        }
        DataType::Date32 => {
            let days = read_each(texts, to, lenient, |text| parse::read_date(text.trim()))?;
            return dates(call.rows, |row| Ok(days.get(row).copied().flatten()));
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            let clocks = read_each(texts, to, lenient, parse::read_time)?;
            return times(to, call.rows, |row| Ok(clocks.get(row).copied().flatten()));
        }
        DataType::Timestamp(_, _) => {
            let locals = read_each(texts, to, lenient, parse::read_timestamp)?;
            return from_local(to, call.rows, call.zone, |row| Ok(locals.get(row).copied().flatten()));
        }
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Binary => arrow::compute::cast(texts, to)?,
        other => return Err(Error::sql(format!("STRING cannot be cast to \"{}\"", name(other))).into()),
    })
}
