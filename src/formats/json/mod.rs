//! The `json` format: one message is one object, or an array of objects.
//!
//! `scan` knows JSON, `decode` knows Flink's coercions, `encode` Flink's output. A message counts only as
//! a whole: every byte of it is checked, also of fields that nobody reads.

mod decode;
mod encode;
mod scan;
#[cfg(test)]
mod tests;

pub use decode::JsonDecoder;
pub use encode::JsonEncoder;

use arrow::datatypes::{DataType, Schema};

use crate::error::{Error, Result};
use crate::formats::scalar::{DecimalStyle, ScalarStyle};
use crate::formats::text::time::TimestampStyle;
use crate::table::Options;
use crate::table::map::entry_fields;

/// Option names without the prefix.
pub const OPTIONS: &[&str] = &[
    FAIL_ON_MISSING_FIELD,
    IGNORE_PARSE_ERRORS,
    TIMESTAMP_STANDARD,
    NULL_KEY_MODE,
    NULL_KEY_LITERAL,
    DECIMAL_AS_PLAIN_NUMBER,
    IGNORE_NULL_FIELDS,
    JSON_PARSER_ENABLED,
];

const FAIL_ON_MISSING_FIELD: &str = "fail-on-missing-field";
const IGNORE_PARSE_ERRORS: &str = "ignore-parse-errors";
const TIMESTAMP_STANDARD: &str = "timestamp-format.standard";
const NULL_KEY_MODE: &str = "map-null-key.mode";
const NULL_KEY_LITERAL: &str = "map-null-key.literal";
const DECIMAL_AS_PLAIN_NUMBER: &str = "encode.decimal-as-plain-number";
const IGNORE_NULL_FIELDS: &str = "encode.ignore-null-fields";
const JSON_PARSER_ENABLED: &str = "decode.json-parser.enabled";

/// The options of both directions, so that a wrong one is found whatever the table is used for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct JsonOptions {
    fail_on_missing_field: bool,
    ignore_parse_errors: bool,
    scalars: ScalarStyle,
    ignore_null_fields: bool,
    null_keys: NullKeys,
    null_literal: String,
}

/// What becomes of an entry of a map whose key is NULL: `map-null-key.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NullKeys {
    /// It stops the job.
    Fail,
    /// It is left out.
    Drop,
    /// It gets the key `map-null-key.literal`.
    Literal,
}

impl JsonOptions {
    fn new(schema: &Schema, options: &Options, prefix: &str) -> Result<Self> {
        let key = |name: &str| format!("{prefix}{name}");
        // Flink's two parsers give the same rows; this decoder is neither.
        options.boolean(&key(JSON_PARSER_ENABLED), true)?;
        let styles = [("SQL", TimestampStyle::Sql), ("ISO-8601", TimestampStyle::Iso)];
        let null_keys = [("FAIL", NullKeys::Fail), ("DROP", NullKeys::Drop), ("LITERAL", NullKeys::Literal)];
        let read = Self {
            fail_on_missing_field: options.boolean(&key(FAIL_ON_MISSING_FIELD), false)?,
            ignore_parse_errors: options.boolean(&key(IGNORE_PARSE_ERRORS), false)?,
            scalars: ScalarStyle {
                timestamps: options.one_of(&key(TIMESTAMP_STANDARD), TimestampStyle::Sql, &styles)?,
                decimals: match options.boolean(&key(DECIMAL_AS_PLAIN_NUMBER), false)? {
                    true => DecimalStyle::Exact,
                    false => DecimalStyle::Scientific,
                },
            },
            ignore_null_fields: options.boolean(&key(IGNORE_NULL_FIELDS), false)?,
            null_keys: options.one_of(&key(NULL_KEY_MODE), NullKeys::Fail, &null_keys)?,
            null_literal: options.get(&key(NULL_KEY_LITERAL)).unwrap_or("null").to_owned(),
        };
        if read.fail_on_missing_field && read.ignore_parse_errors {
            let both = format!("\"{}\" and \"{}\"", key(FAIL_ON_MISSING_FIELD), key(IGNORE_PARSE_ERRORS));
            return Err(options.error(&key(FAIL_ON_MISSING_FIELD), format!("{both} cannot both be true")));
        }
        schema.fields().iter().try_for_each(|f| check_map_keys(f.name(), f.data_type()))?;
        Ok(read)
    }
}

/// Keys of a JSON object are texts.
fn check_map_keys(column: &str, data_type: &DataType) -> Result<()> {
    match data_type {
        DataType::List(item) => check_map_keys(column, item.data_type()),
        DataType::Struct(fields) => fields.iter().try_for_each(|f| check_map_keys(column, f.data_type())),
        map @ DataType::Map(..) => {
            let Some((key, value)) = entry_fields(map) else { return Ok(()) };
            if *key.data_type() != DataType::Utf8 {
                return Err(Error::config(format!("column \"{column}\": the keys of a MAP in JSON must be STRING")));
            }
            check_map_keys(column, value.data_type())
        }
        _ => Ok(()),
    }
}
