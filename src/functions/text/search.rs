//! Where a text is in another: POSITION, LOCATE, INSTR. Places count code points from 1.

use arrow::array::ArrayRef;
use arrow::datatypes::Int32Type;
use datafusion::error::Result;

use super::int;
use crate::error::Error;
use crate::functions::scalar::{At, Call};

/// The place of a search from a place on, both counted from 1; 0 if nowhere.
fn find(text: &str, search: &str, from: i64) -> i32 {
    if search.is_empty() {
        return 1;
    }
    let skip = usize::try_from(from.saturating_sub(1)).unwrap_or(0);
    let mut starts = text.char_indices().map(|(byte, _)| byte).chain([text.len()]).skip(skip);
    let Some(rest) = starts.next().and_then(|byte| text.get(byte..)) else { return 0 };
    let found = rest.find(search).and_then(|byte| rest.get(..byte));
    found.map_or(0, |before| int(skip.saturating_add(before.chars().count()).saturating_add(1)))
}

pub(super) fn position(call: &Call<'_>) -> Result<ArrayRef> {
    let (searches, texts) = (call.text(0)?, call.text(1)?);
    let froms = if call.count() > 2 { Some(call.integers(2)?) } else { None };
    call.build::<Int32Type>(|row| {
        let from = froms.map_or(Some(1), |froms| froms.at(row));
        let parts = searches.at(row).zip(texts.at(row)).zip(from);
        Ok(parts.map(|((search, text), from)| find(text, search, from)))
    })
}

/// The place of the `nth` occurrence from a place on; backwards from a negative one, which counts from the end and
/// which the whole occurrence lies before.
fn find_nth(text: &str, search: &str, from: i64, nth: i64) -> Result<i32> {
    let Some(skip) = usize::try_from(nth).ok().and_then(|nth| nth.checked_sub(1)) else {
        return Err(Error::data("INSTR takes an occurrence of 1 or more").into());
    };
    let starts: Vec<usize> = text.char_indices().map(|(byte, _)| byte).collect();
    if from == 0 || search.is_empty() {
        return Ok(match from {
            0 => 0,
            1.. => 1,
            _ => int(starts.len() + 1),
        });
    }
    let here = |start: &usize| text.get(*start..).is_some_and(|rest| rest.starts_with(search));
    let places = starts.iter().enumerate().filter(|(_, start)| here(start)).map(|(place, _)| place);
    let found = if from > 0 {
        let first = usize::try_from(from - 1).unwrap_or(usize::MAX);
        places.filter(|place| *place >= first).nth(skip)
    } else {
        let back = usize::try_from(from.unsigned_abs() - 1).unwrap_or(usize::MAX);
        let end = starts.len().saturating_sub(back);
        let length = search.chars().count();
        let all: Vec<usize> = places.filter(|place| place.saturating_add(length) <= end).collect();
        all.into_iter().rev().nth(skip)
    };
    Ok(found.map_or(0, |place| int(place.saturating_add(1))))
}

pub(super) fn strpos(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, searches) = (call.text(0)?, call.text(1)?);
    call.build::<Int32Type>(|row| Ok(texts.at(row).zip(searches.at(row)).map(|(text, search)| find(text, search, 1))))
}

pub(super) fn instr(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, searches) = (call.text(0)?, call.text(1)?);
    let froms = if call.count() > 2 { Some(call.integers(2)?) } else { None };
    let nths = if call.count() > 3 { Some(call.integers(3)?) } else { None };
    call.build::<Int32Type>(|row| {
        let from = froms.map_or(Some(1), |froms| froms.at(row));
        let nth = nths.map_or(Some(1), |nths| nths.at(row));
        let Some(((text, search), (from, nth))) = texts.at(row).zip(searches.at(row)).zip(from.zip(nth)) else {
            return Ok(None);
        };
        if from == 1 && nth == 1 {
            Ok(Some(find(text, search, 1)))
        } else {
            find_nth(text, search, from, nth).map(Some)
        }
    })
}
