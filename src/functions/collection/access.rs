//! Values out of collections: `a[i]`, `m['k']`, `r.f`, CARDINALITY and ELEMENT.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, MapArray, UInt32Array, make_array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::scalar::ScalarValue;

use super::lists::{Pool, bounds, list};
use super::types::{common, entries_of, item_of};
use crate::error::Error;
use crate::functions::cast::convert;
use crate::functions::scalar::Takes::{Any, Text};
use crate::functions::scalar::{At, Call, Entry, Types};
use crate::table::map::keys;

/// The functions of this file; `__item` and `__field` are what the planner writes for brackets and dots.
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "__item",
        usage: "array[index], where the first element is array[1], or map[key]",
        takes: &[Any, Any],
        returns: item_type,
        kernel: |call| match call.any(0)?.data_type() {
            DataType::Map(..) => map_value(call),
            _ => element_at(call),
        },
        doc: "The element at a place, counted from 1, or the value of a key; NULL if there is none.",
        ..Entry::BASE
    },
    Entry {
        name: "__field",
        usage: "row.field",
        takes: &[Any, Text],
        returns: |types| {
            let (DataType::Struct(fields), Some(name)) = (types.get(0)?, field_name(types)) else { return None };
            fields.iter().find(|field| *field.name() == name).map(|field| field.data_type().clone())
        },
        kernel: field,
        doc: "The field of a row; NULL if the row is NULL.",
        ..Entry::BASE
    },
    Entry {
        name: "cardinality",
        usage: "CARDINALITY(array or map)",
        takes: &[Any],
        returns: |types| {
            matches!(types.get(0)?, DataType::List(_) | DataType::Map(..) | DataType::Null).then_some(DataType::Int32)
        },
        kernel: cardinality,
        doc: "The number of elements, NULL ones included.",
        ..Entry::BASE
    },
    Entry {
        name: "element",
        usage: "ELEMENT(array)",
        takes: &[Any],
        returns: |types| item_of(&types.get(0)?).cloned(),
        kernel: element,
        doc: "The only element of an array; NULL if it is empty, an error if it has several.",
        ..Entry::BASE
    },
];

fn item_type(types: &Types<'_>) -> Option<DataType> {
    let (collection, key) = (types.get(0)?, types.get(1)?);
    match &collection {
        DataType::List(item) if key.is_signed_integer() => Some(item.data_type().clone()),
        DataType::Map(..) => {
            let (keys, values) = entries_of(&collection)?;
            common([keys, &key])?;
            Some(values.clone())
        }
        _ => None,
    }
}

fn field_name(types: &Types<'_>) -> Option<String> {
    match (*types.constants.get(1)?)? {
        ScalarValue::Utf8(name) | ScalarValue::LargeUtf8(name) | ScalarValue::Utf8View(name) => name.clone(),
        _ => None,
    }
}

fn element_at(call: &Call<'_>) -> Result<ArrayRef> {
    let list = list(call, 0)?;
    let places = convert(call.any(1)?, &DataType::Int64, call.zone)?;
    let places = places.as_primitive::<Int64Type>();
    let picked: UInt32Array = (0..call.rows)
        .map(|row| {
            let place = places.at(row).filter(|_| list.is_valid(row))?;
            let items = bounds(list.offsets(), row);
            let index = usize::try_from(place.checked_sub(1)?).ok().filter(|index| *index < items.len())?;
            u32::try_from(items.start + index).ok()
        })
        .collect();
    Ok(take(list.values(), &picked, None)?)
}

/// Numbers of the entries with the keys asked for.
fn found(map: &MapArray, wanted: &ArrayRef, call: &Call<'_>) -> Result<UInt32Array> {
    let texts = (keys(map).as_string_opt::<i32>(), wanted.as_string_opt::<i32>());
    if let (Some(texts), Some(wanted)) = texts {
        let find = |row: usize| {
            let wanted = wanted.at(row).filter(|_| map.is_valid(row))?;
            let entry = bounds(map.offsets(), row).find(|entry| texts.at(*entry) == Some(wanted))?;
            u32::try_from(entry).ok()
        };
        return Ok((0..call.rows).map(find).collect());
    }
    let shared = common([keys(map).data_type(), wanted.data_type()]);
    let shared = shared.ok_or_else(|| Error::internal("a map is asked for a key of another type"))?;
    let pool = Pool::new(&[keys(map), wanted], &shared, call)?;
    let keys = pool.comparable()?;
    let find = |row: usize| {
        let asked = pool.number(1, row);
        if map.is_null(row) || pool.is_null(asked) || pool.is_nan(asked) {
            return None;
        }
        let asked = keys.row(asked as usize);
        let entry = bounds(map.offsets(), row).find(|entry| keys.row(*entry) == asked)?;
        u32::try_from(entry).ok()
    };
    Ok((0..call.rows).map(find).collect())
}

fn map_value(call: &Call<'_>) -> Result<ArrayRef> {
    let map = call.any(0)?.as_map();
    Ok(take(map.values(), &found(map, call.any(1)?, call)?, None)?)
}

fn field(call: &Call<'_>) -> Result<ArrayRef> {
    let row = call.any(0)?.as_struct();
    let name = call.text(1)?.at(0).unwrap_or_default();
    let column = row.column_by_name(name).ok_or_else(|| Error::internal(format!("a row without field \"{name}\"")))?;
    let Some(nulls) = row.nulls() else { return Ok(Arc::clone(column)) };
    // what stands behind a NULL row means nothing
    let data = column.to_data().into_builder().nulls(NullBuffer::union(Some(nulls), column.nulls()));
    Ok(make_array(data.build()?))
}

fn cardinality(call: &Call<'_>) -> Result<ArrayRef> {
    let column = call.any(0)?;
    let offsets = match column.data_type() {
        DataType::List(_) => column.as_list::<i32>().offsets(),
        DataType::Map(..) => column.as_map().offsets(),
        _ => return Ok(Arc::new(Int32Array::new_null(call.rows))),
    };
    let count =
        |row: usize| column.is_valid(row).then(|| i32::try_from(bounds(offsets, row).len()).unwrap_or(i32::MAX));
    Ok(Arc::new((0..call.rows).map(count).collect::<Int32Array>()))
}

fn element(call: &Call<'_>) -> Result<ArrayRef> {
    let list = list(call, 0)?;
    let one = |row: usize| -> Result<Option<u32>> {
        let items = bounds(list.offsets(), row);
        match items.len() {
            _ if list.is_null(row) => Ok(None),
            0 => Ok(None),
            1 => Ok(u32::try_from(items.start).ok()),
            several => Err(Error::data(format!("ELEMENT of an array with {several} elements"))
                .hint("use array[1] for the first of several")
                .into()),
        }
    };
    Ok(take(list.values(), &(0..call.rows).map(one).collect::<Result<UInt32Array>>()?, None)?)
}
