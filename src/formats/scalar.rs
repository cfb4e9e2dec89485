//! Columns of single values as text, for the encoders: what stands between the quotes, if there are quotes.

use arrow::array::{Array, AsArray, BinaryArray, BooleanArray, PrimitiveArray, StringArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};

use crate::error::{Error, Result};
use crate::formats::text::time::TimestampStyle;
use crate::formats::text::{base64, number, time};

/// What the options say about the text of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScalarStyle {
    pub(super) timestamps: TimestampStyle,
    pub(super) decimals: DecimalStyle,
}

/// How decimals are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecimalStyle {
    /// `13`, `1E+2`: without zeros at the end, and with an exponent where Java uses one.
    Scientific,
    /// `13.00`, `100`: all digits of the type.
    Exact,
    /// `13`, `100`: without zeros at the end, and without an exponent.
    Plain,
}

/// A column of single values.
pub(super) enum Scalars<'a> {
    Boolean(&'a BooleanArray),
    Int8(&'a PrimitiveArray<Int8Type>),
    Int16(&'a PrimitiveArray<Int16Type>),
    Int32(&'a PrimitiveArray<Int32Type>),
    Int64(&'a PrimitiveArray<Int64Type>),
    Float32(&'a PrimitiveArray<Float32Type>),
    Float64(&'a PrimitiveArray<Float64Type>),
    Decimal(&'a PrimitiveArray<Decimal128Type>, i8),
    Utf8(&'a StringArray),
    Binary(&'a BinaryArray),
    Date(&'a PrimitiveArray<Date32Type>),
    Time(Vec<i64>, TimeUnit),
    Timestamp(&'a [i64], TimeUnit, bool),
}

impl<'a> Scalars<'a> {
    /// The values of `array`.
    ///
    /// # Errors
    /// `Internal` if they are no single values.
    pub(super) fn new(array: &'a dyn Array) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Int8 => Self::Int8(array.as_primitive()),
            DataType::Int16 => Self::Int16(array.as_primitive()),
            DataType::Int32 => Self::Int32(array.as_primitive()),
            DataType::Int64 => Self::Int64(array.as_primitive()),
            DataType::Float32 => Self::Float32(array.as_primitive()),
            DataType::Float64 => Self::Float64(array.as_primitive()),
            DataType::Decimal128(_, scale) => Self::Decimal(array.as_primitive(), *scale),
            DataType::Utf8 => Self::Utf8(array.as_string()),
            DataType::Binary => Self::Binary(array.as_binary()),
            DataType::Date32 => Self::Date(array.as_primitive()),
            DataType::Time32(unit) | DataType::Time64(unit) => Self::Time(times(array)?, *unit),
            DataType::Timestamp(unit, zone) => Self::Timestamp(timestamps(array)?, *unit, zone.is_some()),
            other => return Err(Error::internal(format!("the type {other} cannot be encoded as text"))),
        })
    }

    /// Whether the value is written as a number or a truth value, without quotes.
    pub(super) fn bare(&self, row: usize) -> bool {
        match self {
            Self::Utf8(_) | Self::Binary(_) | Self::Date(_) | Self::Time(..) | Self::Timestamp(..) => false,
            Self::Float32(v) => v.value(row).is_finite(),
            Self::Float64(v) => v.value(row).is_finite(),
            _ => true,
        }
    }

    /// Appends the value at `row`, which is not NULL.
    pub(super) fn write(&self, row: usize, style: ScalarStyle, out: &mut Vec<u8>) {
        match self {
            Self::Boolean(v) => out.extend_from_slice(if v.value(row) { b"true" } else { b"false" }),
            Self::Int8(v) => number::write_integer(v.value(row).into(), out),
            Self::Int16(v) => number::write_integer(v.value(row).into(), out),
            Self::Int32(v) => number::write_integer(v.value(row).into(), out),
            Self::Int64(v) => number::write_integer(v.value(row), out),
            Self::Float32(v) => number::write_float(v.value(row), out),
            Self::Float64(v) => number::write_float(v.value(row), out),
            Self::Decimal(v, scale) => match style.decimals {
                DecimalStyle::Scientific => number::write_decimal(v.value(row), *scale, out),
                DecimalStyle::Exact => number::write_plain_decimal(v.value(row), *scale, out),
                DecimalStyle::Plain => {
                    let (unscaled, scale) = number::without_zeros(v.value(row), *scale);
                    number::write_plain_decimal(unscaled, scale, out);
                }
            },
            Self::Utf8(v) => out.extend_from_slice(v.value(row).as_bytes()),
            Self::Binary(v) => base64::encode(v.value(row), out),
            Self::Date(v) => time::write_days(v.value(row).into(), out),
            Self::Time(v, unit) => time::write_time(v.get(row).copied().unwrap_or(0), *unit, out),
            Self::Timestamp(v, unit, ltz) => {
                time::write_timestamp(v.get(row).copied().unwrap_or(0), *unit, style.timestamps, *ltz, out);
            }
        }
    }
}

/// The places of the children of one list or map, from its offsets.
pub(super) fn children(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    let at = |row: usize| offsets.get(row).map_or(0, |o| usize::try_from(*o).unwrap_or(0));
    at(row)..at(row + 1)
}

/// `[n]` values of a timestamp column, in its unit since 1970.
///
/// # Errors
/// `Internal` if it is none.
fn timestamps(array: &dyn Array) -> Result<&[i64]> {
    Ok(match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => array.as_primitive::<TimestampSecondType>().values(),
        DataType::Timestamp(TimeUnit::Millisecond, _) => array.as_primitive::<TimestampMillisecondType>().values(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => array.as_primitive::<TimestampMicrosecondType>().values(),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => array.as_primitive::<TimestampNanosecondType>().values(),
        other => return Err(Error::internal(format!("the type {other} is no time stamp"))),
    })
}

/// `[n]` values of a time column, in its unit since midnight.
///
/// # Errors
/// `Internal` if it is none.
fn times(array: &dyn Array) -> Result<Vec<i64>> {
    let wide = |values: &[i32]| values.iter().map(|v| i64::from(*v)).collect();
    Ok(match array.data_type() {
        DataType::Time32(TimeUnit::Second) => wide(array.as_primitive::<Time32SecondType>().values()),
        DataType::Time32(_) => wide(array.as_primitive::<Time32MillisecondType>().values()),
        DataType::Time64(TimeUnit::Microsecond) => array.as_primitive::<Time64MicrosecondType>().values().to_vec(),
        DataType::Time64(_) => array.as_primitive::<Time64NanosecondType>().values().to_vec(),
        other => return Err(Error::internal(format!("the type {other} is no time"))),
    })
}
