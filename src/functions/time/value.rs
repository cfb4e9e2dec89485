//! DATE, TIME and time stamps of any unit as one thing: an instant or wall clock in ms, with what the local clock
//! shows. Values go back into columns here, too.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit,
    IntervalYearMonthType, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use datafusion::error::Result;

use super::calendar::DAY_MS;
use crate::error::Error;
use crate::time::zone::{Twice, Zone};

/// A point in time of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::functions) struct Moment {
    /// Milliseconds since 1970: of UTC for TIMESTAMP_LTZ, of the wall clock otherwise.
    pub(in crate::functions) ms: i64,
    /// The same on the session's clock.
    pub(in crate::functions) local_ms: i64,
    /// Nanoseconds after the millisecond.
    pub(in crate::functions) nanos: i64,
}

impl Moment {
    /// Local days since 1970 and nanoseconds of the day.
    pub(in crate::functions) fn local(self) -> (i64, i64) {
        (self.local_ms.div_euclid(DAY_MS), self.local_ms.rem_euclid(DAY_MS) * 1_000_000 + self.nanos)
    }
}

/// The moment at a row.
///
/// # Errors
/// `Internal` if the column is no DATE, TIME or time stamp.
pub(in crate::functions) fn moment_at(array: &ArrayRef, row: usize, zone: &Zone) -> Result<Option<Moment>> {
    if array.is_null(row) {
        return Ok(None);
    }
    let (ms, nanos) = match array.data_type() {
        DataType::Date32 => (i64::from(array.as_primitive::<Date32Type>().value(row)) * DAY_MS, 0),
        DataType::Time32(TimeUnit::Second) => {
            (i64::from(array.as_primitive::<Time32SecondType>().value(row)).saturating_mul(1000), 0)
        }
        DataType::Time32(_) => (i64::from(array.as_primitive::<Time32MillisecondType>().value(row)), 0),
        DataType::Time64(TimeUnit::Microsecond) => micros(array.as_primitive::<Time64MicrosecondType>().value(row)),
        DataType::Time64(_) => nanos(array.as_primitive::<Time64NanosecondType>().value(row)),
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => (array.as_primitive::<TimestampSecondType>().value(row).saturating_mul(1000), 0),
            TimeUnit::Millisecond => (array.as_primitive::<TimestampMillisecondType>().value(row), 0),
            TimeUnit::Microsecond => micros(array.as_primitive::<TimestampMicrosecondType>().value(row)),
            TimeUnit::Nanosecond => nanos(array.as_primitive::<TimestampNanosecondType>().value(row)),
        },
        other => return Err(Error::internal(format!("\"{other}\" is no type of time")).into()),
    };
    let instant = matches!(array.data_type(), DataType::Timestamp(_, Some(_)));
    Ok(Some(Moment { ms, local_ms: if instant { zone.to_local(ms) } else { ms }, nanos }))
}

fn micros(value: i64) -> (i64, i64) {
    (value.div_euclid(1000), value.rem_euclid(1000) * 1000)
}

fn nanos(value: i64) -> (i64, i64) {
    (value.div_euclid(1_000_000), value.rem_euclid(1_000_000))
}

/// Months and milliseconds of the interval at a row; `None` for NULL and for a column of another type.
///
/// A literal is planned with its milliseconds as nanoseconds; days there are 24 hours, as Flink has them.
pub(in crate::functions) fn interval_at(array: &ArrayRef, row: usize) -> Option<(i32, i64)> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            Some((value.months, i64::from(value.days) * DAY_MS + value.nanoseconds / 1_000_000))
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            let value = array.as_primitive::<IntervalDayTimeType>().value(row);
            Some((0, i64::from(value.days) * DAY_MS + i64::from(value.milliseconds)))
        }
        DataType::Interval(IntervalUnit::YearMonth) => {
            Some((array.as_primitive::<IntervalYearMonthType>().value(row), 0))
        }
        _ => None,
    }
}

/// A column of time stamps of `to` from ms (an instant for TIMESTAMP_LTZ) and nanoseconds after it.
///
/// # Errors
/// `Data` for a time that the unit of `to` cannot hold, `Internal` if `to` is no time stamp; the first error of `value`.
pub(in crate::functions) fn timestamps(
    to: &DataType,
    rows: usize,
    mut value: impl FnMut(usize) -> Result<Option<(i64, i64)>>,
) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, _) = to else {
        return Err(Error::internal(format!("\"{to}\" is no time stamp")).into());
    };
    let scaled = |(ms, nanos): (i64, i64)| match unit {
        TimeUnit::Second => Some(ms.div_euclid(1000)),
        TimeUnit::Millisecond => Some(ms),
        TimeUnit::Microsecond => ms.checked_mul(1000)?.checked_add(nanos / 1000),
        TimeUnit::Nanosecond => ms.checked_mul(1_000_000)?.checked_add(nanos),
    };
    let one = |row: usize| -> Result<Option<i64>> {
        let Some(time) = value(row)? else { return Ok(None) };
        Ok(Some(scaled(time).ok_or_else(|| out_of_range(time.0, *unit))?))
    };
    let values = (0..rows).map(one).collect::<Result<Vec<Option<i64>>>>()?;
    fn of<T: ArrowPrimitiveType<Native = i64>>(values: Vec<Option<i64>>, to: &DataType) -> ArrayRef {
        Arc::new(PrimitiveArray::<T>::from_iter(values).with_data_type(to.clone()))
    }
    Ok(match unit {
        TimeUnit::Second => of::<TimestampSecondType>(values, to),
        TimeUnit::Millisecond => of::<TimestampMillisecondType>(values, to),
        TimeUnit::Microsecond => of::<TimestampMicrosecondType>(values, to),
        TimeUnit::Nanosecond => of::<TimestampNanosecondType>(values, to),
    })
}

#[cold]
fn out_of_range(ms: i64, unit: TimeUnit) -> Error {
    let year = super::calendar::Date::from_days(ms.div_euclid(DAY_MS)).year;
    match unit {
        TimeUnit::Nanosecond => {
            let error = format!("a time of the year {year} has no room in TIMESTAMP(9), which holds 1678 to 2261");
            Error::data(error).hint("use TIMESTAMP(6), which holds 0001 to 9999")
        }
        _ => Error::data(format!("a time of the year {year} has no room in a time stamp")),
    }
}

/// A column of time stamps of `to` from what the local clock shows: days and nanoseconds of the day.
///
/// # Errors
/// As [`timestamps`].
pub(in crate::functions) fn from_local(
    to: &DataType,
    rows: usize,
    zone: &Zone,
    mut value: impl FnMut(usize) -> Result<Option<(i64, i64)>>,
) -> Result<ArrayRef> {
    let instant = matches!(to, DataType::Timestamp(_, Some(_)));
    timestamps(to, rows, |row| {
        Ok(value(row)?.map(|(days, day_ns)| {
            let local_ms = super::pattern::to_ms((days, day_ns));
            let ms = if instant { zone.to_instant(local_ms, Twice::Earlier) } else { local_ms };
            (ms, day_ns % 1_000_000)
        }))
    })
}

/// A column of DATEs from days since 1970.
///
/// # Errors
/// The first of `value`.
pub(in crate::functions) fn dates(rows: usize, value: impl FnMut(usize) -> Result<Option<i64>>) -> Result<ArrayRef> {
    let days = (0..rows).map(value).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(days.into_iter().map(|days| i32::try_from(days?).ok()).collect::<Date32Array>()))
}
