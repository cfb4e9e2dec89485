//! The `csv` format: one message is one record; fields are found by their place.
//!
//! There is no header. A quoted field may hold line ends, if the connector hands them over in one message.
//! Nested values are one level deep: an array or row is one field, its elements separated by
//! `array-element-delimiter`.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use decode::CsvDecoder;
pub use encode::CsvEncoder;

use arrow::datatypes::{DataType, Schema};

use crate::error::{Error, Result};
use crate::formats::scalar::DecimalStyle;
use crate::table::Options;

/// Option names without the prefix.
pub const OPTIONS: &[&str] = &[
    FIELD_DELIMITER,
    QUOTE_CHARACTER,
    DISABLE_QUOTE_CHARACTER,
    ALLOW_COMMENTS,
    IGNORE_PARSE_ERRORS,
    ARRAY_ELEMENT_DELIMITER,
    ESCAPE_CHARACTER,
    NULL_LITERAL,
    SCIENTIFIC_DECIMALS,
];

const FIELD_DELIMITER: &str = "field-delimiter";
const QUOTE_CHARACTER: &str = "quote-character";
const DISABLE_QUOTE_CHARACTER: &str = "disable-quote-character";
const ALLOW_COMMENTS: &str = "allow-comments";
const IGNORE_PARSE_ERRORS: &str = "ignore-parse-errors";
const ARRAY_ELEMENT_DELIMITER: &str = "array-element-delimiter";
const ESCAPE_CHARACTER: &str = "escape-character";
const NULL_LITERAL: &str = "null-literal";
const SCIENTIFIC_DECIMALS: &str = "write-bigdecimal-in-scientific-notation";

/// The options of both directions, so that a wrong one is found whatever the table is used for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CsvOptions {
    delimiter: u8,
    quote: Option<u8>,
    escape: Option<u8>,
    comments: bool,
    ignore_parse_errors: bool,
    element_delimiter: String,
    null_literal: Option<String>,
    decimals: DecimalStyle,
}

impl CsvOptions {
    fn new(schema: &Schema, options: &Options, prefix: &str) -> Result<Self> {
        let key = |name: &str| format!("{prefix}{name}");
        let no_quotes = options.boolean(&key(DISABLE_QUOTE_CHARACTER), false)?;
        if no_quotes && options.get(&key(QUOTE_CHARACTER)).is_some() {
            let message =
                format!("\"{}\" and \"{}\" exclude each other", key(QUOTE_CHARACTER), key(DISABLE_QUOTE_CHARACTER));
            return Err(options.error(&key(QUOTE_CHARACTER), message));
        }
        let quote = options.parsed(&key(QUOTE_CHARACTER), b'"', character)?;
        let read = Self {
            delimiter: options.parsed(&key(FIELD_DELIMITER), b',', character)?,
            quote: (!no_quotes).then_some(quote),
            escape: options.parsed(&key(ESCAPE_CHARACTER), None, |text| character(text).map(Some))?,
            comments: options.boolean(&key(ALLOW_COMMENTS), false)?,
            ignore_parse_errors: options.boolean(&key(IGNORE_PARSE_ERRORS), false)?,
            element_delimiter: options.parsed(&key(ARRAY_ELEMENT_DELIMITER), ";".to_owned(), |text| {
                if text.is_empty() { Err(Error::config("the delimiter is empty")) } else { Ok(text.to_owned()) }
            })?,
            null_literal: options.get(&key(NULL_LITERAL)).map(str::to_owned),
            decimals: match options.boolean(&key(SCIENTIFIC_DECIMALS), true)? {
                true => DecimalStyle::Scientific,
                false => DecimalStyle::Plain,
            },
        };
        if read.quote == Some(read.delimiter) || read.escape == Some(read.delimiter) {
            let message = format!("\"{}\" is also the quote or escape character", key(FIELD_DELIMITER));
            return Err(options.error(&key(FIELD_DELIMITER), message));
        }
        schema.fields().iter().try_for_each(|f| check_type(f.name(), f.data_type()))?;
        Ok(read)
    }
}

/// One ASCII character, also as Java writes it: `\t`, `\u0001`.
fn character(text: &str) -> Result<u8> {
    let wrong = || {
        Error::config(format!("\"{text}\" is not one ASCII character"))
            .hint("write one character, as \",\", \";\" or \"\\t\"")
    };
    let byte = match text.strip_prefix('\\') {
        None | Some("") => text.parse::<char>().ok().and_then(|c| u8::try_from(c).ok()),
        Some("t") => Some(b'\t'),
        Some("\\") => Some(b'\\'),
        Some(escape) => escape
            .strip_prefix('u')
            .filter(|hex| hex.len() == 4)
            .and_then(|hex| u32::from_str_radix(hex, 16).ok().and_then(|code| u8::try_from(code).ok())),
    };
    byte.filter(|b| b.is_ascii() && !matches!(b, b'\n' | b'\r')).ok_or_else(wrong)
}

/// Single values, and lists and rows of them.
fn check_type(column: &str, data_type: &DataType) -> Result<()> {
    let elements: Vec<&DataType> = match data_type {
        DataType::Map(..) => return Err(Error::config(format!("column \"{column}\": CSV has no form for a MAP"))),
        DataType::List(item) => vec![item.data_type()],
        DataType::Struct(fields) => fields.iter().map(|f| f.data_type()).collect(),
        _ => return Ok(()),
    };
    if elements.iter().any(|e| e.is_nested()) {
        let message = format!("column \"{column}\": CSV has no form for an ARRAY or ROW inside another");
        return Err(Error::config(message));
    }
    Ok(())
}
