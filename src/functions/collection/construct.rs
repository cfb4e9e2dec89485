//! `ARRAY[…]`, `MAP[…]` and `ROW(…)`. Fields of a row are called `EXPR$0`, `EXPR$1`, … until a CAST or a sink names them.

use std::sync::Arc;

use arrow::array::{ArrayRef, StructArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;

use super::lists::{Picks, Pool};
use super::map::MapPicks;
use super::types::{common, entries_of, item_of, list_of, map_of, row_of};
use crate::error::Error;
use crate::functions::scalar::Takes::Any;
use crate::functions::scalar::{Call, Entry, Nature, Types};

/// The functions of this file; `__array` and `__map` are what the planner writes for brackets.
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "__array",
        aliases: &[],
        usage: "ARRAY[value, …]",
        takes: &[],
        optional: &[],
        repeated: Some(Any),
        nature: Nature::Usual,
        returns: |types| common(types.types).map(list_of),
        kernel: array,
        doc: "The array of the values, in the type they share.",
    },
    Entry {
        name: "__map",
        usage: "MAP[key, value, …]",
        takes: &[],
        repeated: Some(Any),
        returns: map_type,
        kernel: map,
        doc: "The map of the pairs. Of keys that are written alike the last one counts; keys that turn out equal are all \
              there, and map[key] finds the first.",
        ..Entry::BASE
    },
    Entry {
        name: "row",
        usage: "ROW(value, …)",
        takes: &[Any],
        repeated: Some(Any),
        returns: |types| {
            let fields = types.types.iter().enumerate();
            Some(row_of(fields.map(|(i, data_type)| (format!("EXPR${i}"), data_type.clone()))))
        },
        kernel: row,
        doc: "The row of the values, with fields EXPR$0, EXPR$1, …; also written (value, value, …).",
        ..Entry::BASE
    },
];

fn map_type(types: &Types<'_>) -> Option<DataType> {
    if types.types.is_empty() || !types.types.len().is_multiple_of(2) {
        return None;
    }
    let side = |parity: usize| common(types.types.iter().skip(parity).step_by(2));
    Some(map_of(side(0)?, side(1)?))
}

fn array(call: &Call<'_>) -> Result<ArrayRef> {
    let item = item_of(call.return_type).ok_or_else(|| Error::internal("an array of another type"))?;
    let columns: Vec<&ArrayRef> = call.arguments.iter().collect();
    let pool = Pool::new(&columns, item, call)?;
    let mut picks = Picks::new(call.rows);
    for row in 0..call.rows {
        (0..call.count()).for_each(|column| picks.push(pool.number(column, row)));
        picks.end(true)?;
    }
    picks.finish(&pool.items, call.return_type)
}

fn map(call: &Call<'_>) -> Result<ArrayRef> {
    let (key, value) = entries_of(call.return_type).ok_or_else(|| Error::internal("a map of another type"))?;
    let side = |parity: usize| call.arguments.iter().skip(parity).step_by(2).collect::<Vec<_>>();
    let (keys, values) = (side(0), side(1));
    let pairs = keys.len();
    let (keys, values) = (Pool::new(&keys, key, call)?, Pool::new(&values, value, call)?);
    let mut picks = MapPicks::new(keys, values, call.rows);
    for row in 0..call.rows {
        for pair in 0..pairs {
            picks.push((pair, row), (pair, row));
        }
        picks.end(true)?;
    }
    picks.finish(call.return_type)
}

fn row(call: &Call<'_>) -> Result<ArrayRef> {
    let DataType::Struct(fields) = call.return_type else {
        return Err(Error::internal("a row of another type").into());
    };
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), call.arguments.to_vec(), None, call.rows)?))
}
