//! Functions over arrays that look at single elements: search, sets, cutting and joining. None keeps NULL arrays.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int32Array, ListArray};
use arrow::datatypes::DataType;
use arrow::row::{Row, Rows};
use datafusion::error::Result;

use super::lists::{Picks, Pool, bounds, comparable, list};
use super::types::{common, item_of, list_of};
use crate::error::Error;
use crate::functions::scalar::Takes::{Any, Integer};
use crate::functions::scalar::{At, Call, Entry, Types};

const fn over_array(
    name: &'static str,
    usage: &'static str,
    returns: fn(&Types<'_>) -> Option<DataType>,
    kernel: fn(&Call<'_>) -> Result<ArrayRef>,
    doc: &'static str,
) -> Entry {
    Entry { name, usage, takes: &[Any, Any], returns, kernel, doc, ..Entry::BASE }
}

/// The functions of this file.
pub(super) const ENTRIES: &[Entry] = &[
    over_array(
        "array_contains",
        "ARRAY_CONTAINS(array, element)",
        |types| with_element(types).map(|_| DataType::Boolean),
        contains,
        "Whether an element is in an array; NULL finds NULL.",
    ),
    over_array(
        "array_position",
        "ARRAY_POSITION(array, element)",
        |types| with_element(types).map(|_| DataType::Int32),
        position,
        "The place of the first such element, counted from 1; 0 if there is none, NULL for NULL.",
    ),
    over_array(
        "array_remove",
        "ARRAY_REMOVE(array, element)",
        with_element,
        remove,
        "The array without the elements equal to one; NULL takes the NULLs out.",
    ),
    over_array(
        "array_append",
        "ARRAY_APPEND(array, element)",
        with_element,
        |call| add(call, false),
        "The array with an element behind.",
    ),
    over_array(
        "array_prepend",
        "ARRAY_PREPEND(array, element)",
        with_element,
        |call| add(call, true),
        "The array with an element in front.",
    ),
    Entry {
        takes: &[Any],
        ..over_array(
            "array_distinct",
            "ARRAY_DISTINCT(array)",
            same_array,
            |call| combine(call, |first, _| first.distinct()),
            "The array without repeated elements, each at its first place.",
        )
    },
    Entry {
        takes: &[Any],
        ..over_array(
            "array_reverse",
            "ARRAY_REVERSE(array)",
            same_array,
            |call| combine(call, |first, _| first.items.iter().rev().copied().collect()),
            "The array from its end.",
        )
    },
    Entry {
        takes: &[Any, Integer],
        optional: &[Integer],
        ..over_array(
            "array_slice",
            "ARRAY_SLICE(array, start [, end])",
            same_array,
            slice,
            "The elements from start to end, both included and counted from 1; negative ones count from the end, 0 is 1.",
        )
    },
    over_array(
        "array_union",
        "ARRAY_UNION(array, array)",
        common_array,
        |call| combine(call, |first, second| first.followed_by(second).distinct()),
        "The elements of both arrays, each once.",
    ),
    over_array(
        "array_except",
        "ARRAY_EXCEPT(array, array)",
        common_array,
        |call| combine(call, |first, second| first.filtered(second, false)),
        "The elements of the first array that are not in the second, each once.",
    ),
    over_array(
        "array_intersect",
        "ARRAY_INTERSECT(array, array)",
        common_array,
        |call| combine(call, |first, second| first.filtered(second, true)),
        "The elements of the first array that are in the second, too, each once.",
    ),
    Entry {
        takes: &[Any],
        repeated: Some(Any),
        ..over_array(
            "array_concat",
            "ARRAY_CONCAT(array, …)",
            common_array,
            |call| combine(call, |first, second| first.followed_by(second).items),
            "The elements of all arrays, one behind the other.",
        )
    },
];

/// The array, with elements of the type they share with the second argument.
fn with_element(types: &Types<'_>) -> Option<DataType> {
    let (array, element) = (types.get(0)?, types.get(1)?);
    let item = item_of(&array)?;
    // a number of a wider kind does not become an element by itself
    let fits = width(item).zip(width(&types.written(1)?)).is_none_or(|(item, element)| element <= item);
    common([item, &element]).filter(|_| fits).map(list_of)
}

/// The place of a number's type among those that take each other without a cast.
fn width(number: &DataType) -> Option<u8> {
    Some(match number {
        DataType::Int8 => 0,
        DataType::Int16 => 1,
        DataType::Int32 => 2,
        DataType::Int64 => 3,
        DataType::Decimal128(..) => 4,
        DataType::Float32 => 5,
        DataType::Float64 => 6,
        _ => return None,
    })
}

fn same_array(types: &Types<'_>) -> Option<DataType> {
    types.get(0).filter(|array| item_of(array).is_some_and(|item| *item != DataType::Null))
}

fn common_array(types: &Types<'_>) -> Option<DataType> {
    common(types.types).filter(|shared| item_of(shared).is_some())
}

/// An array and an element per row, as values of one type.
struct Search<'a> {
    list: &'a ListArray,
    pool: Pool,
    rows: Rows,
}

impl<'a> Search<'a> {
    fn new(call: &Call<'a>) -> Result<Self> {
        let list = list(call, 0)?;
        let shared = common([list.values().data_type(), call.any(1)?.data_type()]);
        let shared = shared.ok_or_else(|| Error::internal("an element of another type than its array"))?;
        let pool = Pool::new(&[list.values(), call.any(1)?], &shared, call)?;
        let rows = pool.comparable()?;
        Ok(Self { list, pool, rows })
    }

    /// Number of the element asked for.
    fn wanted(&self, row: usize) -> u32 {
        self.pool.number(1, row)
    }

    fn is_wanted(&self, row: usize, item: usize) -> bool {
        let wanted = self.wanted(row);
        !self.pool.is_nan(wanted) && self.rows.row(item) == self.rows.row(wanted as usize)
    }
}

fn contains(call: &Call<'_>) -> Result<ArrayRef> {
    let search = Search::new(call)?;
    let found = |row: usize| {
        let any = || bounds(search.list.offsets(), row).any(|item| search.is_wanted(row, item));
        search.list.is_valid(row).then(any)
    };
    Ok(Arc::new((0..call.rows).map(found).collect::<BooleanArray>()))
}

fn position(call: &Call<'_>) -> Result<ArrayRef> {
    let search = Search::new(call)?;
    let place = |row: usize| {
        if search.list.is_null(row) || search.pool.is_null(search.wanted(row)) {
            return None;
        }
        let place = bounds(search.list.offsets(), row).position(|item| search.is_wanted(row, item));
        Some(place.map_or(0, |place| i32::try_from(place + 1).unwrap_or(i32::MAX)))
    };
    Ok(Arc::new((0..call.rows).map(place).collect::<Int32Array>()))
}

fn remove(call: &Call<'_>) -> Result<ArrayRef> {
    let search = Search::new(call)?;
    let mut picks = Picks::new(call.rows);
    for row in 0..call.rows {
        let kept = bounds(search.list.offsets(), row).filter(|item| !search.is_wanted(row, *item));
        kept.for_each(|item| picks.push(search.pool.number(0, item)));
        picks.end(search.list.is_valid(row))?;
    }
    picks.finish(&search.pool.items, call.return_type)
}

fn add(call: &Call<'_>, front: bool) -> Result<ArrayRef> {
    let list = list(call, 0)?;
    let item = item_of(call.return_type).ok_or_else(|| Error::internal("an array of another type"))?;
    let pool = Pool::new(&[list.values(), call.any(1)?], item, call)?;
    let mut picks = Picks::new(call.rows);
    for row in 0..call.rows {
        if front {
            picks.push(pool.number(1, row));
        }
        bounds(list.offsets(), row).for_each(|item| picks.push(pool.number(0, item)));
        if !front {
            picks.push(pool.number(1, row));
        }
        picks.end(list.is_valid(row))?;
    }
    picks.finish(&pool.items, call.return_type)
}

fn slice(call: &Call<'_>) -> Result<ArrayRef> {
    let list = list(call, 0)?;
    let starts = call.integers(1)?;
    let ends = if call.count() > 2 { Some(call.integers(2)?) } else { None };
    let mut picks = Picks::new(call.rows);
    for row in 0..call.rows {
        let items = bounds(list.offsets(), row);
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let end = ends.map_or(Some(length), |ends| ends.at(row));
        let (Some(start), Some(end), true) = (starts.at(row), end, list.is_valid(row)) else {
            picks.end(false)?;
            continue;
        };
        // counted from the end if negative; the first place is 1, and 0 means it
        let place = |place: i64| if place < 0 { length.saturating_add(place).saturating_add(1) } else { place.max(1) };
        let end = if ends.is_some() { place(end) } else { end };
        for place in place(start).max(1)..=end.min(length) {
            let Ok(place) = usize::try_from(place - 1) else { continue };
            picks.push(u32::try_from(items.start + place).unwrap_or(u32::MAX));
        }
        picks.end(true)?;
    }
    picks.finish(list.values(), call.return_type)
}

/// The items of one array of one row, by number, with what tells whether two are equal.
struct Items<'a> {
    items: Vec<u32>,
    known: Known<'a>,
}

