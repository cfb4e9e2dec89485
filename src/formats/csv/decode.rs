//! CSV records to columns.
//!
//! A record is split into fields first (RFC 4180, with the escape character of Jackson), then each field
//! becomes a value of its column. What a failed record has appended is cut off again.

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Fields, SchemaRef};

use super::CsvOptions;
use crate::error::Result;
use crate::formats::column::{Column, Values};
use crate::formats::text::time::TimestampStyle;
use crate::formats::text::{Wrong, WrongKind, excerpt};
use crate::formats::{BadValue, Decoder};
use crate::limits::RECORD_BYTES_MAX;
use crate::table::Options;

const COLUMNS: &str = "CSV_COLUMNS";
const QUOTE: &str = "CSV_QUOTE";
const SYNTAX: &str = "CSV_SYNTAX";
const ENCODING: &str = "CSV_UTF8";
const TYPE: &str = "CSV_TYPE";
const RANGE: &str = "CSV_RANGE";
const TIMESTAMP: &str = "CSV_TIMESTAMP";
const NOT_NULL: &str = "NOT_NULL";
const TOO_LARGE: &str = "TOO_LARGE";

/// Decodes messages of the `csv` format.
#[derive(Debug)]
pub struct CsvDecoder {
    schema: SchemaRef,
    options: CsvOptions,

    columns: Vec<Column>,
    record: Record,
    rows: usize,
}

/// The fields of one record, without quotes and escapes, one after the other.
#[derive(Debug, Default)]
struct Record {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Record {
    fn field(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)?;
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        // Fields are cut at ASCII characters only.
        self.bytes.get(start..end).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// Splits one record.
    fn split(&mut self, record: &[u8], options: &CsvOptions) -> Result<(), BadValue> {
        self.bytes.clear();
        self.ends.clear();
        let mut at = 0;
        loop {
            at = if options.quote.is_some() && record.get(at).copied() == options.quote {
                self.quoted(record, at + 1, options)?
            } else {
                self.plain(record, at, options)?
            };
            self.ends.push(self.bytes.len());
            if at >= record.len() {
                return Ok(());
            }
            at += 1; // the delimiter
        }
    }

    /// Takes a field without quotes; returns where its delimiter or the end stands.
    fn plain(&mut self, record: &[u8], mut at: usize, options: &CsvOptions) -> Result<usize, BadValue> {
        while let Some(byte) = record.get(at) {
            match *byte {
                byte if byte == options.delimiter => return Ok(at),
                b'\n' | b'\r' => return Err(bad(SYNTAX, format!("a second line follows (at byte {at})"))),
                byte if Some(byte) == options.escape => at = self.escaped(record, at),
                byte => self.bytes.push(byte),
            }
            at += 1;
        }
        Ok(at)
    }

    /// Takes a field after its opening quote; returns where its delimiter or the end stands.
    fn quoted(&mut self, record: &[u8], mut at: usize, options: &CsvOptions) -> Result<usize, BadValue> {
        loop {
            match record.get(at).copied() {
                None => return Err(bad(QUOTE, "a quoted field does not end")),
                byte if byte == options.quote => {
                    if record.get(at + 1).copied() != options.quote {
                        break;
                    }
                    at += 1;
                    self.bytes.extend(byte);
                }
                byte if byte == options.escape => at = self.escaped(record, at),
                Some(byte) => self.bytes.push(byte),
            }
            at += 1;
        }
        at += 1;
        while matches!(record.get(at), Some(b' ' | b'\t')) && record.get(at) != Some(&options.delimiter) {
            at += 1;
        }
        match record.get(at) {
            None => Ok(at),
            Some(byte) if *byte == options.delimiter => Ok(at),
            Some(_) => Err(bad(QUOTE, format!("a quoted field goes on after its quote (at byte {at})"))),
        }
    }

    /// Takes what follows an escape character, as Jackson does; returns its place.
    fn escaped(&mut self, record: &[u8], at: usize) -> usize {
        let byte = match record.get(at + 1) {
            Some(b'0') => 0,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(byte) => *byte,
            None => return at,
        };
        self.bytes.push(byte);
        at + 1
    }
}

#[cold]
fn bad(code: &'static str, message: impl Into<String>) -> BadValue {
    BadValue { code, field: None, message: message.into() }
}

impl From<Wrong> for BadValue {
    fn from(wrong: Wrong) -> Self {
        let code = match wrong.kind {
            WrongKind::Type => TYPE,
            WrongKind::Range => RANGE,
            WrongKind::Timestamp => TIMESTAMP,
            WrongKind::Full => TOO_LARGE,
        };
        let mut message = wrong.message;
        if wrong.standard.is_some() {
            message.push_str("; declare the column as STRING and read it with TO_TIMESTAMP(REPLACE(column, 'T', ' '))");
        }
        bad(code, message)
    }
}

impl CsvDecoder {
    /// A decoder of `schema`.
    ///
    /// # Errors
    /// `Config` for a wrong option or a type that CSV cannot hold.
    pub fn new(schema: SchemaRef, options: &Options, prefix: &str) -> Result<Self> {
        let options = CsvOptions::new(&schema, options, prefix)?;
        let columns = schema.fields().iter().map(|f| Column::new(f)).collect::<Result<_>>()?;
        Ok(Self { schema, options, columns, record: Record::default(), rows: 0 })
    }

