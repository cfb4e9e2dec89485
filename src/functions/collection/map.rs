//! Functions over maps, and how maps are built: entry by entry, equal keys and all, or each key once.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Int32Type};
use datafusion::error::Result;

use super::lists::{Picks, Pool, bounds, list};
use super::types::{common, entries_of, item_of, list_of, map_of, row_of};
use crate::error::Error;
use crate::functions::bounded::Room;
use crate::functions::cast::convert;
use crate::functions::scalar::Takes::Any;
use crate::functions::scalar::{At, Call, Entry, Types};
use crate::table::map::{keys, map_array, multiset_element};

const fn over_map(
    name: &'static str,
    usage: &'static str,
    returns: fn(&Types<'_>) -> Option<DataType>,
    kernel: fn(&Call<'_>) -> Result<ArrayRef>,
    doc: &'static str,
) -> Entry {
    Entry { name, usage, takes: &[Any], returns, kernel, doc, ..Entry::BASE }
}

/// The functions of this file.
pub(super) const ENTRIES: &[Entry] = &[
    over_map(
        "map_keys",
        "MAP_KEYS(map)",
        |types| Some(list_of(entries_of(&types.get(0)?)?.0.clone())),
        |call| entries(call, |map| Ok(Arc::clone(keys(map)))),
        "The keys as an array.",
    ),
    over_map(
        "map_values",
        "MAP_VALUES(map)",
        |types| Some(list_of(entries_of(&types.get(0)?)?.1.clone())),
        |call| entries(call, |map| Ok(Arc::clone(map.values()))),
        "The values as an array, in the order of MAP_KEYS.",
    ),
    over_map(
        "__multiset_items",
        "UNNEST(multiset)",
        |types| Some(list_of(multiset_element(&types.get(0)?)?.clone())),
        multiset_items,
        "The values as an array, each as often as it occurs.",
    ),
    over_map(
        "map_entries",
        "MAP_ENTRIES(map)",
        |types| {
            let map = types.get(0)?;
            let (key, value) = entries_of(&map)?;
            Some(list_of(row_of([("key".to_owned(), key.clone()), ("value".to_owned(), value.clone())])))
        },
        |call| entries(call, pairs),
        "The entries as an array of ROW<key, value>.",
    ),
    Entry {
        takes: &[Any, Any],
        ..over_map(
            "map_from_arrays",
            "MAP_FROM_ARRAYS(keys, values)",
            |types| Some(map_of(item_of(&types.get(0)?)?.clone(), item_of(&types.get(1)?)?.clone())),
            from_arrays,
            "The map of keys and values at the same places, equal keys and all. Arrays of different lengths are an error.",
        )
    },
    Entry {
        repeated: Some(Any),
        ..over_map(
            "map_union",
            "MAP_UNION(map, …)",
            |types| common(types.types).filter(|shared| entries_of(shared).is_some()),
            union,
            "The entries of the last map, then those of the maps before it with other keys. NULL if a map is NULL.",
        )
    },
];

/// A column of lists of what `part` takes out of the maps.
fn entries(call: &Call<'_>, part: impl Fn(&MapArray) -> Result<ArrayRef>) -> Result<ArrayRef> {
    let map = call.any(0)?.as_map();
    let item = item_of(call.return_type).ok_or_else(|| Error::internal("the entries of a map are no array"))?;
    let items = convert(&part(map)?, item, call.zone)?;
    let DataType::List(field) = call.return_type else {
        return Err(Error::internal("the entries of a map are no array").into());
    };
    let list = ListArray::try_new(Arc::clone(field), map.offsets().clone(), items, map.nulls().cloned())?;
    Ok(Arc::new(list))
}

fn multiset_items(call: &Call<'_>) -> Result<ArrayRef> {
    let multiset = call.any(0)?.as_map();
    let counts = multiset.values().as_primitive_opt::<Int32Type>();
    let counts = counts.ok_or_else(|| Error::internal("a multiset without counts"))?;
    let (mut room, mut lengths, mut places) = (Room::new(), Vec::with_capacity(call.rows), Vec::<u32>::new());
    for row in 0..call.rows {
        let before = places.len();
        for entry in bounds(multiset.offsets(), row) {
            let count = counts.at(entry).and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
            room.take(count.saturating_mul(size_of::<u32>()))?;
            places.extend(std::iter::repeat_n(u32::try_from(entry).unwrap_or(u32::MAX), count));
        }
        lengths.push(places.len() - before);
    }
    let items = take(keys(multiset), &UInt32Array::from(places), None)?;
    let DataType::List(field) = call.return_type else {
        return Err(Error::internal("the items of a multiset are no array").into());
    };
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, items, multiset.nulls().cloned())?))
}

/// The entries as rows of key and value.
fn pairs(map: &MapArray) -> Result<ArrayRef> {
    let columns = vec![Arc::clone(keys(map)), Arc::clone(map.values())];
    let fields = columns.iter().zip(["key", "value"]);
    let fields = fields.map(|(column, name)| Field::new(name, column.data_type().clone(), true)).collect();
    Ok(Arc::new(StructArray::try_new_with_length(fields, columns, None, map.entries().len())?))
}

