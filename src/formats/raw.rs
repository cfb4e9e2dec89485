//! The `raw` format: the bytes of a message are the one column of the table.
//!
//! Text is in the charset the table says; numbers are as many bytes as their type has, in the order it says. NULL has
//! no form of its own: it is written as no bytes, which are read as an empty text and are no number.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array,
    Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Schema, SchemaRef,
};

use crate::error::{Error, Result};
use crate::formats::{BadValue, Decoder, EncodedRows, Encoder};
use crate::limits::RECORD_BYTES_MAX;
use crate::table::Options;

/// Option names without the prefix.
pub const OPTIONS: &[&str] = &[CHARSET, ENDIANNESS];

const CHARSET: &str = "charset";
const ENDIANNESS: &str = "endianness";

const ENCODING: &str = "RAW_ENCODING";
const LENGTH: &str = "RAW_LENGTH";
const TOO_LARGE: &str = "TOO_LARGE";

/// How text stands in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    Utf8,
    /// Each byte is the code point of its number.
    Latin1,
    /// The first half of it.
    Ascii,
}

/// What both directions need.
#[derive(Debug, Clone, Copy)]
struct Rules {
    charset: Charset,
    big_endian: bool,
}

impl Rules {
    fn new(schema: &Schema, options: &Options, prefix: &str) -> Result<Self> {
        let key = |name: &str| format!("{prefix}{name}");
        let [column] = &schema.fields()[..] else {
            let width = schema.fields().len();
            return Err(Error::config(format!("the format \"raw\" takes one column, the table has {width}"))
                .hint("declare one column, of type STRING or BYTES"));
        };
        let possible = matches!(
            column.data_type(),
            DataType::Utf8 | DataType::Binary | DataType::Boolean | DataType::Int8 | DataType::Int16
        ) || matches!(
            column.data_type(),
            DataType::Int32 | DataType::Int64 | DataType::Float32 | DataType::Float64
        );
        if !possible {
            return Err(Error::config(format!(
                "column \"{}\": the format \"raw\" has no form for its type",
                column.name()
            ))
            .hint("declare it as STRING, BYTES, BOOLEAN or a number other than DECIMAL"));
        }
        let charsets = [
            ("UTF-8", Charset::Utf8),
            ("UTF8", Charset::Utf8),
            ("ISO-8859-1", Charset::Latin1),
            ("LATIN1", Charset::Latin1),
            ("US-ASCII", Charset::Ascii),
            ("ASCII", Charset::Ascii),
        ];
        let orders = [("big-endian", true), ("little-endian", false)];
        Ok(Self {
            charset: options.one_of(&key(CHARSET), Charset::Utf8, &charsets)?,
            big_endian: options.one_of(&key(ENDIANNESS), true, &orders)?,
        })
    }

    fn text(self, message: &[u8]) -> Result<String, BadValue> {
        let wrong = || bad(ENCODING, "the message is no text of the table's charset".to_owned());
        match self.charset {
            Charset::Utf8 => std::str::from_utf8(message).map(str::to_owned).map_err(|_| wrong()),
            Charset::Ascii if !message.is_ascii() => Err(wrong()),
            Charset::Ascii | Charset::Latin1 => Ok(message.iter().map(|byte| char::from(*byte)).collect()),
        }
    }

    /// The bytes of a number of `N` bytes, highest first.
    fn number<const N: usize>(self, message: &[u8]) -> Result<[u8; N], BadValue> {
        let mut bytes: [u8; N] = message
            .try_into()
            .map_err(|_| bad(LENGTH, format!("the message has {} bytes, the type has {N}", message.len())))?;
        if !self.big_endian {
            bytes.reverse();
        }
        Ok(bytes)
    }

    fn put<const N: usize>(self, mut bytes: [u8; N], out: &mut Vec<u8>) {
        if !self.big_endian {
            bytes.reverse();
        }
        out.extend_from_slice(&bytes);
    }

    fn put_text(self, text: &str, out: &mut Vec<u8>) -> Result<()> {
        let highest = match self.charset {
            Charset::Utf8 => {
                out.extend_from_slice(text.as_bytes());
                return Ok(());
            }
            Charset::Latin1 => 0xff,
            Charset::Ascii => 0x7f,
        };
        for c in text.chars() {
            match u8::try_from(u32::from(c)) {
                Ok(byte) if byte <= highest => out.push(byte),
                _ => return Err(Error::data(format!("the character \"{c}\" has no form in the table's charset"))),
            }
        }
        Ok(())
    }
}

fn bad(code: &'static str, message: String) -> BadValue {
    BadValue { code, field: None, message }
}

/// Decodes messages of the `raw` format.
pub struct RawDecoder {
    schema: SchemaRef,
    rules: Rules,
    values: Values,
}

