//! Times plus and minus: TIMESTAMPADD, TIMESTAMPDIFF, OVERLAPS, CONVERT_TZ, and what the planner writes for `+` and `-`
//! with intervals.

use std::sync::Arc;

use arrow::array::{ArrayRef, IntervalMonthDayNanoArray, Time32MillisecondArray};
use arrow::datatypes::{DataType, Int32Type, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use datafusion::error::Result;

use super::calendar::{DAY_MS, plus_months};
use super::pattern::{Pattern, Reading, to_ms};
use super::unit::Unit;
use super::value::{dates, interval_at, moment_at, timestamps};
use super::{SECONDS, unit_at};
use crate::error::Error;
use crate::functions::scalar::Takes::{Any, Integer, Moment as AMoment, Text};
use crate::functions::scalar::{At, Call, Entry, Types, boolean, entry};
use crate::time::zone::{Twice, Zone};

/// The functions of this file.
pub(in crate::functions) const ENTRIES: &[Entry] = &[
    Entry {
        takes: &[Text, AMoment, AMoment],
        returns: |types| is_difference(&types.get(1)?, &types.get(2)?).then_some(DataType::Int32),
        ..entry(
            "timestampdiff",
            "TIMESTAMPDIFF(unit, from, to)",
            difference,
            "Whole units between two times, truncated; parts of a second by the second.",
        )
    },
    Entry {
        takes: &[Text, Integer, AMoment],
        returns: sum_type,
        ..entry(
            "timestampadd",
            "TIMESTAMPADD(unit, count, time)",
            add_units,
            "A time so many units later; months keep the day or the last one.",
        )
    },
    Entry {
        takes: &[AMoment, Any],
        returns: time_type,
        ..entry("time_add", "time + INTERVAL '…' unit", |call| shift(call, 1), "A time later by an interval.")
    },
    Entry {
        takes: &[AMoment, Any],
        returns: time_type,
        ..entry("time_subtract", "time - INTERVAL '…' unit", |call| shift(call, -1), "A time earlier by an interval.")
    },
    Entry {
        takes: &[Any, Integer],
        returns: |types| types.get(0).filter(|t| matches!(t, DataType::Interval(_))).map(|_| INTERVAL),
        ..entry("interval_times", "number * INTERVAL '…' unit", times, "An interval so many times.")
    },
    Entry {
        takes: &[Any, Any],
        returns: intervals_type,
        ..entry("interval_add", "INTERVAL '…' unit + INTERVAL '…' unit", |call| sum(call, 1), "Two intervals together.")
    },
    Entry {
        takes: &[Any, Any],
        returns: intervals_type,
        ..entry(
            "interval_subtract",
            "INTERVAL '…' unit - INTERVAL '…' unit",
            |call| sum(call, -1),
            "What an interval is longer than another.",
        )
    },
    Entry {
        takes: &[Text, AMoment, AMoment],
        returns: |_| Some(INTERVAL),
        ..entry(
            "time_difference",
            "(time - time) unit",
            minus,
            "The interval between two times; whole months for YEAR, QUARTER and MONTH.",
        )
    },
    Entry {
        takes: &[Any, Any, Any, Any],
        returns: of_one_kind,
        ..entry(
            "overlaps",
            "(start, end) OVERLAPS (start, end)",
            overlaps,
            "Whether two spans of time have a moment in common; an end may be written as an interval.",
        )
    },
    Entry {
        takes: &[Text, Text, Text],
        ..entry(
            "convert_tz",
            "CONVERT_TZ(text, from_zone, to_zone)",
            convert_tz,
            "The text \"yyyy-MM-dd HH:mm:ss\" of a local time in another zone; NULL if it is none.",
        )
    },
];

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// Whether Flink counts between two types: TIMESTAMP_LTZ goes with nothing else, TIME with no day.
fn is_difference(from: &DataType, to: &DataType) -> bool {
    is_zoned(from) == is_zoned(to) && is_clock(from) == is_clock(to)
}

/// BOOLEAN of times that are all dates, all times of the day, or all time stamps of one sort.
fn of_one_kind(types: &Types<'_>) -> Option<DataType> {
    let kind = |t: &DataType| (is_zoned(t), is_clock(t), *t == DataType::Date32);
    // an interval stands for the end that it leads to
    let length = |t: &&DataType| t.is_null() || matches!(t, DataType::Interval(_));
    let mut kinds = types.types.iter().filter(|t| !length(t)).map(kind);
    let first = kinds.next();
    kinds.all(|kind| Some(kind) == first).then_some(DataType::Boolean)
}

fn is_zoned(t: &DataType) -> bool {
    matches!(t, DataType::Timestamp(_, Some(_)))
}

fn is_clock(t: &DataType) -> bool {
    matches!(t, DataType::Time32(_) | DataType::Time64(_))
}

/// The low bits of a difference, as Java narrows a long.
fn difference(call: &Call<'_>) -> Result<ArrayRef> {
    let (units, from, to) = (call.text(0)?, call.any(1)?, call.any(2)?);
    call.build::<Int32Type>(|row| {
        let ends = moment_at(from, row, call.zone)?.zip(moment_at(to, row, call.zone)?);
        let Some(((from, to), unit)) = ends.zip(unit_at(units, row)?) else { return Ok(None) };
        Ok(Some(unit.between(from.ms, to.ms)? as i32))
    })
}

/// Hours of a DATE make it a time stamp.
fn sum_type(types: &Types<'_>) -> Option<DataType> {
    let of_the_clock = types.text(0).and_then(|unit| Unit::parse(unit).ok()).is_some_and(Unit::is_of_the_clock);
    match types.get(2)? {
        DataType::Date32 if of_the_clock => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
        other => Some(other),
    }
}

fn time_type(types: &Types<'_>) -> Option<DataType> {
    types.get(0).filter(|_| matches!(types.get(1), Some(DataType::Interval(_) | DataType::Null)))
}

/// A column of the type to return from ms since 1970 and the nanoseconds after.
fn build(call: &Call<'_>, sum: impl FnMut(usize) -> Result<Option<(i64, i64)>>) -> Result<ArrayRef> {
    let mut sum = sum;
    match call.return_type {
        DataType::Date32 => dates(call.rows, |row| Ok(sum(row)?.map(|(ms, _)| ms.div_euclid(DAY_MS)))),
        DataType::Timestamp(_, _) => timestamps(call.return_type, call.rows, sum),
        DataType::Time32(TimeUnit::Millisecond) => {
            // a clock has no days
            let in_day = |(ms, _): (i64, i64)| i32::try_from(ms.rem_euclid(DAY_MS)).ok();
            let times = (0..call.rows).map(|row| Ok(sum(row)?.and_then(in_day))).collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(times.into_iter().collect::<Time32MillisecondArray>()))
        }
        other => Err(Error::sql(format!("an interval cannot be added to \"{other}\"")).into()),
    }
}

