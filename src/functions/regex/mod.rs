//! REGEXP… with the meaning of Java's patterns: look-around, back-references and possessive repetition included.
//!
//! `syntax` reads a pattern, `machine` runs it by back-tracking, `pattern` chooses between that and the linear-time
//! engine of the `regex` crate, which runs nearly all patterns there are; `like` is LIKE and SIMILAR TO. A pattern is
//! compiled once per batch as long as the column repeats it. A pattern that Java refuses gives NULL, as Flink does.

pub(in crate::functions) mod like;
mod machine;
pub(in crate::functions) mod pattern;
mod set;
mod syntax;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::error::Result;

use self::pattern::Pattern;
use super::bounded::{Bounded, Room};
use super::scalar::Takes::{Integer, Text};
use super::scalar::{At, Call, Entry, boolean, entry};

/// The functions of this file and of `like`.
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        takes: &[Text, Text],
        returns: |_| Some(DataType::Boolean),
        ..entry(
            "regexp",
            "REGEXP(text, pattern)",
            matches,
            "Whether the pattern occurs in the text; not if it is empty.",
        )
    },
    Entry {
        takes: &[Text, Text],
        optional: &[Integer],
        ..entry(
            "regexp_extract",
            "REGEXP_EXTRACT(text, pattern [, group])",
            extract,
            "The first match or one of its groups; NULL without it.",
        )
    },
    Entry {
        takes: &[Text, Text],
        optional: &[Integer],
        returns: |_| Some(DataType::new_list(DataType::Utf8, true)),
        ..entry(
            "regexp_extract_all",
            "REGEXP_EXTRACT_ALL(text, pattern [, group])",
            extract_all,
            "A group, the first if none is named, of every match; NULL if the pattern has no such group.",
        )
    },
    Entry {
        takes: &[Text, Text, Text],
        ..entry(
            "regexp_replace",
            "REGEXP_REPLACE(text, pattern, replacement)",
            replace,
            "Every match replaced by the text as it is: \"$1\" is no group.",
        )
    },
    Entry {
        takes: &[Text, Text],
        ..entry("regexp_substr", "REGEXP_SUBSTR(text, pattern)", substr, "The first match; NULL without one.")
    },
    Entry {
        takes: &[Text, Text],
        returns: |_| Some(DataType::Int32),
        ..entry("regexp_count", "REGEXP_COUNT(text, pattern)", count, "How many matches there are.")
    },
    Entry {
        takes: &[Text, Text],
        returns: |_| Some(DataType::Int32),
        ..entry("regexp_instr", "REGEXP_INSTR(text, pattern)", instr, "Where the first match begins, 0 without one.")
    },
    Entry {
        takes: &[Text, Text],
        optional: &[Text],
        returns: |_| Some(DataType::Boolean),
        ..entry(
            "like",
            "text [NOT] LIKE pattern [ESCAPE 'character']",
            like::like,
            "Whether the whole text is as the pattern says: \"%\" is any text, \"_\" any character.",
        )
    },
    Entry {
        takes: &[Text, Text],
        optional: &[Text],
        returns: |_| Some(DataType::Boolean),
        ..entry(
            "similar_to",
            "text [NOT] SIMILAR TO pattern [ESCAPE 'character']",
            like::similar,
            "As LIKE, with | * + ? {n} (…) and […] as in regular expressions.",
        )
    },
];

/// The value of a decimal digit of any script, as `Character.digit` has it.
pub(in crate::functions) fn digit_value(c: char) -> Option<u32> {
    static DIGITS: LazyLock<Vec<(char, char)>> = LazyLock::new(|| {
        let digits = set::property("Nd", false);
        digits
            .map(|class| class.ranges().iter().map(|range| (range.start(), range.end())).collect())
            .unwrap_or_default()
    });
    let run = DIGITS.iter().find(|(from, to)| (*from..=*to).contains(&c))?;
    Some((u32::from(c) - u32::from(run.0)) % 10)
}

/// Compiled patterns of a column, which is nearly always one and the same.
#[derive(Default)]
struct Patterns {
    last: Option<(String, Option<Pattern>)>,
}

impl Patterns {
    /// `None`: Java refuses the pattern.
    fn get(&mut self, text: &str) -> Result<Option<&Pattern>> {
        if self.last.as_ref().is_none_or(|(known, _)| known != text) {
            self.last = Some((text.to_owned(), Pattern::new(text)?));
        }
        Ok(self.last.as_ref().and_then(|(_, pattern)| pattern.as_ref()))
    }
}

