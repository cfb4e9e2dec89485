//! Rows in the binary form of `COPY`, and the values that have none.
//!
//! A row begins with its number in the epoch: with it the database can be asked later which rows it refuses. What is
//! known to be refused is found here, with the column and the SQLSTATE that the database would give.
//!
//! Source: PostgreSQL's documentation of `COPY` ("Binary Format") and the `…_recv` function of each type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Schema, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};

use super::numeric::Decimal;
use super::types::Wire;
use crate::connectors::delivery::{NumberedRows, Refused};
use crate::error::{Error, ErrorKind, Result};
use crate::formats;
use crate::table::Options;

/// Begins every stream: a signature, no flags, no extension.
pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Ends it.
pub(super) const TRAILER: &[u8] = &(-1i16).to_be_bytes();

/// 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const DAYS_TO_2000: i64 = 10_957;
const MICROS_TO_2000: i64 = DAYS_TO_2000 * 86_400_000_000;
/// 4714-11-24 BC up to 5874898-01-01, days from 2000-01-01 (`IS_VALID_DATE`).
const DATES: std::ops::Range<i64> = -2_451_545..2_145_031_949;
/// 4714-11-24 BC up to 294277-01-01, µs from 2000-01-01 (`MIN_TIMESTAMP`, `END_TIMESTAMP`).
const TIMESTAMPS: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

/// Why a value cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rejection {
    code: &'static str,
    message: String,
}

impl Rejection {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn range(what: &str) -> Self {
        Self::new("22003", format!("value out of range for type {what}"))
    }
}

/// What went wrong with a value.
#[derive(Debug)]
enum Fault {
    Row(Rejection),
    Broken(Error),
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        Self::Row(rejection)
    }
}

/// A column of the sink on its way.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) wire: Wire,
}

/// Appends the rows, but those that are refused.
///
/// # Errors
/// `Internal` if columns and rows do not fit.
pub(super) fn encode(
    rows: &NumberedRows,
    columns: &[Column],
    out: &mut Vec<u8>,
    refused: &mut Vec<Refused>,
) -> Result<()> {
    if columns.len() != rows.rows.num_columns() || rows.numbers.len() != rows.rows.num_rows() {
        return Err(Error::internal("the rows of a postgres sink do not have its columns"));
    }
    let values = columns
        .iter()
        .zip(rows.rows.columns())
        .map(|(column, array)| Values::new(&column.wire, array))
        .collect::<Result<Vec<_>>>()?;
    let fields = i16::try_from(columns.len() + 1).map_err(|_| Error::config("a table has more than 32,766 columns"))?;
    for (row, number) in rows.numbers.iter().enumerate() {
        let start = out.len();
        out.extend_from_slice(&fields.to_be_bytes());
        out.extend_from_slice(&8i32.to_be_bytes());
        out.extend_from_slice(&number.to_be_bytes());
        for (column, values) in columns.iter().zip(&values) {
            match values.write(row, out) {
                Ok(()) => {}
                Err(Fault::Broken(error)) => return Err(error),
                Err(Fault::Row(Rejection { code, message })) => {
                    out.truncate(start);
                    refused.push(Refused {
                        row: *number,
                        code: code.to_owned(),
                        column: Some(column.name.clone()),
                        message,
                    });
                    break;
                }
            }
        }
    }
    Ok(())
}

/// The values of one column of a batch.
struct Values<'a> {
    wire: &'a Wire,
    array: &'a ArrayRef,
    /// The text of each value, for those that travel as JSON.
    json: Vec<Result<String, String>>,
}

impl<'a> Values<'a> {
    fn new(wire: &'a Wire, array: &'a ArrayRef) -> Result<Self> {
        let json = if *wire == Wire::Json { json_texts(array)? } else { Vec::new() };
        Ok(Self { wire, array, json })
    }

    /// Writes length and value.
    fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.array.is_null(row) {
            out.extend_from_slice(&(-1i32).to_be_bytes());
            return Ok(());
        }
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        match (self.wire, self.json.get(row)) {
            (Wire::Json, Some(Ok(text))) => write_text(text, None, out)?,
            (Wire::Json, Some(Err(message))) => return Err(Rejection::new("22032", message.as_str()).into()),
            (Wire::Array(element), _) => write_array(element, self.array.as_ref(), row, out)?,
            (wire, _) => write_value(wire, self.array.as_ref(), row, out)?,
        }
        let length =
            i32::try_from(out.len() - start - 4).map_err(|_| Rejection::new("54000", "a value has more than 2 GiB"))?;
        if let Some(place) = out.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }
}