fn add_units(call: &Call<'_>) -> Result<ArrayRef> {
    let (units, counts, column) = (call.text(0)?, call.integers(1)?, call.any(2)?);
    build(call, |row| {
        let moment = moment_at(column, row, call.zone)?;
        let Some((moment, (unit, count))) = moment.zip(unit_at(units, row)?.zip(counts.at(row))) else {
            return Ok(None);
        };
        // months of a TIMESTAMP_LTZ are added in UTC, as Flink does
        Ok(Some((unit.add(moment.ms, count)?, moment.nanos)))
    })
}

fn shift(call: &Call<'_>, sign: i64) -> Result<ArrayRef> {
    let (column, intervals) = (call.any(0)?, call.any(1)?);
    let date = *column.data_type() == DataType::Date32;
    build(call, |row| {
        let Some((moment, (months, ms))) = moment_at(column, row, call.zone)?.zip(interval_at(intervals, row)) else {
            return Ok(None);
        };
        // a DATE moves by whole days, the rest of an interval is nothing to it
        let ms = if date { ms / DAY_MS * DAY_MS } else { ms };
        let moved = plus_months(moment.ms, i64::from(months) * sign);
        Ok(Some((moved.saturating_add(ms.saturating_mul(sign)), moment.nanos)))
    })
}