/// What is known of all items.
#[derive(Clone, Copy)]
struct Known<'a> {
    pool: &'a Pool,
    /// Equal items are equal rows, but for NaN.
    rows: &'a Rows,
    /// As `rows`, with 0.0 and -0.0 apart: in a hash of Java they are.
    exact: &'a Rows,
}

impl<'a> Items<'a> {
    fn row(&self, item: u32) -> Row<'a> {
        self.known.rows.row(item as usize)
    }

    fn distinct(&self) -> Vec<u32> {
        let mut seen = HashSet::new();
        let first = |item: &u32| self.known.pool.is_nan(*item) || seen.insert(self.row(*item));
        self.items.iter().copied().filter(first).collect()
    }

    fn followed_by(&self, other: &Self) -> Self {
        Self { items: self.items.iter().chain(&other.items).copied().collect(), known: self.known }
    }

    /// The distinct items that are, or are not, in `other`.
    fn filtered(&self, other: &Self, wanted: bool) -> Vec<u32> {
        let exact = |item: &u32| self.known.exact.row(*item as usize);
        let there: HashSet<Row<'_>> = other.items.iter().map(exact).collect();
        let found = |item: &u32| !self.known.pool.is_nan(*item) && there.contains(&exact(item));
        self.distinct().into_iter().filter(|item| found(item) == wanted).collect()
    }
}

