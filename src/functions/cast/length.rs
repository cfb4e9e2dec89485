//! The declared length of a text or of bytes: the second half of a cast to CHAR(n), VARCHAR(n), BINARY(n) or
//! VARBINARY(n), and what sinks do with values of another length.
//!
//! A text is as long as it has code points; it is filled up with blanks, bytes with zeros. Values that fit are the
//! same array, not a copy.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;

use crate::error::Error;
use crate::functions::scalar::Takes::{Any, Integer, Text};
use crate::functions::scalar::{Call, Entry, Nature, Types};

const fn entry(
    name: &'static str,
    usage: &'static str,
    kernel: fn(&Call<'_>) -> Result<ArrayRef>,
    doc: &'static str,
) -> Entry {
    let returns = |types: &Types<'_>| types.get(0);
    Entry {
        name,
        aliases: &[],
        usage,
        takes: &[Any, Integer],
        optional: &[],
        repeated: None,
        nature: Nature::Usual,
        returns,
        kernel,
        doc,
    }
}

/// The functions of this file. They have no Flink name: the planner writes them for CAST and for sinks.
pub(in crate::functions) const ENTRIES: &[Entry] = &[
    entry("flink_trim", "CAST(value AS VARCHAR(n))", |call| fit(call, false), "The first n characters or bytes."),
    entry(
        "flink_trim_pad",
        "CAST(value AS CHAR(n))",
        |call| fit(call, true),
        "The first n characters or bytes, filled up with blanks or zeros.",
    ),
    Entry {
        takes: &[Any, Integer, Integer, Text],
        ..entry("flink_check_length", "a sink's column", check, "The value; an error if it has another length.")
    },
];

/// The second argument, which is the same in all rows.
fn size(call: &Call<'_>) -> Result<usize> {
    let sizes = call.any(1)?.as_primitive::<Int64Type>();
    let first = if sizes.is_empty() { 0 } else { sizes.value(0) };
    Ok(usize::try_from(first).unwrap_or(0))
}

fn fit(call: &Call<'_>, fixed: bool) -> Result<ArrayRef> {
    let (values, size) = (call.any(0)?, size(call)?);
    match values.data_type() {
        DataType::Utf8 => Ok(fit_texts(values, size, fixed)),
        DataType::Binary => Ok(fit_bytes(values, size, fixed)),
        // NULL without a type
        DataType::Null => Ok(Arc::clone(values)),
        other => Err(Error::internal(format!("a length of {other}")).into()),
    }
}

fn fit_texts(values: &ArrayRef, size: usize, fixed: bool) -> ArrayRef {
    let texts: &StringArray = values.as_string();
    if texts.iter().flatten().all(|text| fits(length_of(text), size, fixed)) {
        return Arc::clone(values);
    }
    let fitted = texts.iter().map(|text| {
        text.map(|text| {
            let mut fitted: String = text.chars().take(size).collect();
            if fixed {
                let missing = size.saturating_sub(length_of(&fitted));
                fitted.extend(std::iter::repeat_n(' ', missing));
            }
            fitted
        })
    });
    Arc::new(fitted.collect::<StringArray>())
}

fn fit_bytes(values: &ArrayRef, size: usize, fixed: bool) -> ArrayRef {
    let bytes = values.as_binary::<i32>();
    if bytes.iter().flatten().all(|bytes| fits(bytes.len(), size, fixed)) {
        return Arc::clone(values);
    }
    let fitted = bytes.iter().map(|bytes| {
        bytes.map(|bytes| {
            let mut fitted = bytes.get(..size).unwrap_or(bytes).to_vec();
            if fixed {
                fitted.resize(size, 0);
            }
            fitted
        })
    });
    Arc::new(fitted.collect::<BinaryArray>())
}

fn length_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

fn fits(length: usize, size: usize, fixed: bool) -> bool {
    length == size || (!fixed && length < size)
}

/// `flink_check_length(value, n, 1 for a fixed length, column)`.
fn check(call: &Call<'_>) -> Result<ArrayRef> {
    let (values, size) = (call.any(0)?, size(call)?);
    let kinds = call.any(2)?.as_primitive::<Int64Type>();
    let fixed = !kinds.is_empty() && kinds.value(0) == 1;
    let wrong = match values.data_type() {
        DataType::Utf8 => {
            values.as_string::<i32>().iter().flatten().map(length_of).find(|length| !fits(*length, size, fixed))
        }
        DataType::Binary => {
            values.as_binary::<i32>().iter().flatten().map(<[u8]>::len).find(|length| !fits(*length, size, fixed))
        }
        _ => None,
    };
    match wrong {
        None => Ok(Arc::clone(values)),
        Some(length) => {
            let columns: &StringArray = call.any(3)?.as_string();
            let column = columns.iter().flatten().next().unwrap_or("");
            let most = if fixed { "" } else { "at most " };
            Err(Error::data(format!(
                "column \"{column}\" takes values of length {most}{size}, the query gave one of {length}"
            ))
            .hint("SET 'table.exec.sink.type-length-enforcer' = 'TRIM_PAD' cuts and fills up values")
            .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::zone::Zone;
    use arrow::array::Int64Array;

    fn call(name: &str, values: &ArrayRef, numbers: &[i64]) -> Result<ArrayRef> {
        let rows = values.len();
        let mut arguments = vec![Arc::clone(values)];
        arguments.extend(numbers.iter().map(|n| Arc::new(Int64Array::from(vec![*n; rows])) as ArrayRef));
        arguments.push(Arc::new(StringArray::from(vec!["o.c"; rows])));
        let call = Call { arguments: &arguments, rows, return_type: values.data_type(), zone: &Zone::UTC };
        (ENTRIES.iter().find(|entry| entry.name == name).unwrap().kernel)(&call)
    }

    fn texts(name: &str, values: &[Option<&str>], size: i64) -> Vec<Option<String>> {
        let fitted = call(name, &(Arc::new(StringArray::from(values.to_vec())) as ArrayRef), &[size]).unwrap();
        fitted.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
    }

    #[test]
    fn code_points_are_counted_not_bytes() {
        let values = [Some("äöü€"), Some("a"), None, Some(""), Some("𝔘𝔫𝔦")];
        let shown =
            |all: Vec<Option<String>>| all.into_iter().map(|t| t.unwrap_or_else(|| "-".into())).collect::<Vec<_>>();
        assert_eq!(shown(texts("flink_trim", &values, 2)), ["äö", "a", "-", "", "𝔘𝔫"]);
        assert_eq!(shown(texts("flink_trim_pad", &values, 2)), ["äö", "a ", "-", "  ", "𝔘𝔫"]);
    }

    #[test]
    fn bytes_are_cut_and_filled_up_with_zeros() {
        let values: ArrayRef = Arc::new(BinaryArray::from(vec![&b"\x01"[..], b"\x01\x02\x03\x04"]));
        let padded = call("flink_trim_pad", &values, &[3]).unwrap();
        assert_eq!(padded.as_binary::<i32>().iter().flatten().collect::<Vec<_>>(), [&b"\x01\0\0"[..], b"\x01\x02\x03"]);
        let trimmed = call("flink_trim", &values, &[3]).unwrap();
        assert_eq!(trimmed.as_binary::<i32>().iter().flatten().collect::<Vec<_>>(), [&b"\x01"[..], b"\x01\x02\x03"]);
    }

    #[test]
    fn what_fits_is_the_same_array() {
        let values: ArrayRef = Arc::new(StringArray::from(vec![Some("ab"), None]));
        assert!(Arc::ptr_eq(&values, &call("flink_trim", &values, &[2]).unwrap()));
        assert!(Arc::ptr_eq(&values, &call("flink_trim_pad", &values, &[2]).unwrap()));
    }

    #[test]
    fn another_length_is_an_error_that_names_it() {
        let values: ArrayRef = Arc::new(StringArray::from(vec!["abc", "a"]));
        assert!(call("flink_check_length", &values, &[3, 0]).is_ok());
        let error = call("flink_check_length", &values, &[2, 0]).unwrap_err().to_string();
        assert!(error.contains("one of 3") && error.contains("at most 2") && error.contains("\"o.c\""), "{error}");
        let error = call("flink_check_length", &values, &[3, 1]).unwrap_err().to_string();
        assert!(error.contains("one of 1"), "{error}");
    }
}
