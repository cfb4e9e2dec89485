//! Functions of text. NULL in, NULL out, unless said otherwise; positions and lengths count code points from 1.

mod search;
mod split;

use std::borrow::Cow;
use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::error::Result;

use super::bounded::{Bounded, too_long};
use super::regex::digit_value;
use super::regex::pattern::Pattern;
use super::scalar::Takes::{Any, Integer, IntegerOrText, Text, TextOrBytes};
use super::scalar::{At, Call, Entry, Types, boolean};
use crate::limits::RESULT_BYTES_MAX;

const fn text1(
    name: &'static str,
    aliases: &'static [&'static str],
    usage: &'static str,
    kernel: fn(&Call<'_>) -> Result<ArrayRef>,
    doc: &'static str,
) -> Entry {
    Entry { name, aliases, usage, takes: &[Text], returns: a_text, kernel, doc, ..Entry::BASE }
}

const fn is_each(
    name: &'static str,
    usage: &'static str,
    kernel: fn(&Call<'_>) -> Result<ArrayRef>,
    doc: &'static str,
) -> Entry {
    let returns = |types: &Types<'_>| {
        let of = types.get(0)?;
        (of.is_string() || of.is_null() || of.is_numeric()).then_some(DataType::Boolean)
    };
    Entry { takes: &[Any], returns, ..text1(name, &[], usage, kernel, doc) }
}