fn write_value(wire: &Wire, array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    match wire {
        Wire::Bool => out.push(u8::from(array.as_boolean_opt().ok_or_else(|| odd(array))?.value(row))),
        Wire::Int2 => {
            let value = i16::try_from(integer(array, row)?).map_err(|_| Rejection::range("smallint"))?;
            out.extend_from_slice(&value.to_be_bytes());
        }
        Wire::Int4 => {
            let value = i32::try_from(integer(array, row)?).map_err(|_| Rejection::range("integer"))?;
            out.extend_from_slice(&value.to_be_bytes());
        }
        Wire::Int8 => out.extend_from_slice(&integer(array, row)?.to_be_bytes()),
        Wire::Float4 => {
            let value = match array.as_primitive_opt::<Float32Type>() {
                Some(values) => values.value(row),
                // 16 bits at most: exact
                None => integer(array, row)? as f32,
            };
            out.extend_from_slice(&value.to_be_bytes());
        }
        Wire::Float8 => out.extend_from_slice(&double(array, row)?.to_be_bytes()),
        Wire::Numeric { whole_digits_max } => write_numeric(*whole_digits_max, array, row, out)?,
        Wire::Text { characters_max } => {
            write_text(array.as_string_opt::<i32>().ok_or_else(|| odd(array))?.value(row), *characters_max, out)?;
        }
        Wire::Bytes => out.extend_from_slice(array.as_binary_opt::<i32>().ok_or_else(|| odd(array))?.value(row)),
        Wire::Date => {
            let days = array.as_primitive_opt::<Date32Type>().ok_or_else(|| odd(array))?.value(row);
            let days = i64::from(days) - DAYS_TO_2000;
            let day = i32::try_from(days).ok().filter(|_| DATES.contains(&days));
            let day = day.ok_or_else(|| Rejection::new("22008", "date out of range"))?;
            out.extend_from_slice(&day.to_be_bytes());
        }
        Wire::Time => out.extend_from_slice(&time(array, row)?.to_be_bytes()),
        Wire::Timestamp | Wire::TimestampTz => out.extend_from_slice(&timestamp(array, row)?.to_be_bytes()),
        Wire::Array(_) | Wire::Json => return Err(odd(array)),
    }
    Ok(())
}

fn odd(array: &dyn Array) -> Fault {
    Fault::Broken(Error::internal(format!("a postgres column has rows of type {}", array.data_type())))
}