/// Folds the arrays of each row from the left; with one array, it is combined with an empty one. NULL if one is.
fn combine(call: &Call<'_>, fold: impl Fn(&Items<'_>, &Items<'_>) -> Vec<u32>) -> Result<ArrayRef> {
    let item = item_of(call.return_type).ok_or_else(|| Error::internal("an array of another type"))?;
    if call.arguments.iter().any(|array| *array.data_type() == DataType::Null) {
        return Ok(arrow::array::new_null_array(call.return_type, call.rows));
    }
    let lists = (0..call.count()).map(|index| list(call, index)).collect::<Result<Vec<_>>>()?;
    let pool = Pool::new(&lists.iter().map(|list| list.values()).collect::<Vec<_>>(), item, call)?;
    let (rows, exact) = (pool.comparable()?, comparable(&pool.items)?);
    let known = Known { pool: &pool, rows: &rows, exact: &exact };
    let mut picks = Picks::new(call.rows);
    for row in 0..call.rows {
        let valid = lists.iter().all(|list| list.is_valid(row));
        if valid {
            let mut arrays = lists.iter().enumerate().map(|(place, list)| Items {
                items: bounds(list.offsets(), row).map(|item| pool.number(place, item)).collect(),
                known,
            });
            let nothing = Items { items: Vec::new(), known };
            let first = arrays.next().unwrap_or(Items { items: Vec::new(), known });
            let second = arrays.next();
            let mut result = fold(&first, second.as_ref().unwrap_or(&nothing));
            for array in arrays {
                result = fold(&Items { items: result, known }, &array);
            }
            result.into_iter().for_each(|item| picks.push(item));
        }
        picks.end(valid)?;
    }
    picks.finish(&pool.items, call.return_type)
}