/// The functions of this file.
pub(super) const ENTRIES: &[Entry] = &[
    text1("upper", &[], "UPPER(text)", upper, "The text in upper case."),
    text1("lower", &[], "LOWER(text)", lower, "The text in lower case."),
    text1("initcap", &[], "INITCAP(text)", initcap, "Words with a capital; only ASCII letters are changed."),
    text1("reverse", &[], "REVERSE(text)", reverse, "The text backwards."),
    Entry {
        returns: an_int,
        ..text1("char_length", &["character_length"], "CHAR_LENGTH(text)", char_length, "Number of code points.")
    },
    Entry {
        returns: an_int,
        ..text1("ascii", &[], "ASCII(text)", ascii, "First byte in UTF-8, signed; 0 for an empty text.")
    },
    Entry {
        takes: &[Integer],
        ..text1("chr", &[], "CHR(number)", chr, "The character of the low eight bits; an empty text if negative.")
    },
    Entry {
        optional: &[Text],
        ..text1("btrim", &["trim"], "TRIM(BOTH characters FROM text)", btrim, "Without the characters (blanks) around.")
    },
    Entry {
        optional: &[Text],
        ..text1("ltrim", &[], "TRIM(LEADING characters FROM text)", ltrim, "Without the characters (blanks) before.")
    },
    Entry {
        optional: &[Text],
        ..text1("rtrim", &[], "TRIM(TRAILING characters FROM text)", rtrim, "Without the characters (blanks) after.")
    },
    Entry {
        repeated: Some(Text),
        ..text1("concat", &[], "CONCAT(text, …)", concat, "The texts joined; NULL if any is NULL.")
    },
    Entry {
        repeated: Some(Text),
        ..text1(
            "concat_ws",
            &[],
            "CONCAT_WS(separator, text, …)",
            concat_ws,
            "The texts joined by the separator; NULLs are left out.",
        )
    },
    Entry {
        takes: &[Text, Integer],
        optional: &[Integer],
        ..text1(
            "substring",
            &["substr"],
            "SUBSTRING(text, start [, length])",
            substring,
            "From a place on; a negative one counts from the end, 0 is 1; NULL for a negative length.",
        )
    },
    Entry { takes: &[Text, Integer], ..text1("left", &[], "LEFT(text, length)", left, "The first characters.") },
    Entry { takes: &[Text, Integer], ..text1("right", &[], "RIGHT(text, length)", right, "The last characters.") },
    Entry { takes: &[Text, Integer], ..text1("repeat", &[], "REPEAT(text, times)", repeat, "The text so many times.") },
    Entry {
        takes: &[Text, Text, Text],
        ..text1("replace", &[], "REPLACE(text, search, replacement)", replace, "Every occurrence replaced.")
    },
    Entry {
        takes: &[Text, Integer, Text],
        ..text1(
            "lpad",
            &[],
            "LPAD(text, length, pad)",
            lpad,
            "Padded before, or cut, to the length in UTF-16 units; NULL if that is negative or the pad is empty.",
        )
    },
    Entry {
        takes: &[Text, Integer, Text],
        ..text1("rpad", &[], "RPAD(text, length, pad)", rpad, "As LPAD, padded after.")
    },
    Entry {
        takes: &[Text, IntegerOrText, Integer],
        ..text1(
            "split_index",
            &[],
            "SPLIT_INDEX(text, separator, index)",
            split::split_index,
            "The part at an index from 0; NULL outside, and for an empty text.",
        )
    },
    Entry {
        takes: &[Text, Text],
        returns: an_int,
        ..text1("position", &[], "POSITION(search IN text)", search::position, "Where the search begins, 0 if nowhere.")
    },
    Entry {
        takes: &[Text, Text],
        optional: &[Integer],
        returns: an_int,
        ..text1("locate", &[], "LOCATE(search, text [, from])", search::position, "As POSITION, from a place on.")
    },
    Entry {
        takes: &[Text, Text],
        optional: &[Integer, Integer],
        returns: an_int,
        ..text1(
            "instr",
            &[],
            "INSTR(text, search [, from [, occurrence]])",
            search::instr,
            "As POSITION, with the text first; from a negative place backwards.",
        )
    },
    Entry {
        takes: &[Text, Text],
        returns: an_int,
        ..text1("strpos", &[], "POSITION(search IN text)", search::strpos, "POSITION as the parser writes it.")
    },
    Entry {
        takes: &[Text, Text, Integer],
        optional: &[Integer],
        ..text1(
            "overlay",
            &[],
            "OVERLAY(text PLACING other FROM start [FOR length])",
            overlay,
            "Part of the text replaced, in UTF-16 units; all the rest for a length of 0 or less; as it is if the start is outside.",
        )
    },
    Entry {
        takes: &[Text, Text, Text],
        ..text1(
            "translate",
            &[],
            "TRANSLATE(text, from, to)",
            translate,
            "Each character of \"from\" replaced by the one of \"to\" at its place, or left out.",
        )
    },
    Entry {
        takes: &[TextOrBytes, TextOrBytes],
        returns: both_alike,
        ..text1("startswith", &[], "STARTSWITH(text, begin)", starts_with, "Whether the text, or bytes, begin so.")
    },
    Entry {
        takes: &[TextOrBytes, TextOrBytes],
        returns: both_alike,
        ..text1("endswith", &[], "ENDSWITH(text, end)", ends_with, "Whether the text, or bytes, end so.")
    },
    Entry {
        takes: &[Integer, TextOrBytes],
        repeated: Some(TextOrBytes),
        returns: |types| types.types.get(1..)?.iter().find(|t| **t != DataType::Null).cloned().or(Some(DataType::Utf8)),
        ..text1("elt", &[], "ELT(index, text, …)", elt, "The text at an index from 1; NULL outside.")
    },
    Entry {
        takes: &[Text, Text],
        returns: |_| Some(DataType::new_list(DataType::Utf8, true)),
        ..text1(
            "split",
            &[],
            "SPLIT(text, separator)",
            split::split,
            "The parts as an array; the characters for an empty separator.",
        )
    },
    Entry {
        optional: &[Text, Text],
        returns: |_| Some(split::map_of_texts()),
        ..text1(
            "str_to_map",
            &[],
            "STR_TO_MAP(text [, entries, value])",
            split::str_to_map,
            "A map of \"a=1,b=2\"; the separators are regular expressions, \",\" and \"=\" if left out.",
        )
    },
    is_each("is_alpha", "IS_ALPHA(text)", is_alpha, "Whether there are letters and nothing else."),
    is_each("is_digit", "IS_DIGIT(text)", is_digit, "Whether there are digits and nothing else."),
    is_each("is_decimal", "IS_DECIMAL(text)", is_decimal, "Whether the text reads as a number."),
];