fn minus(call: &Call<'_>) -> Result<ArrayRef> {
    let (units, to, from) = (call.text(0)?, call.any(1)?, call.any(2)?);
    let mut intervals = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let ends = moment_at(from, row, call.zone)?.zip(moment_at(to, row, call.zone)?);
        let Some(((from, to), unit)) = ends.zip(unit_at(units, row)?) else {
            intervals.push(None);
            continue;
        };
        intervals.push(match unit {
            Unit::Year | Unit::Quarter | Unit::Month => {
                i32::try_from(Unit::Month.between(from.ms, to.ms)?).ok().and_then(|months| interval(months, 0))
            }
            _ => interval(0, to.ms.saturating_sub(from.ms)),
        });
    }
    Ok(Arc::new(intervals.into_iter().collect::<IntervalMonthDayNanoArray>()))
}

/// Nanoseconds of more than 292 years have no room: days are 24 hours here.
fn interval(months: i32, ms: i64) -> Option<IntervalMonthDayNano> {
    let days = i32::try_from(ms / DAY_MS).ok()?;
    Some(IntervalMonthDayNano::new(months, days, ms % DAY_MS * 1_000_000))
}

fn intervals_type(types: &Types<'_>) -> Option<DataType> {
    let fits = |t: &DataType| matches!(t, DataType::Interval(_) | DataType::Null);
    types.types.iter().all(fits).then_some(INTERVAL)
}

/// Arrow would add days and nanoseconds for themselves, and 24 hours would not be a day.
fn sum(call: &Call<'_>, sign: i64) -> Result<ArrayRef> {
    let (left, right) = (call.any(0)?, call.any(1)?);
    let sum = |row: usize| {
        let ((months, ms), (more, more_ms)) = interval_at(left, row).zip(interval_at(right, row))?;
        let months = i64::from(months).checked_add(i64::from(more).checked_mul(sign)?)?;
        interval(i32::try_from(months).ok()?, ms.checked_add(more_ms.checked_mul(sign)?)?)
    };
    Ok(Arc::new((0..call.rows).map(sum).collect::<IntervalMonthDayNanoArray>()))
}

fn times(call: &Call<'_>) -> Result<ArrayRef> {
    let (intervals, counts) = (call.any(0)?, call.integers(1)?);
    let product = |row: usize| {
        let ((months, ms), count) = interval_at(intervals, row).zip(counts.at(row))?;
        let months = i64::from(months).checked_mul(count).and_then(|months| i32::try_from(months).ok())?;
        interval(months, ms.checked_mul(count)?)
    };
    Ok(Arc::new((0..call.rows).map(product).collect::<IntervalMonthDayNanoArray>()))
}

/// # Source  Calcite, `StandardConvertletTable.convertOverlaps`: a span written backwards is turned, with SQL's NULLs
fn overlaps(call: &Call<'_>) -> Result<ArrayRef> {
    let columns = (0..4).map(|index| call.any(index)).collect::<Result<Vec<_>>>()?;
    boolean(call, |row| {
        let mut moments = [None; 4];
        for (moment, column) in moments.iter_mut().zip(&columns) {
            *moment = moment_at(column, row, call.zone)?.map(|moment| (moment.ms, moment.nanos));
        }
        let [a, b, c, d] = moments;
        let turned = |start: Option<(i64, i64)>, end: Option<(i64, i64)>| match (start, end) {
            (Some(from), Some(to)) if from <= to => (start, end),
            _ => (end, start),
        };
        let ((start_1, end_1), (start_2, end_2)) = (turned(a, b), turned(c, d));
        let first = end_1.zip(start_2).map(|(end, start)| end >= start);
        let second = end_2.zip(start_1).map(|(end, start)| end >= start);
        Ok(match (first, second) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        })
    })
}