    /// Appends a record; false if it is a comment.
    fn push_record(&mut self, message: &[u8]) -> Result<bool, BadValue> {
        if message.len() > RECORD_BYTES_MAX {
            let what = format!("the record has {} bytes, more than {RECORD_BYTES_MAX}", message.len());
            return Err(bad(TOO_LARGE, what));
        }
        let record = message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message);
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        let record = record.strip_suffix(b"\r").unwrap_or(record);
        let text =
            std::str::from_utf8(record).map_err(|e| bad(ENCODING, format!("byte {} is not UTF-8", e.valid_up_to())))?;
        if self.options.comments && text.trim_start().starts_with('#') {
            return Ok(false);
        }
        self.record.split(record, &self.options)?;
        let (found, wanted) = (self.record.ends.len(), self.columns.len());
        if found > wanted || (found < wanted && !self.options.ignore_parse_errors) {
            return Err(bad(COLUMNS, format!("the record has {found} fields, the table {wanted}")));
        }
        let style = Style { null_literal: self.options.null_literal.as_deref(), options: &self.options };
        for (at, (column, field)) in self.columns.iter_mut().zip(self.schema.fields()).enumerate() {
            push(column, field.data_type(), self.record.field(at), style).map_err(|mut bad| {
                bad.field = Some(match bad.field {
                    Some(inner) => format!("{}.{inner}", field.name()),
                    None => field.name().clone(),
                });
                bad
            })?;
        }
        Ok(true)
    }
}

#[derive(Clone, Copy)]
struct Style<'a> {
    null_literal: Option<&'a str>,
    options: &'a CsvOptions,
}

/// Appends the value of a field; one that is missing is NULL, as is a bad one where errors are ignored.
fn push(column: &mut Column, data_type: &DataType, field: Option<&str>, style: Style<'_>) -> Result<(), BadValue> {
    // the elements of an array are what may be NULL, as in Flink; an empty field is no row
    let null = |text: &&str| match data_type {
        DataType::List(_) => false,
        DataType::Struct(_) => text.is_empty() || style.null_literal == Some(*text),
        _ => style.null_literal == Some(*text),
    };
    let Some(text) = field.filter(|text| !null(text)) else { return push_null(column) };
    let len = column.len();
    match push_value(column, data_type, text, style) {
        Ok(false) => Ok(()),
        Ok(true) if column.nullable => Ok(()),
        Ok(true) => Err(bad(NOT_NULL, format!("{} does not fit the type, and NULL is not allowed", excerpt(text)))),
        Err(wrong) if style.options.ignore_parse_errors && !matches!(wrong.code, NOT_NULL | TOO_LARGE) => {
            column.truncate(len);
            push_null(column)
        }
        Err(wrong) => Err(wrong),
    }
}

/// Appends the value that `text` is; returns whether that is NULL.
fn push_value(column: &mut Column, data_type: &DataType, text: &str, style: Style<'_>) -> Result<bool, BadValue> {
    match (&mut column.values, data_type) {
        (Values::List { child, .. }, DataType::List(item)) => {
            if !text.is_empty() {
                for element in text.split(style.options.element_delimiter.as_str()) {
                    push(child, item.data_type(), Some(element), style)?;
                }
            }
            column.end_nested()?;
        }
        (Values::Struct { children, .. }, DataType::Struct(fields)) => {
            push_row(children, fields, text, style)?;
            column.end_nested()?;
        }
        _ => return Ok(column.push_text(text, TimestampStyle::Sql)?),
    }
    Ok(false)
}

fn push_row(children: &mut [Column], fields: &Fields, text: &str, style: Style<'_>) -> Result<(), BadValue> {
    let mut elements = text.split(style.options.element_delimiter.as_str());
    for (column, field) in children.iter_mut().zip(fields) {
        let element = elements.next();
        if element.is_none() && !style.options.ignore_parse_errors {
            return Err(bad(COLUMNS, format!("the row has fewer than {} elements", fields.len())));
        }
        push(column, field.data_type(), element, style).map_err(|mut bad| {
            bad.field = Some(field.name().clone());
            bad
        })?;
    }
    match elements.next() {
        Some(_) if !style.options.ignore_parse_errors => {
            Err(bad(COLUMNS, format!("the row has more than {} elements", fields.len())))
        }
        _ => Ok(()),
    }
}

fn push_null(column: &mut Column) -> Result<(), BadValue> {
    if !column.nullable {
        return Err(bad(NOT_NULL, "NULL is not allowed"));
    }
    column.push_null();
    Ok(())
}

impl Decoder for CsvDecoder {
    fn push(&mut self, message: &[u8]) -> Result<usize, BadValue> {
        match self.push_record(message) {
            Ok(false) => Ok(0),
            Ok(true) => {
                self.rows += 1;
                Ok(1)
            }
            Err(wrong) => {
                self.columns.iter_mut().for_each(|c| c.truncate(self.rows));
                if self.options.ignore_parse_errors && wrong.code != NOT_NULL { Ok(0) } else { Err(wrong) }
            }
        }
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        let rows = std::mem::take(&mut self.rows);
        let columns = self.columns.iter_mut().map(Column::finish).collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}
