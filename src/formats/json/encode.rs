//! Columns to JSON messages, byte for byte as Flink's `json` format writes them.
//!
//! Types are looked at once per batch: each column becomes a [`Writer`], with its name ready to copy, and
//! the rows are written from these into one buffer.

use arrow::array::{Array, AsArray, ListArray, MapArray, RecordBatch, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, SchemaRef};

use super::{JsonOptions, NullKeys};
use crate::error::{Error, Result};
use crate::formats::column::Column;
use crate::formats::scalar::{Scalars, children};
use crate::formats::{EncodedRows, Encoder};
use crate::table::Options;
use crate::table::map::keys;

/// Encodes rows for the `json` format.
#[derive(Debug)]
pub struct JsonEncoder {
    schema: SchemaRef,
    options: JsonOptions,
}

impl JsonEncoder {
    /// An encoder of `schema`.
    ///
    /// # Errors
    /// `Config` for a wrong option or a type that JSON cannot hold.
    pub fn new(schema: SchemaRef, options: &Options, prefix: &str) -> Result<Self> {
        let options = JsonOptions::new(&schema, options, prefix)?;
        schema.fields().iter().try_for_each(|f| Column::new(f).map(drop))?;
        Ok(Self { schema, options })
    }
}

impl Encoder for JsonEncoder {
    fn encode(&mut self, batch: &RecordBatch) -> Result<EncodedRows> {
        if batch.num_columns() != self.schema.fields().len() {
            return Err(Error::internal("the batch to encode has other columns than its table"));
        }
        let names = self.schema.fields().iter().map(|f| f.name().as_str());
        let fields = named_writers(names.zip(batch.columns().iter().map(|c| c.as_ref())))?;
        let mut rows = EncodedRows { bytes: Vec::new(), ends: Vec::with_capacity(batch.num_rows()) };
        for row in 0..batch.num_rows() {
            write_object(&fields, row, &self.options, &mut rows.bytes)?;
            rows.ends.push(rows.bytes.len());
        }
        Ok(rows)
    }
}

/// A field of an object: `"name":` as it is written, and its values.
type NamedWriter<'a> = (Vec<u8>, Writer<'a>);

/// A column, and how its values are written.
struct Writer<'a> {
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