/// The short names Java knows for zones.
const SHORT: &[(&str, &str)] = &[
    ("ACT", "Australia/Darwin"),
    ("AET", "Australia/Sydney"),
    ("AGT", "America/Argentina/Buenos_Aires"),
    ("ART", "Africa/Cairo"),
    ("AST", "America/Anchorage"),
    ("BET", "America/Sao_Paulo"),
    ("BST", "Asia/Dhaka"),
    ("CAT", "Africa/Harare"),
    ("CNT", "America/St_Johns"),
    ("CST", "America/Chicago"),
    ("CTT", "Asia/Shanghai"),
    ("EAT", "Africa/Addis_Ababa"),
    ("ECT", "Europe/Paris"),
    ("EST", "-05:00"),
    ("HST", "-10:00"),
    ("IET", "America/Indiana/Indianapolis"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MIT", "Pacific/Apia"),
    ("MST", "-07:00"),
    ("NET", "Asia/Yerevan"),
    ("NST", "Pacific/Auckland"),
    ("PLT", "Asia/Karachi"),
    ("PNT", "America/Phoenix"),
    ("PRT", "America/Puerto_Rico"),
    ("PST", "America/Los_Angeles"),
    ("SST", "Pacific/Guadalcanal"),
    ("VST", "Asia/Ho_Chi_Minh"),
];

/// A zone as `TimeZone.getTimeZone` finds it: what it does not know is GMT.
fn java_zone(name: &str) -> Zone {
    if let Some((_, zone)) = SHORT.iter().find(|(short, _)| *short == name) {
        return Zone::parse(zone).unwrap_or(Zone::UTC);
    }
    let custom = name.starts_with(['+', '-']) || name.starts_with("UTC+") || name.starts_with("UTC-");
    if custom { Zone::UTC } else { Zone::parse(name).unwrap_or(Zone::UTC) }
}

/// 1900-01-01, before which Java's old classes know no rules of zones.
const RULES_FROM_MS: i64 = -2_208_988_800_000;

/// The time in winter, as it is today.
fn standard_offset_ms(zone: &Zone) -> i64 {
    let (january, july) = (1_705_276_800_000, 1_721_001_600_000);
    zone.offset_ms(january).min(zone.offset_ms(july))
}

/// What the local clock shows, as Java's old classes have it.
pub(super) fn old_local(zone: &Zone, instant_ms: i64) -> i64 {
    if instant_ms >= RULES_FROM_MS {
        return zone.to_local(instant_ms);
    }
    instant_ms.saturating_add(standard_offset_ms(zone))
}

/// The instant of a local time, as Java's old classes have it: the second of two.
pub(super) fn old_instant(zone: &Zone, local_ms: i64) -> i64 {
    let early = local_ms.saturating_sub(standard_offset_ms(zone));
    if early < RULES_FROM_MS { early } else { zone.to_instant(local_ms, Twice::Later) }
}

fn convert_tz(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, froms, tos) = (call.text(0)?, call.text(1)?, call.text(2)?);
    let pattern = Pattern::parse(SECONDS)?;
    let mut last: Option<(&str, &str, Zone, Zone)> = None;
    call.build_text(|row| {
        let Some((text, (from, to))) = texts.at(row).zip(froms.at(row).zip(tos.at(row))) else { return Ok(None) };
        let known = last.filter(|(known_from, known_to, ..)| *known_from == from && *known_to == to);
        let (_, _, from, to) = *last.insert(known.unwrap_or_else(|| (from, to, java_zone(from), java_zone(to))));
        let Some(local) = pattern.read(text, Reading::Loose) else { return Ok(None) };
        let there = old_local(&to, old_instant(&from, to_ms(local)));
        let (days, day_ms) = (there.div_euclid(DAY_MS), there.rem_euclid(DAY_MS));
        Ok(Some(pattern.format_of_1582(days, day_ms * 1_000_000)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_as_java_finds_them() {
        assert_eq!(java_zone("PST"), Zone::parse("America/Los_Angeles").unwrap());
        assert_eq!(java_zone("GMT+05:30").offset_ms(0), 19_800_000);
        assert_eq!(java_zone("+05:30"), Zone::UTC);
        assert_eq!(java_zone("Nope/Zone"), Zone::UTC);
    }
}
