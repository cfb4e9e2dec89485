//! Functions of time. TIMESTAMP_LTZ is read on the session's clock; patterns are Java's.

mod arithmetic;
pub(in crate::functions) mod calendar;
pub(in crate::functions) mod pattern;
pub(in crate::functions) mod unit;
pub(in crate::functions) mod value;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Time32MillisecondArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::error::Result;

use self::arithmetic::{old_instant, old_local};
use self::calendar::{DAY_MS, Date};
use self::pattern::{Pattern, Reading, to_ms};
use self::unit::Unit;
use self::value::{dates, from_local, interval_at, moment_at, timestamps};
use super::cast::number::{Number, is_number, number_at};
use super::cast::parse::{read_date, read_sql_timestamp, read_timestamp};
use super::scalar::Takes::{Any, Integer, Moment as AMoment, Text};
use super::scalar::{At, Call, Entry, Types};
use crate::error::Error;
use crate::time::zone::{Twice, Zone};

const fn entry(
    name: &'static str,
    usage: &'static str,
    kernel: fn(&Call<'_>) -> Result<ArrayRef>,
    doc: &'static str,
) -> Entry {
    Entry { name, usage, takes: &[AMoment], returns: |_| Some(DataType::Int64), kernel, doc, ..Entry::BASE }
}

macro_rules! part {
    ($name:literal, $usage:literal, $unit:expr, $doc:literal) => {
        Entry {
            returns: |types| $unit.is_part_of(&types.get(0)?).then_some(DataType::Int64),
            ..entry($name, $usage, |call| part_of(call, 0, |_| Ok(Some($unit))), $doc)
        }
    };
}

/// The functions that add and subtract.
pub(super) use self::arithmetic::ENTRIES as ARITHMETIC;

/// The functions of this file.
pub(super) const ENTRIES: &[Entry] = &[
    part!("year", "YEAR(time)", Unit::Year, "The year."),
    part!("quarter", "QUARTER(time)", Unit::Quarter, "The quarter, 1 to 4."),
    part!("month", "MONTH(time)", Unit::Month, "The month, 1 to 12."),
    part!("week", "WEEK(time)", Unit::Week, "The ISO week."),
    part!("dayofyear", "DAYOFYEAR(time)", Unit::DayOfYear, "The day of the year, from 1."),
    part!("dayofmonth", "DAYOFMONTH(time)", Unit::Day, "The day of the month."),
    part!("dayofweek", "DAYOFWEEK(time)", Unit::DayOfWeek, "The weekday, Sunday 1."),
    part!("hour", "HOUR(time)", Unit::Hour, "The hour."),
    part!("minute", "MINUTE(time)", Unit::Minute, "The minute."),
    part!("second", "SECOND(time)", Unit::Second, "The second."),
    Entry {
        takes: &[Text, Any],
        returns: |types| {
            let time = types.get(1).filter(|time| time.is_temporal() || *time == DataType::Null)?;
            let known = types.text(0).and_then(|unit| Unit::parse(unit).ok());
            known.is_none_or(|unit| unit.is_part_of(&time)).then_some(DataType::Int64)
        },
        ..entry("date_part", "EXTRACT(unit FROM time)", extract, "A part of a time or of an interval, as BIGINT.")
    },
    Entry {
        takes: &[Any, Any],
        returns: snapped_type,
        ..entry("floor_to", "FLOOR(time TO unit)", floor_to, "The begin of the unit; weeks begin on Sunday.")
    },
    Entry {
        takes: &[Any, Any],
        returns: snapped_type,
        ..entry("ceil_to", "CEIL(time TO unit)", ceil_to, "The next begin of the unit, or the time if it is one.")
    },
    Entry {
        takes: &[Any, Text],
        returns: |types| match types.get(0)? {
            DataType::Timestamp(_, _) | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
                Some(DataType::Utf8)
            }
            _ => None,
        },
        ..entry("date_format", "DATE_FORMAT(time, pattern)", date_format, "The text of a time by a Java pattern.")
    },
    Entry {
        takes: &[Text],
        optional: &[Text],
        returns: |_| Some(DataType::Timestamp(TimeUnit::Millisecond, None)),
        ..entry(
            "to_timestamp",
            "TO_TIMESTAMP(text [, pattern])",
            to_timestamp,
            "TIMESTAMP(3) of a text; NULL if it does not fit.",
        )
    },
    Entry {
        takes: &[Text],
        optional: &[Text],
        returns: |_| Some(DataType::Date32),
        ..entry(
            "to_date",
            "TO_DATE(text [, pattern])",
            to_date,
            "DATE of a text. What does not fit is NULL, with a pattern the year 1705471.",
        )
    },
    Entry {
        takes: &[Any],
        optional: &[Any, Text],
        returns: ltz,
        ..entry(
            "to_timestamp_ltz",
            "TO_TIMESTAMP_LTZ(number [, precision]) or TO_TIMESTAMP_LTZ(text [, pattern [, zone]])",
            to_timestamp_ltz,
            "TIMESTAMP_LTZ of a number of seconds (0), milliseconds (3), micro- (6) or nanoseconds (9) since 1970, or of \
             a text, read in UTC if no zone is named.",
        )
    },
    Entry {
        takes: &[Text],
        optional: &[Text],
        ..entry(
            "unix_timestamp",
            "UNIX_TIMESTAMP(text [, pattern])",
            unix_timestamp,
            "Seconds since 1970 of a local time; −9223372036854775808 if it does not fit.",
        )
    },
    Entry {
        takes: &[Integer],
        optional: &[Text],
        returns: |_| Some(DataType::Utf8),
        ..entry(
            "from_unixtime",
            "FROM_UNIXTIME(seconds [, pattern])",
            from_unixtime,
            "The local time of seconds since 1970 as text.",
        )
    },
];