/// BOOLEAN of two texts, or of bytes and bytes.
fn both_alike(types: &Types<'_>) -> Option<DataType> {
    let [one, other] = types.types else { return None };
    (one.is_string() == other.is_string() || one.is_null() || other.is_null()).then_some(DataType::Boolean)
}

fn a_text(_: &Types<'_>) -> Option<DataType> {
    Some(DataType::Utf8)
}

fn an_int(_: &Types<'_>) -> Option<DataType> {
    Some(DataType::Int32)
}

/// One text to another.
fn each<'a>(call: &'a Call<'_>, change: impl Fn(&'a str) -> Cow<'a, str>) -> Result<ArrayRef> {
    let texts = call.text(0)?;
    call.build_text(|row| Ok(texts.at(row).map(&change)))
}

fn upper(call: &Call<'_>) -> Result<ArrayRef> {
    each(call, |text| text.to_uppercase().into())
}

fn lower(call: &Call<'_>) -> Result<ArrayRef> {
    each(call, |text| text.to_lowercase().into())
}

fn reverse(call: &Call<'_>) -> Result<ArrayRef> {
    each(call, |text| text.chars().rev().collect::<String>().into())
}

fn initcap(call: &Call<'_>) -> Result<ArrayRef> {
    each(call, |text| {
        let mut inside = false;
        let change = |c: char| {
            let changed = if inside { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
            inside = c.is_ascii_alphanumeric();
            changed
        };
        text.chars().map(change).collect::<String>().into()
    })
}

/// A count as INT.
fn int(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn char_length(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.text(0)?;
    call.build::<Int32Type>(|row| Ok(texts.at(row).map(|text| int(text.chars().count()))))
}

fn ascii(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.text(0)?;
    call.build::<Int32Type>(|row| Ok(texts.at(row).map(|text| i32::from(text.bytes().next().unwrap_or(0) as i8))))
}

fn chr(call: &Call<'_>) -> Result<ArrayRef> {
    let codes = call.integers(0)?;
    let character = |code: i64| char::from(code as u8).to_string();
    let of = |code: i64| if code < 0 { String::new() } else { character(code) };
    call.build_text(|row| Ok(codes.at(row).map(of)))
}

fn trim(call: &Call<'_>, cut: for<'a> fn(&'a str, &[char]) -> &'a str) -> Result<ArrayRef> {
    let (texts, sets) = (call.text(0)?, call.optional_text(1)?);
    call.build_text(|row| {
        let set = sets.map_or(Some(" "), |sets| sets.at(row));
        let cut = |(text, set): (&'_ str, &str)| cut(text, &set.chars().collect::<Vec<_>>()).to_owned();
        Ok(texts.at(row).zip(set).map(cut))
    })
}

fn btrim(call: &Call<'_>) -> Result<ArrayRef> {
    trim(call, |text, set| text.trim_matches(set))
}

fn ltrim(call: &Call<'_>) -> Result<ArrayRef> {
    trim(call, |text, set| text.trim_start_matches(set))
}

fn rtrim(call: &Call<'_>) -> Result<ArrayRef> {
    trim(call, |text, set| text.trim_end_matches(set))
}

fn concat(call: &Call<'_>) -> Result<ArrayRef> {
    let columns = (0..call.count()).map(|index| call.text(index)).collect::<Result<Vec<_>>>()?;
    call.build_text(|row| {
        if columns.iter().any(|column| column.is_null(row)) {
            return Ok(None);
        }
        let mut joined = Bounded::new("CONCAT");
        columns.iter().try_for_each(|column| joined.push(column.value(row)))?;
        Ok(Some(joined.finish()))
    })
}

fn concat_ws(call: &Call<'_>) -> Result<ArrayRef> {
    let columns = (1..call.count()).map(|index| call.text(index)).collect::<Result<Vec<_>>>()?;
    let separators = call.text(0)?;
    call.build_text(|row| {
        let Some(separator) = separators.at(row) else { return Ok(None) };
        let mut joined = Bounded::new("CONCAT_WS");
        for (place, part) in columns.iter().filter_map(|column| column.at(row)).enumerate() {
            if place > 0 {
                joined.push(separator)?;
            }
            joined.push(part)?;
        }
        Ok(Some(joined.finish()))
    })
}

/// `count` code points from the one at `start`, counted from 0.
fn characters(text: &str, start: usize, count: usize) -> &str {
    let rest = text.char_indices().nth(start).map_or("", |(byte, _)| text.get(byte..).unwrap_or(""));
    let end = rest.char_indices().nth(count).map_or(rest.len(), |(byte, _)| byte);
    rest.get(..end).unwrap_or("")
}

fn substring_of(text: &str, start: i64, length: Option<i64>) -> Option<&str> {
    let count = match length {
        Some(length) => usize::try_from(length).ok()?,
        None => usize::MAX,
    };
    let skip = if start > 0 {
        usize::try_from(start - 1).ok()
    } else if start == 0 {
        Some(0)
    } else {
        // before the first character there is nothing
        usize::try_from(start.unsigned_abs()).ok().and_then(|back| text.chars().count().checked_sub(back))
    };
    Some(skip.map_or("", |skip| characters(text, skip, count)))
}

fn substring(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, starts) = (call.text(0)?, call.integers(1)?);
    let lengths = if call.count() > 2 { Some(call.integers(2)?) } else { None };
    call.build_text(|row| {
        let length = match lengths.map(|lengths| lengths.at(row)) {
            Some(None) => return Ok(None),
            Some(length) => length,
            None => None,
        };
        Ok(texts.at(row).zip(starts.at(row)).and_then(|(text, start)| substring_of(text, start, length)))
    })
}

/// A count that a text can have: negative is 0.
fn count(number: i64) -> usize {
    usize::try_from(number.max(0)).unwrap_or(usize::MAX)
}

fn left(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, lengths) = (call.text(0)?, call.integers(1)?);
    call.build_text(|row| Ok(texts.at(row).zip(lengths.at(row)).map(|(text, n)| characters(text, 0, count(n)))))
}

fn right(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, lengths) = (call.text(0)?, call.integers(1)?);
    call.build_text(|row| {
        let last = |(text, n): (_, i64)| {
            let text: &str = text;
            characters(text, text.chars().count().saturating_sub(count(n)), usize::MAX)
        };
        Ok(texts.at(row).zip(lengths.at(row)).map(last))
    })
}

fn repeat(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, times) = (call.text(0)?, call.integers(1)?);
    call.build_text(|row| {
        let Some((text, times)) = texts.at(row).zip(times.at(row)) else { return Ok(None) };
        if text.len().saturating_mul(count(times)) > RESULT_BYTES_MAX {
            return Err(too_long("REPEAT").into());
        }
        Ok(Some(if text.is_empty() { String::new() } else { text.repeat(count(times)) }))
    })
}