fn from_arrays(call: &Call<'_>) -> Result<ArrayRef> {
    let (key, value) = entries_of(call.return_type).ok_or_else(|| Error::internal("a map of another type"))?;
    let (keys, values) = (list(call, 0)?, list(call, 1)?);
    let pools = (Pool::new(&[keys.values()], key, call)?, Pool::new(&[values.values()], value, call)?);
    let mut picks = MapPicks::new(pools.0, pools.1, call.rows);
    for row in 0..call.rows {
        let valid = keys.is_valid(row) && values.is_valid(row);
        let (mine, theirs) = (bounds(keys.offsets(), row), bounds(values.offsets(), row));
        if valid && mine.len() != theirs.len() {
            return Err(
                Error::data(format!("MAP_FROM_ARRAYS got {} keys and {} values", mine.len(), theirs.len())).into()
            );
        }
        for (key, value) in mine.zip(theirs).filter(|_| valid) {
            picks.push((0, key), (0, value));
        }
        picks.end(valid)?;
    }
    picks.finish(call.return_type)
}

fn union(call: &Call<'_>) -> Result<ArrayRef> {
    let (key, value) = entries_of(call.return_type).ok_or_else(|| Error::internal("a map of another type"))?;
    // a map of another type is cast, which changes the order of its entries
    let maps =
        call.arguments.iter().map(|map| convert(map, call.return_type, call.zone)).collect::<Result<Vec<_>>>()?;
    let maps: Vec<&MapArray> = maps
        .iter()
        .map(|map| map.as_map_opt().ok_or_else(|| Error::internal("MAP_UNION of something else").into()))
        .collect::<Result<_>>()?;
    let keys = Pool::new(&maps.iter().map(|map| keys(map)).collect::<Vec<_>>(), key, call)?;
    let values = Pool::new(&maps.iter().map(|map| map.values()).collect::<Vec<_>>(), value, call)?;
    let mut picks = MapPicks::new(keys, values, call.rows);
    for row in 0..call.rows {
        let valid = maps.iter().all(|map| map.is_valid(row));
        for (place, map) in maps.iter().enumerate().rev().filter(|_| valid) {
            for entry in bounds(map.offsets(), row) {
                picks.push_new((place, entry), (place, entry))?;
            }
        }
        picks.end(valid)?;
    }
    picks.finish(call.return_type)
}

/// Maps under construction, row by row: entries of pools of keys and values.
pub(super) struct MapPicks {
    keys: Pool,
    values: Pool,
    /// For each key the first that is equal to it; computed when it is asked for.
    firsts: Option<Vec<u32>>,
    /// For each of those the map that had it last.
    seen: Vec<Option<usize>>,
    /// Maps that are done.
    done: usize,
    picked: Picks,
    /// The value of each key in `picked`.
    picked_values: Vec<u32>,
}

impl MapPicks {
    pub(super) fn new(keys: Pool, values: Pool, rows: usize) -> Self {
        let (picked, picked_values) = (Picks::new(rows), Vec::new());
        Self { keys, values, firsts: None, seen: Vec::new(), done: 0, picked, picked_values }
    }

    /// Adds an entry to the current map; key and value are named by column and index.
    pub(super) fn push(&mut self, key: (usize, usize), value: (usize, usize)) {
        self.picked.push(self.keys.number(key.0, key.1));
        self.picked_values.push(self.values.number(value.0, value.1));
    }

    /// As [`Self::push`], unless the current map has had the key in this way.
    ///
    /// # Errors
    /// `Sql` for keys without an order, `Internal` for a key that is not there.
    pub(super) fn push_new(&mut self, key: (usize, usize), value: (usize, usize)) -> Result<()> {
        let number = self.keys.number(key.0, key.1) as usize;
        let firsts = match &mut self.firsts {
            Some(firsts) => firsts,
            none => none.insert(self.keys.firsts()?),
        };
        self.seen.resize(firsts.len(), None);
        let seen = firsts.get(number).and_then(|first| self.seen.get_mut(*first as usize));
        let seen = seen.ok_or_else(|| Error::internal("a key of a map is not there"))?;
        if seen.replace(self.done) != Some(self.done) {
            self.push(key, value);
        }
        Ok(())
    }

    /// Ends the current map; `false` makes it NULL.
    pub(super) fn end(&mut self, valid: bool) -> Result<()> {
        self.done += 1;
        self.picked.end(valid)
    }

    /// The column of maps.
    pub(super) fn finish(self, data_type: &DataType) -> Result<ArrayRef> {
        let (keys, offsets, nulls) = self.picked.into_parts();
        let values = UInt32Array::from(self.picked_values);
        let (keys, values) = (take(&self.keys.items, &keys, None)?, take(&self.values.items, &values, None)?);
        Ok(Arc::new(map_array(data_type, offsets, keys, values, Some(nulls))?))
    }
}