/// The values so far.
enum Values {
    Text(Vec<String>),
    Bytes(Vec<Vec<u8>>),
    Boolean(Vec<bool>),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
}

impl RawDecoder {
    /// A decoder of `schema`.
    ///
    /// # Errors
    /// `Config` for a wrong option, several columns, or a type that has no raw form.
    pub fn new(schema: SchemaRef, options: &Options, prefix: &str) -> Result<Self> {
        let rules = Rules::new(&schema, options, prefix)?;
        let values = match schema.field(0).data_type() {
            DataType::Utf8 => Values::Text(Vec::new()),
            DataType::Boolean => Values::Boolean(Vec::new()),
            DataType::Int8 => Values::Int8(Vec::new()),
            DataType::Int16 => Values::Int16(Vec::new()),
            DataType::Int32 => Values::Int32(Vec::new()),
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::Float32 => Values::Float32(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            _ => Values::Bytes(Vec::new()),
        };
        Ok(Self { schema, rules, values })
    }
}

impl Decoder for RawDecoder {
    fn push(&mut self, message: &[u8]) -> Result<usize, BadValue> {
        if message.len() > RECORD_BYTES_MAX {
            let what = format!("the message has {} bytes, more than {RECORD_BYTES_MAX}", message.len());
            return Err(bad(TOO_LARGE, what));
        }
        let rules = self.rules;
        match &mut self.values {
            Values::Text(values) => values.push(rules.text(message)?),
            Values::Bytes(values) => values.push(message.to_vec()),
            Values::Boolean(values) => values.push(rules.number::<1>(message)? != [0]),
            Values::Int8(values) => values.push(i8::from_be_bytes(rules.number(message)?)),
            Values::Int16(values) => values.push(i16::from_be_bytes(rules.number(message)?)),
            Values::Int32(values) => values.push(i32::from_be_bytes(rules.number(message)?)),
            Values::Int64(values) => values.push(i64::from_be_bytes(rules.number(message)?)),
            Values::Float32(values) => values.push(f32::from_be_bytes(rules.number(message)?)),
            Values::Float64(values) => values.push(f64::from_be_bytes(rules.number(message)?)),
        }
        Ok(1)
    }

    fn rows(&self) -> usize {
        match &self.values {
            Values::Text(values) => values.len(),
            Values::Bytes(values) => values.len(),
            Values::Boolean(values) => values.len(),
            Values::Int8(values) => values.len(),
            Values::Int16(values) => values.len(),
            Values::Int32(values) => values.len(),
            Values::Int64(values) => values.len(),
            Values::Float32(values) => values.len(),
            Values::Float64(values) => values.len(),
        }
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        let column: ArrayRef = match &mut self.values {
            Values::Text(values) => Arc::new(StringArray::from(std::mem::take(values))),
            Values::Bytes(values) => Arc::new(BinaryArray::from_iter_values(std::mem::take(values))),
            Values::Boolean(values) => Arc::new(BooleanArray::from(std::mem::take(values))),
            Values::Int8(values) => Arc::new(Int8Array::from(std::mem::take(values))),
            Values::Int16(values) => Arc::new(Int16Array::from(std::mem::take(values))),
            Values::Int32(values) => Arc::new(Int32Array::from(std::mem::take(values))),
            Values::Int64(values) => Arc::new(Int64Array::from(std::mem::take(values))),
            Values::Float32(values) => Arc::new(Float32Array::from(std::mem::take(values))),
            Values::Float64(values) => Arc::new(Float64Array::from(std::mem::take(values))),
        };
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), vec![column])?)
    }
}

/// Encodes messages of the `raw` format.
pub struct RawEncoder {
    rules: Rules,
}

impl RawEncoder {
    /// An encoder of `schema`.
    ///
    /// # Errors
    /// As [`RawDecoder::new`].
    pub fn new(schema: &Schema, options: &Options, prefix: &str) -> Result<Self> {
        Ok(Self { rules: Rules::new(schema, options, prefix)? })
    }

    fn append(&self, column: &ArrayRef, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let rules = self.rules;
        match column.data_type() {
            DataType::Utf8 => rules.put_text(column.as_string::<i32>().value(row), out)?,
            DataType::Binary => out.extend_from_slice(column.as_binary::<i32>().value(row)),
            DataType::Boolean => out.push(u8::from(column.as_boolean().value(row))),
            DataType::Int8 => rules.put(column.as_primitive::<Int8Type>().value(row).to_be_bytes(), out),
            DataType::Int16 => rules.put(column.as_primitive::<Int16Type>().value(row).to_be_bytes(), out),
            DataType::Int32 => rules.put(column.as_primitive::<Int32Type>().value(row).to_be_bytes(), out),
            DataType::Int64 => rules.put(column.as_primitive::<Int64Type>().value(row).to_be_bytes(), out),
            DataType::Float32 => rules.put(column.as_primitive::<Float32Type>().value(row).to_be_bytes(), out),
            DataType::Float64 => rules.put(column.as_primitive::<Float64Type>().value(row).to_be_bytes(), out),
            other => return Err(Error::internal(format!("a raw column of type {other}"))),
        }
        Ok(())
    }
}

