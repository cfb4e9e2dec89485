//! CAST between collections: ARRAY to ARRAY, MAP to MAP, ROW to ROW by place, each with the casts of what is inside.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field};
use datafusion::error::Result;

use super::cast;
use crate::error::Error;
use crate::functions::collection::lists::{bounds, comparable};
use crate::functions::scalar::Call;
use crate::table::java_map::{BUCKETS, hashes, order};
use crate::table::map::{entry_fields, keys, map_array};
use crate::time::zone::Zone;

/// A column in another type, by CAST.
///
/// # Errors
/// `Data` for a value that does not fit, `Sql` if there is no such cast.
pub(in crate::functions) fn convert(column: &ArrayRef, to: &DataType, zone: &Zone) -> Result<ArrayRef> {
    converted(column, to, zone, false)
}

fn converted(column: &ArrayRef, to: &DataType, zone: &Zone, lenient: bool) -> Result<ArrayRef> {
    if column.data_type() == to {
        return Ok(Arc::clone(column));
    }
    let call = Call { arguments: std::slice::from_ref(column), rows: column.len(), return_type: to, zone };
    cast(&call, lenient)
}

/// The column in the collection type `to`; `None` if one of the two is no collection of the same sort.
///
/// # Errors
/// `Data` for a value that does not fit, `Sql` if rows have other numbers of fields.
pub(super) fn nested(column: &ArrayRef, to: &DataType, zone: &Zone, lenient: bool) -> Option<Result<ArrayRef>> {
    match (column.data_type(), to) {
        (DataType::List(_), DataType::List(item)) => Some(list(column.as_list(), item, zone, lenient)),
        (DataType::Map(..), DataType::Map(entries, _)) => Some(map(column.as_map(), entries, zone, lenient)),
        (DataType::Struct(_), DataType::Struct(_)) => Some(row(column.as_struct(), to, zone, lenient)),
        _ => None,
    }
}

/// NULLs of collections under TRY_CAST: one with a part that cannot be cast, and so became NULL, is NULL as a whole.
/// `parts`: for each collection, the numbers of its parts; `pairs`: the parts before and after.
fn nulls_with_failures(
    nulls: Option<&NullBuffer>,
    rows: usize,
    pairs: &[(&ArrayRef, &ArrayRef)],
    parts: impl Fn(usize) -> std::ops::Range<usize>,
) -> Option<NullBuffer> {
    let failed = |part: usize| pairs.iter().any(|(before, after)| after.is_null(part) && before.is_valid(part));
    if pairs.iter().all(|(before, after)| before.null_count() == after.null_count()) {
        return nulls.cloned();
    }
    let valid = |row: usize| nulls.is_none_or(|nulls| nulls.is_valid(row)) && !parts(row).any(failed);
    Some((0..rows).map(valid).collect())
}

fn list(list: &ListArray, item: &Arc<Field>, zone: &Zone, lenient: bool) -> Result<ArrayRef> {
    let values = converted(list.values(), item.data_type(), zone, lenient)?;
    let nulls = match lenient {
        true => {
            let parts = |row| bounds(list.offsets(), row);
            nulls_with_failures(list.nulls(), list.len(), &[(list.values(), &values)], parts)
        }
        false => list.nulls().cloned(),
    };
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), list.offsets().clone(), values, nulls)?))
}

fn map(map: &MapArray, entries: &Arc<Field>, zone: &Zone, lenient: bool) -> Result<ArrayRef> {
    let to = DataType::Map(Arc::clone(entries), false);
    let (key, value) = entry_fields(&to).ok_or_else(|| Error::internal("a map without entries"))?;
    let to_keys = converted(keys(map), key.data_type(), zone, lenient)?;
    let to_values = converted(map.values(), value.data_type(), zone, lenient)?;
    let pairs = [(keys(map), &to_keys), (map.values(), &to_values)];
    let parts = |row| bounds(map.offsets(), row);
    let nulls = nulls_with_failures(map.nulls(), map.len(), &pairs, parts);
    in_java_order(&map_array(&to, map.offsets().clone(), to_keys, to_values, nulls)?)
}

/// The same maps with each key once, its last value at the place of the first, in the order of a `HashMap` of Java, into
/// which Flink casts; of keys without a known hash in the order they have.
///
/// # Errors
/// `Sql` for keys without an order.
pub(in crate::functions) fn in_java_order(map: &MapArray) -> Result<ArrayRef> {
    let rows = comparable(keys(map))?;
    let hashes = hashes(keys(map));
    let (mut picked_keys, mut picked_values) = (Vec::<u32>::new(), Vec::<u32>::new());
    let mut lengths = Vec::with_capacity(map.len());
    for row in 0..map.len() {
        let mut places = HashMap::new();
        let mut entries: Vec<(usize, usize)> = Vec::new();
        for entry in bounds(map.offsets(), row) {
            let place = *places.entry(rows.row(entry)).or_insert(entries.len());
            match entries.get_mut(place) {
                Some(known) => known.1 = entry,
                None => entries.push((entry, entry)),
            }
        }
        let hash = |(key, _): &(usize, usize)| hashes.as_ref().and_then(|hashes| hashes.get(*key).copied());
        let ordered = match entries.iter().map(hash).collect::<Option<Vec<i32>>>() {
            Some(hashes) => order(&hashes, BUCKETS),
            None => (0..entries.len()).collect(),
        };
        lengths.push(entries.len());
        for (key, value) in ordered.into_iter().filter_map(|place| entries.get(place)) {
            picked_keys.push(u32::try_from(*key).unwrap_or(u32::MAX));
            picked_values.push(u32::try_from(*value).unwrap_or(u32::MAX));
        }
    }
    let keys = take(keys(map), &UInt32Array::from(picked_keys), None)?;
    let values = take(map.values(), &UInt32Array::from(picked_values), None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(map_array(map.data_type(), offsets, keys, values, map.nulls().cloned())?))
}

fn row(row: &StructArray, to: &DataType, zone: &Zone, lenient: bool) -> Result<ArrayRef> {
    let DataType::Struct(fields) = to else { return Err(Error::internal("a row is cast to another type").into()) };
    if fields.len() != row.num_columns() {
        return Err(Error::sql(format!(
            "a ROW of {} fields cannot be cast to one of {}",
            row.num_columns(),
            fields.len()
        ))
        .into());
    }
    let columns = row
        .columns()
        .iter()
        .zip(fields)
        .map(|(column, field)| converted(column, field.data_type(), zone, lenient))
        .collect::<Result<Vec<_>>>()?;
    let nulls = match lenient {
        true => {
            let pairs: Vec<_> = row.columns().iter().zip(&columns).collect();
            nulls_with_failures(row.nulls(), row.len(), &pairs, |at| at..at + 1)
        }
        false => row.nulls().cloned(),
    };
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, row.len())?))
}