/// What TIMESTAMP_LTZ is in this session, with the precision of a constant second argument.
fn ltz(types: &Types<'_>) -> Option<DataType> {
    let number = is_number(&types.get(0)?) && types.get(0)? != DataType::Boolean;
    let text = types.get(0)?.is_string() && types.get(1).is_none_or(|pattern| pattern.is_string());
    let unit = match types.integer(1).filter(|_| number) {
        Some(4..=6) => TimeUnit::Microsecond,
        Some(7..) => TimeUnit::Nanosecond,
        _ => TimeUnit::Millisecond,
    };
    let digits = types.written(1).is_none_or(|digits| digits == DataType::Int32 || digits.is_null());
    let known = number && digits && types.types.len() < 3 || text || types.get(0)? == DataType::Null;
    known.then(|| DataType::Timestamp(unit, Some(types.zone.name().into())))
}

/// One part per row of the column at `index`.
fn part_of(call: &Call<'_>, index: usize, unit: impl Fn(usize) -> Result<Option<Unit>>) -> Result<ArrayRef> {
    let column = call.any(index)?;
    let dates = *column.data_type() == DataType::Date32;
    call.build::<Int64Type>(|row| {
        let Some((moment, unit)) = moment_at(column, row, call.zone)?.zip(unit(row)?) else { return Ok(None) };
        unit.part(moment, dates).map(Some).map_err(Into::into)
    })
}

/// The unit named at a row of a text column.
/// Whether there is a unit of time of that name.
pub(super) fn check_unit(name: &str) -> crate::error::Result<()> {
    Unit::parse(name).map(drop)
}

fn unit_at(texts: &arrow::array::StringArray, row: usize) -> Result<Option<Unit>> {
    Ok(texts.at(row).map(Unit::parse).transpose()?)
}

fn extract(call: &Call<'_>) -> Result<ArrayRef> {
    let (units, column) = (call.text(0)?, call.any(1)?);
    if !matches!(column.data_type(), DataType::Interval(_)) {
        let time = matches!(column.data_type(), DataType::Time32(_) | DataType::Time64(_));
        return part_of(call, 1, |row| match unit_at(units, row)? {
            Some(unit) if time => Ok(Some(unit.of_a_time()?)),
            unit => Ok(unit),
        });
    }
    call.build::<Int64Type>(|row| {
        let Some(((months, ms), unit)) = interval_at(column, row).zip(unit_at(units, row)?) else { return Ok(None) };
        Ok(Some(unit.part_of_interval(months, ms)?))
    })
}

/// The time of FLOOR and CEIL, whichever side the unit stands on.
fn snapped_type(types: &Types<'_>) -> Option<DataType> {
    let time = |t: &DataType| matches!(t, DataType::Date32 | DataType::Timestamp(_, _) | DataType::Time32(_));
    let (left, right) = (types.get(0)?, types.get(1)?);
    match (time(&left), time(&right)) {
        (true, false) if right.is_string() => Some(left),
        (false, true) if left.is_string() => Some(right),
        _ => None,
    }
}