fn replace(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, searches, replacements) = (call.text(0)?, call.text(1)?, call.text(2)?);
    call.build_text(|row| {
        let parts = texts.at(row).zip(searches.at(row)).zip(replacements.at(row));
        Ok(parts.map(|((text, search), replacement)| replaced(text, search, replacement)).transpose()?)
    })
}

/// Every occurrence replaced; an empty text is found around every character.
fn replaced(text: &str, search: &str, replacement: &str) -> crate::error::Result<String> {
    let mut out = Bounded::new("REPLACE");
    let mut done = 0;
    for (start, found) in text.match_indices(search) {
        out.push(text.get(done..start).unwrap_or(""))?;
        out.push(replacement)?;
        done = start + found.len();
    }
    out.push(text.get(done..).unwrap_or(""))?;
    Ok(out.finish())
}

/// Java counts UTF-16 units here; a cut inside a pair leaves `?`, as encoding it to UTF-8 does there.
fn pad(text: &str, length: i64, pad: &str, before: bool) -> Result<Option<String>> {
    if length < 0 || pad.is_empty() {
        return Ok(None);
    }
    let length = count(length);
    if length > RESULT_BYTES_MAX {
        return Err(too_long("LPAD or RPAD").into());
    }
    let text: Vec<u16> = text.encode_utf16().collect();
    let missing = length.saturating_sub(text.len());
    let padding = pad.encode_utf16().collect::<Vec<_>>().into_iter().cycle().take(missing);
    let text = text.into_iter().take(length);
    let units: Vec<u16> = if before { padding.chain(text).collect() } else { text.chain(padding).collect() };
    Ok(Some(char::decode_utf16(units).map(|unit| unit.unwrap_or('?')).collect()))
}