enum Values<'a> {
    Scalar(Scalars<'a>),
    Text(&'a StringArray),
    List(&'a ListArray, Box<Writer<'a>>),
    Struct(Vec<NamedWriter<'a>>),
    Map { array: &'a MapArray, keys: &'a StringArray, values: Box<Writer<'a>> },
}

fn named_writers<'a, 'n>(columns: impl Iterator<Item = (&'n str, &'a dyn Array)>) -> Result<Vec<NamedWriter<'a>>> {
    columns
        .map(|(name, array)| {
            let mut key = Vec::with_capacity(name.len() + 3);
            write_text(name, &mut key);
            key.push(b':');
            Ok((key, Writer::new(array)?))
        })
        .collect()
}

impl<'a> Writer<'a> {
    fn new(array: &'a dyn Array) -> Result<Self> {
        let values = match array.data_type() {
            DataType::Utf8 => Values::Text(array.as_string()),
            DataType::List(_) => {
                let list = array.as_list();
                Values::List(list, Box::new(Self::new(list.values().as_ref())?))
            }
            DataType::Struct(fields) => {
                let names = fields.iter().map(|f| f.name().as_str());
                let columns = array.as_struct().columns().iter().map(|c| c.as_ref());
                Values::Struct(named_writers(names.zip(columns))?)
            }
            DataType::Map(..) => {
                let array = array.as_map();
                let keys = keys(array).as_string_opt().ok_or_else(|| Error::internal("a key of a map is no text"))?;
                Values::Map { array, keys, values: Box::new(Self::new(array.values().as_ref())?) }
            }
            _ => Values::Scalar(Scalars::new(array)?),
        };
        Ok(Self { nulls: array.nulls(), values })
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    fn write(&self, row: usize, options: &JsonOptions, out: &mut Vec<u8>) -> Result<()> {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        match &self.values {
            Values::Text(v) => write_text(v.value(row), out),
            Values::Scalar(v) if v.bare(row) => v.write(row, options.scalars, out),
            Values::Scalar(v) => {
                // JSON has no NaN and no infinities: they are strings, as times and bytes are.
                out.push(b'"');
                v.write(row, options.scalars, out);
                out.push(b'"');
            }
            Values::Struct(fields) => write_object(fields, row, options, out)?,
            Values::List(list, item) => write_list(list, item, row, options, out)?,
            Values::Map { array, keys, values } => write_map(array, keys, values, row, options, out)?,
        }
        Ok(())
    }
}

fn write_object(fields: &[NamedWriter<'_>], row: usize, options: &JsonOptions, out: &mut Vec<u8>) -> Result<()> {
    out.push(b'{');
    let mut first = true;
    for (key, values) in fields {
        if options.ignore_null_fields && values.is_null(row) {
            continue;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        out.extend_from_slice(key);
        values.write(row, options, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_list(list: &ListArray, item: &Writer<'_>, row: usize, options: &JsonOptions, out: &mut Vec<u8>) -> Result<()> {
    out.push(b'[');
    for (place, child) in children(list.value_offsets(), row).enumerate() {
        if place > 0 {
            out.push(b',');
        }
        item.write(child, options, out)?;
    }
    out.push(b']');
    Ok(())
}

fn write_map(
    map: &MapArray,
    keys: &StringArray,
    values: &Writer<'_>,
    row: usize,
    options: &JsonOptions,
    out: &mut Vec<u8>,
) -> Result<()> {
    out.push(b'{');
    let mut first = true;
    for child in children(map.value_offsets(), row) {
        let Some(key) = key_of(keys, child, options)? else { continue };
        let value = match twin(map, keys, row, child, options) {
            Some(other) if other < child => continue,
            Some(other) => other,
            None => child,
        };
        if !first {
            out.push(b',');
        }
        first = false;
        write_text(key, out);
        out.push(b':');
        values.write(value, options, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// The name of an entry; `None` if it is left out.
fn key_of<'a>(keys: &'a StringArray, entry: usize, options: &'a JsonOptions) -> Result<Option<&'a str>> {
    match options.null_keys {
        _ if keys.is_valid(entry) => Ok(Some(keys.value(entry))),
        NullKeys::Literal => Ok(Some(&options.null_literal)),
        NullKeys::Drop => Ok(None),
        NullKeys::Fail => Err(Error::data("a key of a map is NULL, which JSON cannot hold")
            .hint("set 'json.map-null-key.mode' to 'DROP' or 'LITERAL', or use COALESCE(key, 'none') for the key")),
    }
}

/// The other entry of the same map that the name for NULL gives the same name: the value of the last of the two counts,
/// at the place of the first.
fn twin(map: &MapArray, keys: &StringArray, row: usize, entry: usize, options: &JsonOptions) -> Option<usize> {
    let named = |entry: usize| keys.is_null(entry) || keys.value(entry) == options.null_literal;
    if options.null_keys != NullKeys::Literal || keys.null_count() == 0 || !named(entry) {
        return None;
    }
    children(map.value_offsets(), row).find(|other| *other != entry && named(*other))
}

/// Appends a string with the escapes that Jackson writes: only what JSON demands.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && !matches!(byte, b'"' | b'\\') {
            continue;
        }
        out.extend_from_slice(bytes.get(start..at).unwrap_or_default());
        start = at + 1;
        let short = match byte {
            b'"' | b'\\' => *byte,
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            _ => {
                let hex = |digit: u8| if digit < 10 { b'0' + digit } else { b'A' + digit - 10 };
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.extend_from_slice(bytes.get(start..).unwrap_or_default());
    out.push(b'"');
}