fn snap(call: &Call<'_>, up: bool) -> Result<ArrayRef> {
    let unit_first = call.any(0)?.data_type().is_string();
    let (units, column) = if unit_first { (call.any(0)?, call.any(1)?) } else { (call.any(1)?, call.any(0)?) };
    let units = arrow::compute::cast(units, &DataType::Utf8)?;
    let units = units.as_string::<i32>();
    let snapped = |row: usize| -> Result<Option<(i64, i64)>> {
        let Some((moment, unit)) = moment_at(column, row, call.zone)?.zip(unit_at(units, row)?) else {
            return Ok(None);
        };
        // the row's own distance from UTC, even where the unit begins before a change of the clock: so does Flink
        let offset = moment.local_ms.saturating_sub(moment.ms);
        Ok(Some((unit.snap(moment.local_ms, up)?.saturating_sub(offset), 0)))
    };
    match column.data_type() {
        DataType::Date32 => dates(call.rows, |row| Ok(snapped(row)?.map(|(ms, _)| ms.div_euclid(DAY_MS)))),
        DataType::Time32(_) => {
            // the end of the last hour is the end of the day
            let times = (0..call.rows).map(|row| Ok(snapped(row)?.and_then(|(ms, _)| i32::try_from(ms).ok())));
            let times = times.collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(times.into_iter().collect::<Time32MillisecondArray>()))
        }
        _ => timestamps(call.return_type, call.rows, snapped),
    }
}

fn floor_to(call: &Call<'_>) -> Result<ArrayRef> {
    snap(call, false)
}

fn ceil_to(call: &Call<'_>) -> Result<ArrayRef> {
    snap(call, true)
}

/// Compiled patterns of a column, which is nearly always one and the same.
#[derive(Default)]
struct Patterns {
    last: Option<(String, Pattern)>,
}

impl Patterns {
    fn get(&mut self, text: &str) -> Result<&Pattern> {
        if self.last.as_ref().is_none_or(|(known, _)| known != text) {
            self.last = Some((text.to_owned(), Pattern::parse(text)?));
        }
        match &self.last {
            Some((_, pattern)) => Ok(pattern),
            None => Err(Error::internal("a date pattern was lost").into()),
        }
    }
}

const SECONDS: &str = "yyyy-MM-dd HH:mm:ss";

fn date_format(call: &Call<'_>) -> Result<ArrayRef> {
    let (column, formats) = (call.any(0)?, call.text(1)?);
    let texts =
        if column.data_type().is_temporal() { None } else { Some(arrow::compute::cast(column, &DataType::Utf8)?) };
    let seconds = Pattern::parse(SECONDS)?;
    let mut patterns = Patterns::default();
    call.build_text(|row| {
        let local = match &texts {
            Some(texts) => texts.as_string::<i32>().at(row).and_then(|text| seconds.read(text, Reading::Loose)),
            None => moment_at(column, row, call.zone)?.map(value::Moment::local),
        };
        let Some(((days, day_ns), format)) = local.zip(formats.at(row)) else { return Ok(None) };
        let pattern = patterns.get(format)?;
        Ok(Some(match texts {
            Some(_) => pattern.format_of_1582(days, day_ns),
            None => pattern.format(Date::from_days(days), day_ns),
        }))
    })
}

/// What a text says by the pattern beside it; without one by `default`.
fn read<'a>(
    call: &'a Call<'_>,
    reading: Reading,
    default: impl Fn(&str) -> Option<(i64, i64)> + 'a,
) -> Result<impl FnMut(usize) -> Result<Option<(i64, i64)>> + 'a> {
    let (texts, formats) = (call.text(0)?, call.optional_text(1)?);
    let mut patterns = Patterns::default();
    Ok(move |row: usize| {
        let Some(text) = texts.at(row) else { return Ok(None) };
        match formats.map(|formats| formats.at(row)) {
            None => Ok(default(text)),
            Some(None) => Ok(None),
            // what does not fit a strict pattern may still be a plain time stamp
            Some(Some(format)) if reading == Reading::Strict => {
                Ok(patterns.get(format)?.read(text, reading).or_else(|| read_sql_timestamp(text)))
            }
            Some(Some(format)) => Ok(patterns.get(format)?.read(text, reading)),
        }
    })
}

fn to_timestamp(call: &Call<'_>) -> Result<ArrayRef> {
    from_local(call.return_type, call.rows, call.zone, read(call, Reading::Strict, read_timestamp)?)
}

