//! Columns that grow value by value and can be cut back: how a message of several values is all or nothing.
//!
//! A decoder appends field by field; if one fails, [`Column::truncate`] takes back what the message had
//! appended. Values go in before their validity bit, so [`Column::len`] counts complete values only.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, ListArray, NullBufferBuilder, PrimitiveArray,
    StringArray, StructArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Field, FieldRef, Fields, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};

use crate::error::{Error, Result};
use crate::formats::text::time::{TimestampStyle, parse_date, parse_time, parse_timestamp, wrong_number};
use crate::formats::text::{Wrong, WrongKind, base64, number, trim};
use crate::table::map::{entry_fields, map_array};

/// One growing column.
#[derive(Debug)]
pub(super) struct Column {
    data_type: DataType,
    pub(super) nullable: bool,

    nulls: NullBufferBuilder,
    pub(super) values: Values,
}

/// Values of a column by type; a NULL takes a place, except in the children of lists and maps.
#[derive(Debug)]
pub(super) enum Values {
    Boolean(BooleanBufferBuilder),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal(Vec<i128>, u8, i8),
    Utf8(Bytes),
    Binary(Bytes),
    Date(Vec<i32>),
    Time32(Vec<i32>, TimeUnit),
    Time64(Vec<i64>, TimeUnit),
    Timestamp { values: Vec<i64>, unit: TimeUnit, ltz: bool },
    List { field: FieldRef, offsets: Vec<i32>, child: Box<Column> },
    Struct { fields: Fields, children: Vec<Column> },
    Map { offsets: Vec<i32>, key: Box<Column>, value: Box<Column> },
}

/// Texts or byte strings, one after the other.
#[derive(Debug)]
pub(super) struct Bytes {
    offsets: Vec<i32>,
    bytes: Vec<u8>,
}

impl Bytes {
    fn new() -> Self {
        Self { offsets: vec![0], bytes: Vec::new() }
    }

    /// Ends a value at the present end of the bytes.
    fn end_value(&mut self) -> Result<(), Wrong> {
        let end = end_offset(self.bytes.len())?;
        self.offsets.push(end);
        Ok(())
    }

    fn push(&mut self, value: &[u8]) -> Result<(), Wrong> {
        self.bytes.extend_from_slice(value);
        self.end_value()
    }

    fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        self.bytes.truncate(last(&self.offsets));
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(std::mem::take(&mut self.bytes)))
    }
}

/// The length of children as an offset; Arrow's offsets have 31 bits.
fn end_offset(len: usize) -> Result<i32, Wrong> {
    i32::try_from(len).map_err(|_| Wrong::new(WrongKind::Full, "the batch exceeds 2 GiB"))
}

fn last(offsets: &[i32]) -> usize {
    offsets.last().map_or(0, |end| usize::try_from(*end).unwrap_or(0))
}

