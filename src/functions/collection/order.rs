//! Functions over arrays that need the order of their elements, or their text: ARRAY_SORT, ARRAY_MAX, ARRAY_MIN and
//! ARRAY_JOIN. Text is in the order of its UTF-8 bytes. To ARRAY_SORT a NaN is above every number; ARRAY_MAX and ARRAY_MIN
//! compare as Java's operators, so that a NaN stays where it is the first element, and of 0.0 and -0.0 the first.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use datafusion::error::Result;

use super::lists::{Picks, bounds, comparable, is_nan, list, with_one_zero};
use super::types::item_of;
use crate::error::Error;
use crate::functions::bounded::Bounded;
use crate::functions::scalar::Takes::{Any, Text};
use crate::functions::scalar::{At, Call, Entry, Types};

/// The functions of this file.
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "array_sort",
        usage: "ARRAY_SORT(array [, ascending [, nulls_first]])",
        takes: &[Any],
        optional: &[Any, Any],
        returns: |types| {
            let flags = types.types.iter().skip(1).all(|flag| matches!(flag, DataType::Boolean | DataType::Null));
            types.get(0).filter(|array| flags && item_of(array).is_some_and(ordered))
        },
        kernel: sort,
        doc: "The array in ascending or descending order; NULLs are first when ascending and last when descending, \
              unless the third argument says otherwise.",
        ..Entry::BASE
    },
    Entry {
        name: "array_max",
        usage: "ARRAY_MAX(array)",
        takes: &[Any],
        returns: extreme_type,
        kernel: |call| extreme(call, Ordering::Greater),
        doc: "The largest element that is not NULL.",
        ..Entry::BASE
    },
    Entry {
        name: "array_min",
        usage: "ARRAY_MIN(array)",
        takes: &[Any],
        returns: extreme_type,
        kernel: |call| extreme(call, Ordering::Less),
        doc: "The smallest element that is not NULL.",
        ..Entry::BASE
    },
    Entry {
        name: "array_join",
        usage: "ARRAY_JOIN(array of STRING, delimiter [, null_replacement])",
        takes: &[Any, Text],
        optional: &[Text],
        returns: |types| item_of(&types.get(0)?).filter(|item| item.is_string()).map(|_| DataType::Utf8),
        kernel: join,
        doc: "The texts of an array with a delimiter between; NULLs are left out or replaced.",
        ..Entry::BASE
    },
];

fn ordered(item: &DataType) -> bool {
    !item.is_nested() && *item != DataType::Null
}

fn extreme_type(types: &Types<'_>) -> Option<DataType> {
    item_of(&types.get(0)?).filter(|item| ordered(item)).cloned()
}

/// A flag of a row; `default` if it was not given, `None` for NULL.
fn flag(call: &Call<'_>, index: usize, row: usize, default: bool) -> Result<Option<bool>> {
    if index >= call.count() {
        return Ok(Some(default));
    }
    let column = call.any(index)?;
    let wrong = || Error::internal("a flag of ARRAY_SORT is no BOOLEAN");
    match column.data_type() {
        DataType::Null => Ok(None),
        _ => {
            let flags: &BooleanArray = column.as_boolean_opt().ok_or_else(wrong)?;
            Ok(flags.is_valid(row).then(|| flags.value(row)))
        }
    }
}

fn sort(call: &Call<'_>) -> Result<ArrayRef> {
    let list = list(call, 0)?;
    let rows = comparable(list.values())?;
    let mut picks = Picks::new(call.rows);
    for row in 0..call.rows {
        let ascending = flag(call, 1, row, true)?;
        let nulls_first = flag(call, 2, row, ascending.unwrap_or(true))?;
        let (Some(ascending), Some(nulls_first), true) = (ascending, nulls_first, list.is_valid(row)) else {
            picks.end(false)?;
            continue;
        };
        let (nulls, mut items): (Vec<usize>, Vec<usize>) =
            bounds(list.offsets(), row).partition(|item| list.values().is_null(*item));
        items.sort_by(|a, b| {
            let order = rows.row(*a).cmp(&rows.row(*b));
            if ascending { order } else { order.reverse() }
        });
        let (first, second) = if nulls_first { (nulls, items) } else { (items, nulls) };
        first.into_iter().chain(second).for_each(|item| picks.push(u32::try_from(item).unwrap_or(u32::MAX)));
        picks.end(true)?;
    }
    picks.finish(list.values(), call.return_type)
}

fn extreme(call: &Call<'_>, better: Ordering) -> Result<ArrayRef> {
    let list = list(call, 0)?;
    let rows = comparable(&with_one_zero(list.values()))?;
    let best = |row: usize| {
        let items = bounds(list.offsets(), row).filter(|item| list.is_valid(row) && list.values().is_valid(*item));
        let nan = |item: usize| is_nan(list.values(), item);
        let beats =
            |item: usize, best: usize| !nan(item) && !nan(best) && rows.row(item).cmp(&rows.row(best)) == better;
        let best = items.reduce(|best, item| if beats(item, best) { item } else { best });
        best.and_then(|item| u32::try_from(item).ok())
    };
    Ok(take(list.values(), &(0..call.rows).map(best).collect::<UInt32Array>(), None)?)
}

fn join(call: &Call<'_>) -> Result<ArrayRef> {
    let list = list(call, 0)?;
    let texts = arrow::compute::cast(list.values(), &DataType::Utf8)?;
    let texts = texts.as_string::<i32>();
    let (delimiters, replacements) = (call.text(1)?, call.optional_text(2)?);
    call.build_text(|row| {
        let replacement = replacements.map(|replacements| replacements.at(row));
        let (Some(delimiter), true, true) = (delimiters.at(row), list.is_valid(row), replacement != Some(None)) else {
            return Ok(None);
        };
        let items = bounds(list.offsets(), row).filter_map(|item| texts.at(item).or_else(|| replacement.flatten()));
        let mut out = Bounded::new("ARRAY_JOIN");
        for (place, item) in items.enumerate() {
            out.push(if place > 0 { delimiter } else { "" })?;
            out.push(item)?;
        }
        Ok(Some(out.finish()))
    })
}