impl Encoder for RawEncoder {
    fn encode(&mut self, batch: &RecordBatch) -> Result<EncodedRows> {
        let mut rows = EncodedRows::default();
        let Some(column) = batch.columns().first() else { return Ok(rows) };
        for row in 0..batch.num_rows() {
            if !column.is_null(row) {
                self.append(column, row, &mut rows.bytes)?;
            }
            rows.ends.push(rows.bytes.len());
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::testing::{options, schema};

    fn round(
        data_type: DataType,
        pairs: &[(&str, &str)],
        messages: &[&[u8]],
    ) -> Result<Vec<Result<Vec<u8>, BadValue>>> {
        let schema = schema(&[("c", data_type)]);
        let options = options(pairs);
        let mut decoder = RawDecoder::new(Arc::clone(&schema), &options, "raw.")?;
        let pushed: Vec<_> = messages.iter().map(|message| decoder.push(message)).collect();
        let encoded = RawEncoder::new(&schema, &options, "raw.")?.encode(&decoder.finish()?)?;
        let mut written = encoded.iter().map(<[u8]>::to_vec);
        Ok(pushed.into_iter().map(|one| one.map(|_| written.next().unwrap())).collect())
    }

    #[test]
    fn what_is_read_is_written_again() -> Result<()> {
        let double = 2.5f64.to_be_bytes();
        for (data_type, message) in [
            (DataType::Utf8, "äö".as_bytes()),
            (DataType::Utf8, b""),
            (DataType::Binary, &[0, 255][..]),
            (DataType::Boolean, &[1]),
            (DataType::Int8, &[200]),
            (DataType::Int16, &[1, 2]),
            (DataType::Int32, &[1, 2, 3, 4]),
            (DataType::Int64, &[1, 2, 3, 4, 5, 6, 7, 8]),
            (DataType::Float64, &double),
        ] {
            assert_eq!(round(data_type.clone(), &[], &[message])?, [Ok(message.to_vec())], "{data_type}");
        }
        assert_eq!(round(DataType::Utf8, &[("raw.charset", "ISO-8859-1")], &[b"\xe4"])?, [Ok(b"\xe4".to_vec())]);
        Ok(())
    }

    #[test]
    fn bytes_go_in_the_order_the_table_says() -> Result<()> {
        let schema = schema(&[("c", DataType::Int16)]);
        for (order, value) in [("big-endian", 0x0102), ("little-endian", 0x0201)] {
            let mut decoder = RawDecoder::new(Arc::clone(&schema), &options(&[("raw.endianness", order)]), "raw.")?;
            decoder.push(&[1, 2]).unwrap();
            assert_eq!(decoder.finish()?.column(0).as_primitive::<Int16Type>().value(0), value);
        }
        Ok(())
    }

    #[test]
    fn what_is_no_value_is_told_and_harms_no_other() -> Result<()> {
        let codes =
            |all: Vec<Result<Vec<u8>, BadValue>>| all.into_iter().map(|r| r.err().map(|b| b.code)).collect::<Vec<_>>();
        assert_eq!(codes(round(DataType::Utf8, &[], &[b"a", b"\xff", b"b"])?), [None, Some(ENCODING), None]);
        assert_eq!(codes(round(DataType::Int32, &[], &[b"abc", b"abcd", b""])?), [Some(LENGTH), None, Some(LENGTH)]);
        assert_eq!(codes(round(DataType::Utf8, &[("raw.charset", "US-ASCII")], &[b"\xe4"])?), [Some(ENCODING)]);
        Ok(())
    }

    #[test]
    fn wrong_tables_and_options_are_refused() {
        let text = || schema(&[("c", DataType::Utf8)]);
        for (schema, pairs, message) in [
            (schema(&[("a", DataType::Utf8), ("b", DataType::Utf8)]), vec![], "takes one column, the table has 2"),
            (schema(&[("a", DataType::Date32)]), vec![], "has no form for its type"),
            (text(), vec![("raw.charset", "EBCDIC")], "\"EBCDIC\" is not a valid value"),
            (text(), vec![("raw.endianness", "middle")], "\"middle\" is not a valid value"),
        ] {
            let error = RawDecoder::new(schema, &options(&pairs), "raw.").map(drop).unwrap_err();
            assert!(error.message().contains(message), "{error}");
        }
    }
}
