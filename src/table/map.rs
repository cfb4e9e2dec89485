//! MAP and MULTISET in Arrow. Flink's keys may be NULL and Arrow's may not, so that Arrow's key is a row of one field
//! that may be NULL: only this file knows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields};
use arrow::error::ArrowError;

/// `MAP<key, value>`.
pub fn map_type(key: DataType, value: DataType, value_nullable: bool) -> DataType {
    let key = DataType::Struct(Fields::from(vec![Field::new("key", key, true)]));
    let entries = vec![Field::new("key", key, false), Field::new("value", value, value_nullable)];
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(Fields::from(entries)), false)), false)
}

/// The fields of key and value of a map; `None` for another type.
pub fn entry_fields(map: &DataType) -> Option<(&Arc<Field>, &Arc<Field>)> {
    let DataType::Map(entries, _) = map else { return None };
    let DataType::Struct(pair) = entries.data_type() else { return None };
    let [key, value] = &pair[..] else { return None };
    let DataType::Struct(key) = key.data_type() else { return None };
    Some((key.first()?, value))
}

/// The keys of all entries, each of which may be NULL.
pub fn keys(map: &MapArray) -> &ArrayRef {
    map.keys().as_struct_opt().and_then(|row| row.columns().first()).unwrap_or_else(|| map.keys())
}

/// Maps of the type `data_type` from the keys and values of all their entries.
///
/// # Errors
/// If keys, values or offsets do not fit the type.
pub fn map_array(
    data_type: &DataType,
    offsets: OffsetBuffer<i32>,
    keys: ArrayRef,
    values: ArrayRef,
    nulls: Option<NullBuffer>,
) -> Result<MapArray, ArrowError> {
    let other = || ArrowError::InvalidArgumentError(format!("a map of the type {data_type}"));
    let DataType::Map(entries, sorted) = data_type else { return Err(other()) };
    let DataType::Struct(pair) = entries.data_type() else { return Err(other()) };
    let Some(DataType::Struct(key)) = pair.first().map(|key| key.data_type()) else { return Err(other()) };
    let rows = keys.len();
    let keys = StructArray::try_new_with_length(key.clone(), vec![keys], None, rows)?;
    let pairs = StructArray::try_new_with_length(pair.clone(), vec![Arc::new(keys), values], None, rows)?;
    MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls, *sorted)
}