fn integer(array: &dyn Array, row: usize) -> Result<i64, Fault> {
    match array.data_type() {
        DataType::Int8 => Ok(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => Ok(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Ok(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Ok(array.as_primitive::<Int64Type>().value(row)),
        _ => Err(odd(array)),
    }
}

fn double(array: &dyn Array, row: usize) -> Result<f64, Fault> {
    match array.data_type() {
        DataType::Float64 => Ok(array.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => Ok(array.as_primitive::<Float32Type>().value(row).into()),
        // 32 bits at most: exact
        _ => Ok(integer(array, row)? as f64),
    }
}

fn write_numeric(whole_digits_max: Option<i64>, array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    let none = || Rejection::new("22003", "NaN and infinity are not written into numeric");
    let value =
        match array.data_type() {
            DataType::Decimal128(_, scale) => {
                Decimal::new(array.as_primitive::<Decimal128Type>().value(row), i32::from(*scale))
            }
            DataType::Float64 => Decimal::of_shortest(&format!("{:e}", array.as_primitive::<Float64Type>().value(row)))
                .ok_or_else(none)?,
            DataType::Float32 => Decimal::of_shortest(&format!("{:e}", array.as_primitive::<Float32Type>().value(row)))
                .ok_or_else(none)?,
            _ => Decimal::new(integer(array, row)?.into(), 0),
        };
    if whole_digits_max.is_some_and(|most| value.whole_digits() > most.max(0)) {
        return Err(Rejection::new("22003", "numeric field overflow").into());
    }
    value.write(out);
    Ok(())
}

fn write_text(text: &str, characters_max: Option<usize>, out: &mut Vec<u8>) -> Result<(), Fault> {
    if text.as_bytes().contains(&0) {
        return Err(Rejection::new("22021", "a text holds the character NUL, which PostgreSQL cannot store").into());
    }
    if let Some(most) = characters_max
        && text.len() > most
        // blanks too many are cut off, as the standard has it
        && text.chars().skip(most).any(|character| character != ' ')
    {
        return Err(Rejection::new("22001", format!("value too long for {most} characters")).into());
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn time(array: &dyn Array, row: usize) -> Result<i64, Fault> {
    match array.data_type() {
        DataType::Time32(TimeUnit::Second) => {
            Ok(i64::from(array.as_primitive::<Time32SecondType>().value(row)) * 1_000_000)
        }
        DataType::Time32(_) => Ok(i64::from(array.as_primitive::<Time32MillisecondType>().value(row)) * 1_000),
        DataType::Time64(TimeUnit::Microsecond) => Ok(array.as_primitive::<Time64MicrosecondType>().value(row)),
        DataType::Time64(_) => {
            micros_of_nanos(array.as_primitive::<Time64NanosecondType>().value(row)).map_err(Fault::Row)
        }
        _ => Err(odd(array)),
    }
}

fn micros_of_nanos(nanos: i64) -> Result<i64, Rejection> {
    if nanos.rem_euclid(1_000) != 0 {
        return Err(Rejection::new("22008", "PostgreSQL keeps microseconds, and the time has nanoseconds"));
    }
    Ok(nanos.div_euclid(1_000))
}

fn timestamp(array: &dyn Array, row: usize) -> Result<i64, Fault> {
    let DataType::Timestamp(unit, _) = array.data_type() else { return Err(odd(array)) };
    let micros = match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row).checked_mul(1_000_000),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row).checked_mul(1_000),
        TimeUnit::Microsecond => Some(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        TimeUnit::Nanosecond => Some(micros_of_nanos(array.as_primitive::<TimestampNanosecondType>().value(row))?),
    };
    micros
        .and_then(|micros| micros.checked_sub(MICROS_TO_2000))
        .filter(|micros| TIMESTAMPS.contains(micros))
        .ok_or_else(|| Rejection::new("22008", "timestamp out of range").into())
}

/// One dimension, counted from 1; an empty array has none.
fn write_array(element: &Wire, array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    let items = array.as_list_opt::<i32>().ok_or_else(|| odd(array))?.value(row);
    let length = i32::try_from(items.len()).map_err(|_| Rejection::new("54000", "an array is too long"))?;
    let values = Values { wire: element, array: &items, json: Vec::new() };
    out.extend_from_slice(&i32::from(length > 0).to_be_bytes());
    out.extend_from_slice(&i32::from(items.null_count() > 0).to_be_bytes());
    out.extend_from_slice(&element.staged().1.to_be_bytes());
    if length > 0 {
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&1i32.to_be_bytes());
    }
    (0..items.len()).try_for_each(|item| values.write(item, out))
}

/// The values as JSON: of the whole column at once, or one by one if some have no form.
fn json_texts(array: &ArrayRef) -> Result<Vec<Result<String, String>>> {
    match json_slice(array) {
        Err(error) if error.kind() == ErrorKind::Data => {}
        done => return Ok(done?.into_iter().map(Ok).collect()),
    }
    (0..array.len())
        .map(|row| match json_slice(&array.slice(row, 1)) {
            Err(error) if error.kind() == ErrorKind::Data => Ok(Err(error.message().to_owned())),
            Err(error) => Err(error),
            Ok(mut texts) => Ok(Ok(texts.pop().unwrap_or_default())),
        })
        .collect()
}

fn json_slice(array: &ArrayRef) -> Result<Vec<String>> {
    let schema = Arc::new(Schema::new(vec![Field::new("v", array.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::clone(array)])?;
    let rows = formats::encoder("json", schema, &Options::default(), "json.")?.encode(&batch)?;
    let text = |row: &[u8]| {
        let text = String::from_utf8_lossy(row).into_owned();
        text.strip_prefix("{\"v\":").and_then(|rest| rest.strip_suffix('}')).map(str::to_owned)
    };
    rows.iter().map(|row| text(row).ok_or_else(|| Error::internal("a value in JSON is no object"))).collect()
}

/// Whether values of the type have a form in JSON.
///
/// # Errors
/// `Config` if not.
pub(super) fn check_json(data_type: &DataType) -> Result<()> {
    let schema = Arc::new(Schema::new(vec![Field::new("v", data_type.clone(), true)]));
    formats::encoder("json", schema, &Options::default(), "json.").map(drop)
}
