//! Formats: bytes ⇄ Arrow columns, pure. What Flink's formats accept and write, message by message, so
//! that a bad message never harms its neighbours.

mod column;
mod scalar;
#[cfg(test)]
mod testing;
mod text;

pub mod csv;
pub mod json;
pub mod raw;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::error::{Error, Result};
use crate::table::Options;

/// Why a message could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadValue {
    /// Stable upper-case code for the ledger: `JSON_TRUNCATED`, `JSON_TYPE`, `TOO_LARGE`, ….
    pub code: &'static str,
    /// The field, as a path: `raw_features.tcp.ack`.
    pub field: Option<String>,
    /// What is wrong, without the payload.
    pub message: String,
}

/// Code of a message that holds no row: an empty array, or one the format's options say to skip.
pub const NO_ROW: &str = "NO_ROW";

impl BadValue {
    /// A message without a row. It stops no job, but it is counted.
    pub fn no_row() -> Self {
        let message = "the record holds no row, or the format's options say to skip it".to_owned();
        Self { code: NO_ROW, field: None, message }
    }
}

/// Bytes of messages to columns.
pub trait Decoder: Send {
    /// Appends the rows of one message and returns how many: usually 1; 0 for a message the options say
    /// to skip; n for an array of n objects.
    ///
    /// # Errors
    /// A [`BadValue`]; then nothing of the message has been appended.
    fn push(&mut self, message: &[u8]) -> Result<usize, BadValue>;

    /// Rows appended since the last [`Decoder::finish`].
    fn rows(&self) -> usize;

    /// The rows appended, as columns of the schema the decoder was made for.
    ///
    /// # Errors
    /// `Internal` if the columns do not fit together.
    fn finish(&mut self) -> Result<RecordBatch>;
}

/// Columns to bytes of messages.
pub trait Encoder: Send {
    /// One message per row. A text format writes no line end.
    ///
    /// # Errors
    /// `Data` if a value has no form in the format.
    fn encode(&mut self, batch: &RecordBatch) -> Result<EncodedRows>;
}

/// Messages of consecutive rows in one buffer.
#[derive(Debug, Default, Clone)]
pub struct EncodedRows {
    /// All messages, one after the other.
    pub bytes: Vec<u8>,
    /// End of each message in `bytes`.
    pub ends: Vec<usize>,
}

impl EncodedRows {
    /// The messages, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.ends.iter().scan(0, |start, end| {
            let message = &self.bytes[*start..*end];
            *start = *end;
            Some(message)
        })
    }
}

/// Names of formats that decode and encode messages.
pub const FORMATS: &[&str] = &["json", "csv"];

/// Option names of a format, without the format's own prefix: `ignore-parse-errors`, ….
///
/// # Errors
/// `Config` for an unknown format, with the nearest valid name.
pub fn option_names(format: &str) -> Result<&'static [&'static str]> {
    match format {
        "json" => Ok(json::OPTIONS),
        "csv" => Ok(csv::OPTIONS),
        "raw" => Ok(raw::OPTIONS),
        _ => Err(unknown(format)),
    }
}

/// A decoder of `schema` for the named format; options are looked up below `prefix` (`json.`, `value.json.`).
///
/// # Errors
/// `Config` for a wrong option or a type the format cannot read.
pub fn decoder(format: &str, schema: SchemaRef, options: &Options, prefix: &str) -> Result<Box<dyn Decoder>> {
    match format {
        "json" => Ok(Box::new(json::JsonDecoder::new(schema, options, prefix)?)),
        "csv" => Ok(Box::new(csv::CsvDecoder::new(schema, options, prefix)?)),
        "raw" => Ok(Box::new(raw::RawDecoder::new(schema, options, prefix)?)),
        _ => Err(unknown(format)),
    }
}

/// An encoder of `schema` for the named format.
///
/// # Errors
/// As [`decoder`].
pub fn encoder(format: &str, schema: SchemaRef, options: &Options, prefix: &str) -> Result<Box<dyn Encoder>> {
    match format {
        "json" => Ok(Box::new(json::JsonEncoder::new(schema, options, prefix)?)),
        "csv" => Ok(Box::new(csv::CsvEncoder::new(schema, options, prefix)?)),
        "raw" => Ok(Box::new(raw::RawEncoder::new(&schema, options, prefix)?)),
        _ => Err(unknown(format)),
    }
}

fn unknown(format: &str) -> Error {
    let error = Error::config(format!("format \"{format}\" is not supported"));
    let near = crate::error::nearest(format, FORMATS.iter().copied());
    match near {
        Some(near) => error.hint(format!("did you mean \"{near}\"?")),
        None => error.hint(format!("supported formats: {}", FORMATS.join(", "))),
    }
}