impl Column {
    /// An empty column for `field`.
    ///
    /// # Errors
    /// `Config` if text formats have no form for its type.
    pub(super) fn new(field: &Field) -> Result<Self> {
        let child = |f: &FieldRef| Self::new(f).map(Box::new);
        let values = match field.data_type() {
            DataType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            DataType::Int8 => Values::Int8(Vec::new()),
            DataType::Int16 => Values::Int16(Vec::new()),
            DataType::Int32 => Values::Int32(Vec::new()),
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::Float32 => Values::Float32(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            DataType::Decimal128(precision, scale) => Values::Decimal(Vec::new(), *precision, *scale),
            DataType::Utf8 => Values::Utf8(Bytes::new()),
            DataType::Binary => Values::Binary(Bytes::new()),
            DataType::Date32 => Values::Date(Vec::new()),
            DataType::Time32(unit) => Values::Time32(Vec::new(), *unit),
            DataType::Time64(unit) => Values::Time64(Vec::new(), *unit),
            DataType::Timestamp(unit, zone) => {
                Values::Timestamp { values: Vec::new(), unit: *unit, ltz: zone.is_some() }
            }
            DataType::List(item) => Values::List { field: item.clone(), offsets: vec![0], child: child(item)? },
            DataType::Struct(fields) => Values::Struct {
                fields: fields.clone(),
                children: fields.iter().map(|f| Self::new(f)).collect::<Result<_>>()?,
            },
            map @ DataType::Map(..) => {
                let Some((key, value)) = entry_fields(map) else { return Err(unsupported(field)) };
                let (key, value) = (child(key)?, child(value)?);
                Values::Map { offsets: vec![0], key, value }
            }
            _ => return Err(unsupported(field)),
        };
        let nulls = NullBufferBuilder::new(0);
        Ok(Self { data_type: field.data_type().clone(), nullable: field.is_nullable(), nulls, values })
    }

    /// Complete values.
    pub(super) fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Appends NULL, whether or not the column may hold one.
    pub(super) fn push_null(&mut self) {
        match &mut self.values {
            Values::Boolean(v) => v.append(false),
            Values::Int8(v) => v.push(0),
            Values::Int16(v) => v.push(0),
            Values::Int32(v) | Values::Date(v) | Values::Time32(v, _) => v.push(0),
            Values::Int64(v) | Values::Time64(v, _) | Values::Timestamp { values: v, .. } => v.push(0),
            Values::Float32(v) => v.push(0.0),
            Values::Float64(v) => v.push(0.0),
            Values::Decimal(v, ..) => v.push(0),
            Values::Utf8(Bytes { offsets, .. })
            | Values::Binary(Bytes { offsets, .. })
            | Values::List { offsets, .. }
            | Values::Map { offsets, .. } => offsets.push(offsets.last().copied().unwrap_or(0)),
            Values::Struct { children, .. } => children.iter_mut().for_each(Self::push_null),
        }
        self.nulls.append_null();
    }

    /// Ends a list or map at the present end of its children, or a row.
    pub(super) fn end_nested(&mut self) -> Result<(), Wrong> {
        match &mut self.values {
            Values::List { offsets, child, .. } => offsets.push(end_offset(child.len())?),
            Values::Map { offsets, value, .. } => offsets.push(end_offset(value.len())?),
            _ => {}
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// Cuts back to `len` values, also what an unfinished value has left.
    pub(super) fn truncate(&mut self, len: usize) {
        match &mut self.values {
            Values::Boolean(v) => v.truncate(len),
            Values::Int8(v) => v.truncate(len),
            Values::Int16(v) => v.truncate(len),
            Values::Int32(v) | Values::Date(v) | Values::Time32(v, _) => v.truncate(len),
            Values::Int64(v) | Values::Time64(v, _) | Values::Timestamp { values: v, .. } => v.truncate(len),
            Values::Float32(v) => v.truncate(len),
            Values::Float64(v) => v.truncate(len),
            Values::Decimal(v, ..) => v.truncate(len),
            Values::Utf8(v) | Values::Binary(v) => v.truncate(len),
            Values::List { offsets, child, .. } => {
                offsets.truncate(len + 1);
                child.truncate(last(offsets));
            }
            Values::Map { offsets, key, value, .. } => {
                offsets.truncate(len + 1);
                key.truncate(last(offsets));
                value.truncate(last(offsets));
            }
            Values::Struct { children, .. } => children.iter_mut().for_each(|c| c.truncate(len)),
        }
        self.nulls.truncate(len);
    }

    /// Appends the value that `text` is by Flink's coercions; a decimal that does not fit is NULL.
    /// Returns whether the value appended is NULL.
    pub(super) fn push_text(&mut self, text: &str, style: TimestampStyle) -> Result<bool, Wrong> {
        match &mut self.values {
            Values::Utf8(v) => v.push(text.as_bytes())?,
            Values::Boolean(v) => v.append(trim(text).eq_ignore_ascii_case("true")),
            Values::Int8(v) => v.push(number::parse_integer(text, "TINYINT")?),
            Values::Int16(v) => v.push(number::parse_integer(text, "SMALLINT")?),
            Values::Int32(v) => v.push(number::parse_integer(text, "INT")?),
            Values::Int64(v) => v.push(number::parse_integer(text, "BIGINT")?),
            Values::Float32(v) => v.push(number::parse_float(text, "FLOAT")?),
            Values::Float64(v) => v.push(number::parse_float(text, "DOUBLE")?),
            Values::Decimal(v, precision, scale) => match number::parse_decimal(text, *precision, *scale)? {
                Some(unscaled) => v.push(unscaled),
                None => {
                    self.push_null();
                    return Ok(true);
                }
            },
            Values::Binary(v) => {
                base64::decode(text.as_bytes(), &mut v.bytes).ok_or_else(|| Wrong::type_of(text, "base64"))?;
                v.end_value()?;
            }
            Values::Date(v) => v.push(parse_date(text)?),
            Values::Time32(v, unit) => v.push(parse_time(text, *unit)? as i32), // < 86 400 000
            Values::Time64(v, unit) => v.push(parse_time(text, *unit)?),
            Values::Timestamp { values, unit, ltz } => values.push(parse_timestamp(text, style, *ltz, *unit)?),
            Values::List { .. } => return Err(Wrong::type_of(text, "ARRAY")),
            Values::Struct { .. } => return Err(Wrong::type_of(text, "ROW")),
            Values::Map { .. } => return Err(Wrong::type_of(text, "MAP")),
        }
        self.nulls.append_non_null();
        Ok(false)
    }

    /// Appends a number, written as JSON writes it: as [`Column::push_text`], but INT and BIGINT cut a
    /// fraction off and no time stamp is a number.
    pub(super) fn push_number(&mut self, text: &str, whole: bool, style: TimestampStyle) -> Result<bool, Wrong> {
        match &mut self.values {
            Values::Int32(v) if !whole => v.push(number::parse_cut_integer(text, "INT")?),
            Values::Int64(v) if !whole => v.push(number::parse_cut_integer(text, "BIGINT")?),
            Values::Timestamp { ltz, .. } => return Err(wrong_number(text, *ltz)),
            Values::Binary(_) => return Err(Wrong::type_of(text, "base64")),
            _ => return self.push_text(text, style),
        }
        self.nulls.append_non_null();
        Ok(false)
    }

    /// Appends the text that `write` leaves at the end of the bytes; only for `STRING`.
    pub(super) fn push_written(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Wrong> {
        if let Values::Utf8(v) = &mut self.values {
            write(&mut v.bytes);
            v.end_value()?;
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// The values as an Arrow array; the column is empty afterwards.
    pub(super) fn finish(&mut self) -> Result<ArrayRef> {
        let len = self.len();
        let nulls = self.nulls.finish();
        Ok(match &mut self.values {
            Values::Boolean(v) => Arc::new(BooleanArray::new(v.finish(), nulls)),
            Values::Int8(v) => primitive::<Int8Type>(v, nulls, &self.data_type)?,
            Values::Int16(v) => primitive::<Int16Type>(v, nulls, &self.data_type)?,
            Values::Int32(v) => primitive::<Int32Type>(v, nulls, &self.data_type)?,
            Values::Int64(v) => primitive::<Int64Type>(v, nulls, &self.data_type)?,
            Values::Float32(v) => primitive::<Float32Type>(v, nulls, &self.data_type)?,
            Values::Float64(v) => primitive::<Float64Type>(v, nulls, &self.data_type)?,
            Values::Decimal(v, ..) => primitive::<Decimal128Type>(v, nulls, &self.data_type)?,
            Values::Date(v) => primitive::<Date32Type>(v, nulls, &self.data_type)?,
            Values::Time32(v, TimeUnit::Second) => primitive::<Time32SecondType>(v, nulls, &self.data_type)?,
            Values::Time32(v, _) => primitive::<Time32MillisecondType>(v, nulls, &self.data_type)?,
            Values::Time64(v, TimeUnit::Microsecond) => primitive::<Time64MicrosecondType>(v, nulls, &self.data_type)?,
            Values::Time64(v, _) => primitive::<Time64NanosecondType>(v, nulls, &self.data_type)?,
            Values::Timestamp { values: v, unit, .. } => match unit {
                TimeUnit::Second => primitive::<TimestampSecondType>(v, nulls, &self.data_type)?,
                TimeUnit::Millisecond => primitive::<TimestampMillisecondType>(v, nulls, &self.data_type)?,
                TimeUnit::Microsecond => primitive::<TimestampMicrosecondType>(v, nulls, &self.data_type)?,
                TimeUnit::Nanosecond => primitive::<TimestampNanosecondType>(v, nulls, &self.data_type)?,
            },
            Values::Utf8(v) => {
                let (offsets, bytes) = v.take();
                Arc::new(StringArray::try_new(offsets, bytes, nulls)?)
            }
            Values::Binary(v) => {
                let (offsets, bytes) = v.take();
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
            }
            Values::List { field, offsets, child } => {
                Arc::new(ListArray::try_new(field.clone(), take_offsets(offsets), child.finish()?, nulls)?)
            }
            Values::Struct { fields, children } => {
                let children = children.iter_mut().map(Self::finish).collect::<Result<Vec<_>>>()?;
                Arc::new(StructArray::try_new_with_length(fields.clone(), children, nulls, len)?)
            }
            Values::Map { offsets, key, value } => {
                let (keys, values) = (key.finish()?, value.finish()?);
                Arc::new(map_array(&self.data_type, take_offsets(offsets), keys, values, nulls)?)
            }
        })
    }
}

fn take_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])))
}

fn primitive<T: ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    nulls: Option<NullBuffer>,
    data_type: &DataType,
) -> Result<ArrayRef> {
    let array = PrimitiveArray::<T>::try_new(ScalarBuffer::from(std::mem::take(values)), nulls)?;
    Ok(Arc::new(array.with_data_type(data_type.clone())))
}

