//! Columns to CSV records, with the quotes that Flink's `csv` format (Jackson) writes.

use arrow::array::{Array, AsArray, ListArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, SchemaRef};

use super::CsvOptions;
use crate::error::{Error, Result};
use crate::formats::column::Column;
use crate::formats::scalar::{ScalarStyle, Scalars, children};
use crate::formats::text::time::TimestampStyle;
use crate::formats::{EncodedRows, Encoder};
use crate::table::Options;

/// Characters of a text that Jackson looks at; a longer one gets quotes in any case.
const LOOKED_AT_MAX: usize = 24;

/// Encodes rows for the `csv` format.
#[derive(Debug)]
pub struct CsvEncoder {
    schema: SchemaRef,
    options: CsvOptions,
    scalars: ScalarStyle,

    cell: Vec<u8>,
}

impl CsvEncoder {
    /// An encoder of `schema`.
    ///
    /// # Errors
    /// `Config` for a wrong option or a type that CSV cannot hold.
    pub fn new(schema: SchemaRef, options: &Options, prefix: &str) -> Result<Self> {
        let options = CsvOptions::new(&schema, options, prefix)?;
        schema.fields().iter().try_for_each(|f| Column::new(f).map(drop))?;
        let scalars = ScalarStyle { timestamps: TimestampStyle::Sql, decimals: options.decimals };
        Ok(Self { schema, options, scalars, cell: Vec::new() })
    }

    /// Appends one field.
    fn write(&mut self, column: &Writer<'_>, row: usize, out: &mut Vec<u8>) -> Result<()> {
        if column.is_null(row) {
            out.extend_from_slice(self.options.null_literal.as_deref().unwrap_or_default().as_bytes());
            return Ok(());
        }
        self.cell.clear();
        match &column.values {
            Values::Scalar(v) if v.bare(row) => {
                v.write(row, self.scalars, out);
                return Ok(());
            }
            Values::Scalar(v) => v.write(row, self.scalars, &mut self.cell),
            Values::List(list, item) => {
                for (place, child) in children(list.value_offsets(), row).enumerate() {
                    self.write_element(item, child, place);
                }
            }
            Values::Struct(fields) => {
                for (place, field) in fields.iter().enumerate() {
                    self.write_element(field, row, place);
                }
            }
        }
        write_cell(&self.cell, &self.options, out)
    }

    /// Appends an element of an array or row to the cell.
    fn write_element(&mut self, column: &Writer<'_>, row: usize, place: usize) {
        if place > 0 {
            self.cell.extend_from_slice(self.options.element_delimiter.as_bytes());
        }
        match &column.values {
            Values::Scalar(v) if !column.is_null(row) => v.write(row, self.scalars, &mut self.cell),
            // Nested values are one level deep.
            _ => self.cell.extend_from_slice(self.options.null_literal.as_deref().unwrap_or_default().as_bytes()),
        }
    }
}

impl Encoder for CsvEncoder {
    fn encode(&mut self, batch: &RecordBatch) -> Result<EncodedRows> {
        if batch.num_columns() != self.schema.fields().len() {
            return Err(Error::internal("the batch to encode has other columns than its table"));
        }
        let columns = batch.columns().iter().map(|c| Writer::new(c.as_ref())).collect::<Result<Vec<_>>>()?;
        let mut rows = EncodedRows { bytes: Vec::new(), ends: Vec::with_capacity(batch.num_rows()) };
        for row in 0..batch.num_rows() {
            for (place, column) in columns.iter().enumerate() {
                if place > 0 {
                    rows.bytes.push(self.options.delimiter);
                }
                self.write(column, row, &mut rows.bytes)?;
            }
            rows.ends.push(rows.bytes.len());
        }
        Ok(rows)
    }
}

/// A column, and how its values are written.
struct Writer<'a> {
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

enum Values<'a> {
    Scalar(Scalars<'a>),
    List(&'a ListArray, Box<Writer<'a>>),
    Struct(Vec<Writer<'a>>),
}

impl<'a> Writer<'a> {
    fn new(array: &'a dyn Array) -> Result<Self> {
        let values = match array.data_type() {
            DataType::List(_) => {
                let list = array.as_list();
                Values::List(list, Box::new(Self::new(list.values().as_ref())?))
            }
            DataType::Struct(_) => {
                let columns = array.as_struct().columns().iter();
                Values::Struct(columns.map(|c| Self::new(c.as_ref())).collect::<Result<_>>()?)
            }
            _ => Values::Scalar(Scalars::new(array)?),
        };
        Ok(Self { nulls: array.nulls(), values })
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }
}

/// Appends a text, in quotes where Jackson's quick look says that it may need them.
fn write_cell(cell: &[u8], options: &CsvOptions, out: &mut Vec<u8>) -> Result<()> {
    let Some(quote) = options.quote else { return write_unquoted(cell, options, out) };
    // Jackson takes every character up to the larger of delimiter, quote and line feed for suspicious.
    let suspicious = options.delimiter.max(quote).max(b'\n');
    let long = cell.len() > LOOKED_AT_MAX && characters_utf16(cell) > LOOKED_AT_MAX;
    if !long && !cell.iter().any(|b| *b <= suspicious || Some(*b) == options.escape) {
        out.extend_from_slice(cell);
        return Ok(());
    }
    out.push(quote);
    for byte in cell {
        // The escape character stands for itself only behind another one.
        if *byte == quote || Some(*byte) == options.escape {
            out.push(*byte);
        }
        out.push(*byte);
    }
    out.push(quote);
    Ok(())
}

/// Length as Java counts it.
fn characters_utf16(cell: &[u8]) -> usize {
    std::str::from_utf8(cell).map_or(cell.len(), |text| text.encode_utf16().count())
}

/// Appends a text without quotes, with escapes where the options allow them.
fn write_unquoted(cell: &[u8], options: &CsvOptions, out: &mut Vec<u8>) -> Result<()> {
    for byte in cell {
        let letter = match *byte {
            b'\n' => b'n',
            b'\r' => b'r',
            byte if byte == options.delimiter || Some(byte) == options.escape => byte,
            byte => {
                out.push(byte);
                continue;
            }
        };
        let Some(escape) = options.escape else {
            return Err(Error::data("CSV without quotes has no form for a text with a delimiter or line end")
                .hint("set \"csv.escape-character\", or allow quotes"));
        };
        out.extend_from_slice(&[escape, letter]);
    }
    Ok(())
}