/// Text and compiled pattern of each row that has both.
fn each_row<'a, T>(
    call: &'a Call<'_>,
    mut value: impl FnMut(usize, &'a str, &Pattern) -> Result<Option<T>> + 'a,
) -> Result<impl FnMut(usize) -> Result<Option<T>> + 'a> {
    let (texts, patterns) = (call.text(0)?, call.text(1)?);
    let mut compiled = Patterns::default();
    Ok(move |row: usize| {
        let Some((text, pattern)) = texts.at(row).zip(patterns.at(row)) else { return Ok(None) };
        match compiled.get(pattern)? {
            Some(pattern) => value(row, text, pattern),
            None => Ok(None),
        }
    })
}

fn matches(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, patterns) = (call.text(0)?, call.text(1)?);
    let mut compiled = Patterns::default();
    boolean(call, |row| {
        let Some((text, pattern)) = texts.at(row).zip(patterns.at(row)) else { return Ok(None) };
        let found = match compiled.get(pattern)? {
            Some(compiled) if !pattern.is_empty() => compiled.occurs(text)?,
            _ => false,
        };
        Ok(Some(found))
    })
}

/// The group to take per row: `default` without an argument; `None` if the pattern has no such group.
fn wanted<'a>(call: &'a Call<'_>, default: i64) -> Result<impl Fn(usize, &Pattern) -> Option<usize> + 'a> {
    let groups = if call.count() > 2 { Some(call.integers(2)?) } else { None };
    Ok(move |row: usize, pattern: &Pattern| {
        let group = usize::try_from(groups.map_or(Some(default), |groups| groups.at(row))?).ok()?;
        (group <= pattern.groups).then_some(group)
    })
}

fn extract(call: &Call<'_>) -> Result<ArrayRef> {
    let wanted = wanted(call, 0)?;
    call.build_text(each_row(call, |row, text, pattern| {
        let Some(group) = wanted(row, pattern) else { return Ok(None) };
        Ok(pattern.first(text)?.and_then(|found| found.group(group)))
    })?)
}

fn extract_all(call: &Call<'_>) -> Result<ArrayRef> {
    let wanted = wanted(call, 1)?;
    // groups of a look-ahead overlap, so that they can be more than their text
    let mut room = Room::new();
    let mut rows = each_row(call, move |row, text, pattern| {
        let Some(group) = wanted(row, pattern) else { return Ok(None) };
        let mut all = Vec::new();
        pattern.each(text, |found| {
            let group = found.group(group);
            room.take(group.map_or(0, str::len))?;
            all.push(group);
            Ok(())
        })?;
        Ok(Some(all))
    })?;
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..call.rows {
        let list = rows(row)?;
        lists.append_option(list);
    }
    Ok(Arc::new(lists.finish()))
}

fn replace(call: &Call<'_>) -> Result<ArrayRef> {
    let replacements = call.text(2)?;
    call.build_text(each_row(call, |row, text, pattern| {
        let Some(replacement) = replacements.at(row) else { return Ok(None) };
        let mut out = Bounded::new("REGEXP_REPLACE");
        let mut done = 0;
        pattern.each(text, |found| {
            let (start, end) = found.whole();
            out.push(text.get(done..start).unwrap_or(""))?;
            out.push(replacement)?;
            done = end;
            Ok(())
        })?;
        out.push(text.get(done..).unwrap_or(""))?;
        Ok(Some(out.finish()))
    })?)
}

fn substr(call: &Call<'_>) -> Result<ArrayRef> {
    call.build_text(each_row(call, |_, text, pattern| Ok(pattern.first(text)?.and_then(|found| found.group(0))))?)
}

fn count(call: &Call<'_>) -> Result<ArrayRef> {
    call.build::<Int32Type>(each_row(call, |_, text, pattern| {
        let mut count = 0;
        pattern.each(text, |_| {
            count += 1;
            Ok(())
        })?;
        Ok(Some(count))
    })?)
}

fn instr(call: &Call<'_>) -> Result<ArrayRef> {
    call.build::<Int32Type>(each_row(call, |_, text, pattern| {
        let Some(found) = pattern.first(text)? else { return Ok(Some(0)) };
        // Java counts UTF-16 units here
        let before = text.get(..found.whole().0).unwrap_or("").encode_utf16().count();
        Ok(Some(i32::try_from(before).unwrap_or(i32::MAX).saturating_add(1)))
    })?)
}