fn padded(call: &Call<'_>, before: bool) -> Result<ArrayRef> {
    let (texts, lengths, pads) = (call.text(0)?, call.integers(1)?, call.text(2)?);
    call.build_text(|row| match texts.at(row).zip(lengths.at(row)).zip(pads.at(row)) {
        Some(((text, length), with)) => pad(text, length, with, before),
        None => Ok(None),
    })
}

fn lpad(call: &Call<'_>) -> Result<ArrayRef> {
    padded(call, true)
}

fn rpad(call: &Call<'_>) -> Result<ArrayRef> {
    padded(call, false)
}

/// `text` with `length` UTF-16 units from `start` on replaced, as Java counts them; all the rest if that is none. What
/// is left of a character cut in the middle is `?`.
fn overlaid(text: &str, other: &str, start: i64, length: i64) -> String {
    let units: Vec<u16> = text.encode_utf16().collect();
    let skip = usize::try_from(start).ok().and_then(|start| start.checked_sub(1)).filter(|skip| *skip < units.len());
    let Some(skip) = skip else { return text.to_owned() };
    let rest = if length > 0 { skip.saturating_add(count(length)).min(units.len()) } else { units.len() };
    let kept = |part: Option<&[u16]>| -> String {
        char::decode_utf16(part.unwrap_or_default().iter().copied()).map(|c| c.unwrap_or('?')).collect()
    };
    format!("{}{other}{}", kept(units.get(..skip)), kept(units.get(rest..)))
}

fn overlay(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, others, starts) = (call.text(0)?, call.text(1)?, call.integers(2)?);
    let lengths = if call.count() > 3 { Some(call.integers(3)?) } else { None };
    call.build_text(|row| {
        let Some(((text, other), start)) = texts.at(row).zip(others.at(row)).zip(starts.at(row)) else {
            return Ok(None);
        };
        let own = i64::try_from(other.encode_utf16().count()).unwrap_or(i64::MAX);
        let length = lengths.map_or(Some(own), |lengths| lengths.at(row));
        Ok(length.map(|length| overlaid(text, other, start, length)))
    })
}

