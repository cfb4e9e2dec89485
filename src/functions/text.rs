//! Functions of text. NULL in, NULL out, unless said otherwise; positions and lengths count code points from 1.

use std::borrow::Cow;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Int8Type, Int32Type};
use datafusion::error::Result;

use super::regex;
use super::scalar::Takes::{Integer, Text};
use super::scalar::{At, Call, Entry, Types};

const fn text1(
    name: &'static str,
    aliases: &'static [&'static str],
    usage: &'static str,
    kernel: fn(&Call<'_>) -> Result<ArrayRef>,
    doc: &'static str,
) -> Entry {
    Entry { name, aliases, usage, takes: &[Text], optional: &[], repeated: None, returns: a_text, kernel, doc }
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
        returns: |_| Some(DataType::Int8),
        ..text1("ascii", &[], "ASCII(text)", ascii, "First byte in UTF-8, signed; 0 for an empty text.")
    },
    Entry {
        takes: &[Integer],
        ..text1("chr", &[], "CHR(number)", chr, "The character of the low eight bits; NULL if negative.")
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
        takes: &[Text, Text, Integer],
        ..text1(
            "split_index",
            &[],
            "SPLIT_INDEX(text, separator, index)",
            split_index,
            "The part at an index from 0; NULL outside, and for an empty text.",
        )
    },
    Entry {
        takes: &[Text, Text],
        returns: an_int,
        ..text1("position", &[], "POSITION(search IN text)", position, "Where the search begins, 0 if nowhere.")
    },
    Entry {
        takes: &[Text, Text],
        optional: &[Integer],
        returns: an_int,
        ..text1("locate", &[], "LOCATE(search, text [, from])", position, "As POSITION, from a place on.")
    },
    Entry {
        takes: &[Text, Text],
        returns: an_int,
        ..text1("instr", &[], "INSTR(text, search)", instr, "As POSITION, with the text first.")
    },
    Entry {
        takes: &[Text, Text],
        returns: an_int,
        ..text1("strpos", &[], "POSITION(search IN text)", instr, "POSITION as the parser writes it.")
    },
    Entry {
        takes: &[Text, Text],
        returns: |_| Some(DataType::Boolean),
        ..text1("regexp", &[], "REGEXP(text, pattern)", regex::matches, "Whether the pattern occurs in the text.")
    },
    Entry {
        takes: &[Text, Text],
        optional: &[Integer],
        ..text1(
            "regexp_extract",
            &[],
            "REGEXP_EXTRACT(text, pattern [, group])",
            regex::extract,
            "The first match or one of its groups; NULL without it. Look-around and back-references are refused.",
        )
    },
    Entry {
        takes: &[Text, Text, Text],
        ..text1(
            "regexp_replace",
            &[],
            "REGEXP_REPLACE(text, pattern, replacement)",
            regex::replace,
            "Every match replaced by the text as it is: \"$1\" is no group.",
        )
    },
];

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
    call.build::<Int8Type>(|row| Ok(texts.at(row).map(|text| text.bytes().next().unwrap_or(0) as i8)))
}

fn chr(call: &Call<'_>) -> Result<ArrayRef> {
    let codes = call.integers(0)?;
    let character = |code: i64| char::from(code as u8).to_string();
    call.build_text(|row| Ok(codes.at(row).filter(|code| *code >= 0).map(character)))
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
    call.build_text(|row| Ok(columns.iter().map(|column| column.at(row)).collect::<Option<String>>()))
}

fn concat_ws(call: &Call<'_>) -> Result<ArrayRef> {
    let columns = (1..call.count()).map(|index| call.text(index)).collect::<Result<Vec<_>>>()?;
    let separators = call.text(0)?;
    call.build_text(|row| {
        let parts = || columns.iter().filter_map(|column| column.at(row)).collect::<Vec<_>>();
        Ok(separators.at(row).map(|separator| parts().join(separator)))
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

/// Most bytes a function may make of one value: a wrong number must not take the machine's memory.
const RESULT_BYTES_MAX: usize = 16 << 20;

fn too_long(name: &str) -> datafusion::error::DataFusionError {
    crate::error::Error::data(format!("{name} would give a text of more than {RESULT_BYTES_MAX} bytes")).into()
}

fn repeat(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, times) = (call.text(0)?, call.integers(1)?);
    call.build_text(|row| {
        let Some((text, times)) = texts.at(row).zip(times.at(row)) else { return Ok(None) };
        if text.len().saturating_mul(count(times)) > RESULT_BYTES_MAX {
            return Err(too_long("REPEAT"));
        }
        Ok(Some(if text.is_empty() { String::new() } else { text.repeat(count(times)) }))
    })
}

fn replace(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, searches, replacements) = (call.text(0)?, call.text(1)?, call.text(2)?);
    call.build_text(|row| {
        let parts = texts.at(row).zip(searches.at(row)).zip(replacements.at(row));
        Ok(parts.map(|((text, search), replacement)| text.replace(search, replacement)))
    })
}

/// Java counts UTF-16 units here; a cut inside a pair leaves `?`, as encoding it to UTF-8 does there.
fn pad(text: &str, length: i64, pad: &str, before: bool) -> Result<Option<String>> {
    if length < 0 || pad.is_empty() {
        return Ok(None);
    }
    let length = count(length);
    if length > RESULT_BYTES_MAX {
        return Err(too_long("LPAD or RPAD"));
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

fn split_index(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, separators, indexes) = (call.text(0)?, call.text(1)?, call.integers(2)?);
    call.build_text(|row| {
        let parts = texts.at(row).zip(separators.at(row)).zip(indexes.at(row));
        Ok(parts.and_then(|((text, separator), index)| split_part(text, separator, index)))
    })
}

fn find(text: &str, search: &str, from: i64) -> i32 {
    let Ok(skip) = usize::try_from(from.saturating_sub(1)) else { return 0 };
    let mut starts = text.char_indices().map(|(byte, _)| byte).chain([text.len()]).skip(skip);
    let Some(rest) = starts.next().and_then(|byte| text.get(byte..)) else { return 0 };
    let found = rest.find(search).and_then(|byte| rest.get(..byte));
    found.map_or(0, |before| int(skip.saturating_add(before.chars().count()).saturating_add(1)))
}

fn position(call: &Call<'_>) -> Result<ArrayRef> {
    let (searches, texts) = (call.text(0)?, call.text(1)?);
    let froms = if call.count() > 2 { Some(call.integers(2)?) } else { None };
    call.build::<Int32Type>(|row| {
        let from = froms.map_or(Some(1), |froms| froms.at(row));
        let parts = searches.at(row).zip(texts.at(row)).zip(from);
        Ok(parts.map(|((search, text), from)| find(text, search, from)))
    })
}

fn instr(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, searches) = (call.text(0)?, call.text(1)?);
    call.build::<Int32Type>(|row| Ok(texts.at(row).zip(searches.at(row)).map(|(text, search)| find(text, search, 1))))
}