fn unsupported(field: &Field) -> Error {
    Error::config(format!("column \"{}\": text formats cannot hold the type {}", field.name(), field.data_type()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;

    #[test]
    fn cutting_back_leaves_the_rows_before() -> Result<()> {
        let item = Arc::new(Field::new("item", DataType::Utf8, true));
        let fields =
            Fields::from(vec![Field::new("l", DataType::List(item), true), Field::new("b", DataType::Boolean, true)]);
        let mut column = Column::new(&Field::new("r", DataType::Struct(fields), true))?;
        let push = |texts: &[&str], complete: bool, column: &mut Column| {
            let Values::Struct { children, .. } = &mut column.values else { return };
            let Values::List { child, .. } = &mut children[0].values else { return };
            texts.iter().for_each(|t| assert_eq!(child.push_text(t, TimestampStyle::Sql), Ok(false)));
            if complete {
                children[0].end_nested().unwrap();
                children[1].push_null();
                column.end_nested().unwrap();
            }
        };
        push(&["a", "b"], true, &mut column);
        column.push_null();
        push(&["lost"], true, &mut column);
        push(&["half"], false, &mut column);
        column.truncate(2);
        push(&["c"], true, &mut column);
        let rows = column.finish()?;
        let lists = rows.as_struct().column(0).as_list::<i32>();
        assert_eq!((rows.len(), rows.null_count()), (3, 1));
        assert_eq!(lists.value(2).as_string::<i32>().value(0), "c");
        assert_eq!(lists.values().len(), 3);
        assert_eq!(column.len(), 0);
        Ok(())
    }

    #[test]
    fn a_type_without_text_is_refused_by_name() {
        let error = Column::new(&Field::new("d", DataType::Duration(TimeUnit::Second), true)).unwrap_err();
        assert!(error.message().contains("\"d\""), "{error}");
    }
}