fn translate(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, froms, tos) = (call.text(0)?, call.text(1)?, call.text(2)?);
    /// What becomes of each character: another, or nothing.
    type Changes = HashMap<char, Option<char>>;
    let mut last: Option<(&str, &str, Changes)> = None;
    call.build_text(|row| {
        let (Some(text), Some(from)) = (texts.at(row), froms.at(row)) else {
            return Ok(texts.at(row).map(Cow::Borrowed));
        };
        let to = tos.at(row).unwrap_or("");
        if last.as_ref().is_none_or(|(f, t, _)| *f != from || *t != to) {
            let mut map = Changes::new();
            let replacements = to.chars().map(Some).chain(std::iter::repeat(None));
            for (c, replacement) in from.chars().zip(replacements) {
                // the first of equal characters counts
                map.entry(c).or_insert(replacement);
            }
            last = Some((from, to, map));
        }
        let Some((_, _, map)) = &last else { return Ok(None) };
        let mut translated = Bounded::new("TRANSLATE");
        for c in text.chars().filter_map(|c| map.get(&c).copied().unwrap_or(Some(c))) {
            translated.push(c.encode_utf8(&mut [0; 4]))?;
        }
        Ok(Some(Cow::Owned(translated.finish())))
    })
}

fn both_bytes(call: &Call<'_>, test: fn(&[u8], &[u8]) -> bool) -> Result<ArrayRef> {
    let (texts, parts) = (call.bytes(0)?, call.bytes(1)?);
    boolean(call, |row| Ok(texts.at(row).zip(parts.at(row)).map(|(text, part)| test(text, part))))
}

fn starts_with(call: &Call<'_>) -> Result<ArrayRef> {
    both_bytes(call, <[u8]>::starts_with)
}

fn ends_with(call: &Call<'_>) -> Result<ArrayRef> {
    both_bytes(call, <[u8]>::ends_with)
}

fn elt(call: &Call<'_>) -> Result<ArrayRef> {
    let indexes = call.integers(0)?;
    let chosen = |row: usize| {
        let index = indexes.at(row).and_then(|index| usize::try_from(index).ok());
        index.filter(|index| (1..call.count()).contains(index))
    };
    if *call.return_type == DataType::Utf8 {
        let texts = (1..call.count()).map(|index| call.text(index)).collect::<Result<Vec<_>>>()?;
        return call.build_text(|row| Ok(chosen(row).and_then(|index| texts.get(index - 1)?.at(row))));
    }
    let values = (1..call.count()).map(|index| call.bytes(index)).collect::<Result<Vec<_>>>()?;
    call.build_bytes(|row| Ok(chosen(row).and_then(|index| values.get(index - 1)?.at(row))))
}

/// A test of texts that is FALSE for NULL; what is no text is never `test`ed.
fn is_all(call: &Call<'_>, test: impl Fn(&str) -> bool) -> Result<ArrayRef> {
    let column = call.any(0)?;
    if !column.data_type().is_string() {
        return boolean(call, |_| Ok(Some(false)));
    }
    let texts = arrow::compute::cast(column, &DataType::Utf8)?;
    boolean(call, |row| Ok(Some(texts.as_string::<i32>().at(row).is_some_and(&test))))
}

fn is_alpha(call: &Call<'_>) -> Result<ArrayRef> {
    let letter = Pattern::new("\\p{L}+")?;
    let Some(letter) = letter else { return Err(crate::error::Error::internal("letters are no pattern").into()) };
    is_all(call, |text| letter.first(text).ok().flatten().is_some_and(|found| found.whole() == (0, text.len())))
}

fn is_digit(call: &Call<'_>) -> Result<ArrayRef> {
    let digit = Pattern::new("\\p{Nd}+")?;
    let Some(digit) = digit else { return Err(crate::error::Error::internal("digits are no pattern").into()) };
    is_all(call, |text| digit.first(text).ok().flatten().is_some_and(|found| found.whole() == (0, text.len())))
}

fn is_decimal(call: &Call<'_>) -> Result<ArrayRef> {
    let column = call.any(0)?;
    if super::cast::number::is_number(column.data_type()) && *column.data_type() != DataType::Boolean {
        return boolean(call, |row| Ok(Some(column.is_valid(row))));
    }
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| digit_value(c).is_some());
    is_all(call, |text| super::cast::parse::read_double(text).is_some() || digits(text))
}
