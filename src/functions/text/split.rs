//! Texts in parts: SPLIT_INDEX, SPLIT, STR_TO_MAP.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, ListBuilder, StringArray, StringBuilder};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::DataType;
use datafusion::error::Result;

use crate::error::Error;
use crate::functions::regex::pattern::Pattern;
use crate::functions::scalar::{At, Call};
use crate::table::java_map::{order, text_hash};
use crate::table::map::{map_array, map_type};

fn split_part<'a>(text: &'a str, separator: &str, index: i64) -> Option<&'a str> {
    let index = usize::try_from(index).ok()?;
    if text.is_empty() {
        None
    } else if separator.is_empty() {
        text.split(char::is_whitespace).nth(index)
    } else {
        text.split(separator).nth(index)
    }
}

/// A number as separator is the character of that code.
pub(super) fn split_index(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, indexes) = (call.text(0)?, call.integers(2)?);
    let separators =
        if call.any(1)?.data_type().is_string() { call.text(1)?.clone() } else { chars_of(call.integers(1)?) };
    call.build_text(|row| {
        let parts = texts.at(row).zip(separators.at(row)).zip(indexes.at(row));
        Ok(parts.and_then(|((text, separator), index)| split_part(text, separator, index)))
    })
}

fn chars_of(codes: &Int64Array) -> StringArray {
    let character = |code: i64| u32::try_from(code).ok().and_then(char::from_u32).map(String::from);
    codes.iter().map(|code| code.and_then(character)).collect()
}

pub(super) fn split(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, separators) = (call.text(0)?, call.text(1)?);
    let mut lists = ListBuilder::new(StringBuilder::new());
    let mut one_character = [0_u8; 4];
    for row in 0..call.rows {
        let Some((text, separator)) = texts.at(row).zip(separators.at(row)) else {
            lists.append_null();
            continue;
        };
        if separator.is_empty() {
            text.chars().for_each(|c| lists.values().append_value(c.encode_utf8(&mut one_character)));
        } else if !text.is_empty() {
            text.split(separator).for_each(|part| lists.values().append_value(part));
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

/// MAP<STRING, STRING>.
pub(super) fn map_of_texts() -> DataType {
    map_type(DataType::Utf8, DataType::Utf8, true)
}

/// A separator as a pattern, compiled once as long as it repeats.
fn separator<'a>(known: &'a mut Option<(String, Pattern)>, text: &str) -> Result<&'a Pattern> {
    if known.as_ref().is_none_or(|(before, _)| before != text) {
        let refused = || Error::data(format!("\"{text}\" is no regular expression"));
        *known = Some((text.to_owned(), Pattern::new(text)?.ok_or_else(refused)?));
    }
    known.as_ref().map(|(_, pattern)| pattern).ok_or_else(|| Error::internal("a pattern was lost").into())
}

/// The parts between matches, as `String.split` makes them: with a limit, or without empty ones at the end.
fn parts<'t>(text: &'t str, pattern: &Pattern, limit: Option<usize>) -> Result<Vec<&'t str>> {
    let mut parts = Vec::new();
    let mut done = 0;
    pattern.each(text, |found| {
        let (start, end) = found.whole();
        // an empty match at the begin parts nothing, nor does one at the end
        let nothing = end == 0 || start == end && start == text.len();
        if !nothing && limit.is_none_or(|limit| parts.len() + 1 < limit) {
            parts.push(text.get(done..start).unwrap_or(""));
            done = end;
        }
        Ok(())
    })?;
    parts.push(text.get(done..).unwrap_or(""));
    if limit.is_none() {
        let last = parts.iter().rposition(|part| !part.is_empty()).map_or(0, |last| last + 1);
        parts.truncate(if parts.len() == 1 { 1 } else { last });
    }
    Ok(parts)
}

pub(super) fn str_to_map(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, entries, values) = (call.text(0)?, call.optional_text(1)?, call.optional_text(2)?);
    let (mut between_entries, mut before_value) = (None, None);
    let (mut keys, mut given_values) = (StringBuilder::new(), StringBuilder::new());
    let (mut lengths, mut valid) = (Vec::with_capacity(call.rows), Vec::with_capacity(call.rows));
    for row in 0..call.rows {
        let entry = entries.map_or(Some(","), |entries| entries.at(row));
        let value = values.map_or(Some("="), |values| values.at(row));
        let Some((text, (entry, value))) = texts.at(row).zip(entry.zip(value)) else {
            lengths.push(0);
            valid.push(false);
            continue;
        };
        let pairs = match text.is_empty() {
            true => Vec::new(),
            false => parts(text, separator(&mut between_entries, entry)?, None)?,
        };
        let buckets = pairs.len().next_power_of_two();
        let mut read: Vec<(&str, Option<&str>)> = Vec::with_capacity(pairs.len());
        let mut places = HashMap::new();
        for pair in pairs {
            let halves = parts(pair, separator(&mut before_value, value)?, Some(2))?;
            let (key, given) = match halves[..] {
                [key, given] => (key, Some(given)),
                _ => (pair, None),
            };
            // of equal keys the last one counts, at the place of the first
            let place = *places.entry(key).or_insert(read.len());
            match read.get_mut(place) {
                Some(entry) => entry.1 = given,
                None => read.push((key, given)),
            }
        }
        let hashes: Vec<i32> = read.iter().map(|(key, _)| text_hash(key)).collect();
        for (key, given) in order(&hashes, buckets).into_iter().filter_map(|place| read.get(place)) {
            keys.append_value(key);
            given_values.append_option(*given);
        }
        lengths.push(read.len());
        valid.push(true);
    }
    let offsets = OffsetBuffer::from_lengths(lengths);
    let (keys, values) = (Arc::new(keys.finish()), Arc::new(given_values.finish()));
    Ok(Arc::new(map_array(&map_of_texts(), offsets, keys, values, Some(valid.into()))?))
}