fn to_date(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, formats) = (call.text(0)?, call.optional_text(1)?);
    let mut read = read(call, Reading::Loose, |text| read_date(text).map(|days| (days, 0)))?;
    dates(call.rows, |row| {
        let known = texts.is_valid(row) && formats.is_some_and(|formats| formats.is_valid(row));
        // a text that does not fit its pattern is the least time there is, in days, as an INT: so it is in Flink
        let unfit = known.then_some(i64::from((i64::MIN / DAY_MS) as i32));
        Ok(read(row)?.map(|(days, _)| days).or(unfit))
    })
}

fn to_timestamp_ltz(call: &Call<'_>) -> Result<ArrayRef> {
    if call.any(0)?.data_type().is_string() {
        return ltz_of_text(call);
    }
    let numbers = call.any(0)?;
    let precisions = if call.count() > 1 { Some(arrow::compute::cast(call.any(1)?, &DataType::Int64)?) } else { None };
    let precisions = precisions.as_ref().map(|precisions| precisions.as_primitive::<Int64Type>());
    timestamps(call.return_type, call.rows, |row| {
        let precision = precisions.map_or(Some(3), |precisions| precisions.at(row));
        let Some((number, precision)) = number_at(numbers, row).zip(precision) else { return Ok(None) };
        let Some(power) = u32::try_from(precision).ok().filter(|power| *power <= 9) else {
            return Err(Error::sql(format!("TO_TIMESTAMP_LTZ takes a precision of 0 to 9, not {precision}")).into());
        };
        let (unit, more) = (10_i64.pow(power), 10_i64.pow(9 - power));
        let (seconds, rest) = match number {
            Number::Integer(value) => (value.div_euclid(unit), value.rem_euclid(unit) * more),
            other => {
                let ms = (other.to_f64() * 1000.0 / unit as f64) as i64;
                (ms.div_euclid(1000), ms.rem_euclid(1000) * 1_000_000)
            }
        };
        let ms = seconds.checked_mul(1000).map(|ms| ms.saturating_add(rest / 1_000_000));
        // years 0 to 9999, as Flink has them
        let known = |ms: &i64| (calendar::DAYS_MIN..=calendar::DAYS_MAX).contains(&ms.div_euclid(DAY_MS));
        Ok(ms.filter(known).map(|ms| (ms, rest % 1_000_000)))
    })
}

/// A text by a pattern, in a zone of its own or in UTC.
fn ltz_of_text(call: &Call<'_>) -> Result<ArrayRef> {
    let mut local = read(call, Reading::Strict, read_timestamp)?;
    let zones = call.optional_text(2)?;
    timestamps(call.return_type, call.rows, |row| {
        let zone = match zones.map(|zones| zones.at(row)) {
            None => Zone::UTC,
            Some(None) => return Ok(None),
            Some(Some(name)) => Zone::parse(name)?,
        };
        let instant = |local: (i64, i64)| (zone.to_instant(to_ms(local), Twice::Earlier), local.1 % 1_000_000);
        Ok(local(row)?.map(instant))
    })
}

fn unix_timestamp(call: &Call<'_>) -> Result<ArrayRef> {
    let default = Pattern::parse(SECONDS)?;
    let texts = call.text(0)?;
    let formats = call.optional_text(1)?;
    let mut read = read(call, Reading::Loose, |text| default.read(text, Reading::Loose))?;
    call.build::<Int64Type>(|row| {
        if texts.is_null(row) || formats.is_some_and(|formats| formats.is_null(row)) {
            return Ok(None);
        }
        let seconds = |local| old_instant(call.zone, to_ms(local)) / 1000;
        Ok(Some(read(row)?.map_or(i64::MIN, seconds)))
    })
}

fn from_unixtime(call: &Call<'_>) -> Result<ArrayRef> {
    let (seconds, formats) = (call.integers(0)?, call.optional_text(1)?);
    let mut patterns = Patterns::default();
    call.build_text(|row| {
        let format = formats.map_or(Some(SECONDS), |formats| formats.at(row));
        let Some((seconds, format)) = seconds.at(row).zip(format) else { return Ok(None) };
        let local_ms = old_local(call.zone, seconds.wrapping_mul(1000));
        let (days, day_ms) = (local_ms.div_euclid(DAY_MS), local_ms.rem_euclid(DAY_MS));
        Ok(Some(patterns.get(format)?.format_of_1582(days, day_ms * 1_000_000)))
    })
}
