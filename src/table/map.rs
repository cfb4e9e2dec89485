//! MAP and MULTISET in Arrow. Flink's keys may be NULL and Arrow's may not, so that Arrow's key is a row of one field
//! that may be NULL: only this file knows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StringArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields};
use arrow::error::ArrowError;

use crate::error::Result;

/// Name of the entries of a MAP, as Arrow has it.
const ENTRIES: &str = "entries";
/// Name of the entries of a MULTISET, by which its type is told from that of a MAP to INT NOT NULL.
const COUNTS: &str = "counts";

/// `MAP<key, value>`.
pub fn map_type(key: DataType, value: DataType, value_nullable: bool) -> DataType {
    of_entries(ENTRIES, key, value, value_nullable)
}

/// `MULTISET<element>`: how often each element occurs.
pub fn multiset_type(element: DataType) -> DataType {
    of_entries(COUNTS, element, DataType::Int32, false)
}

/// The element of a multiset; `None` for another type.
pub fn multiset_element(data_type: &DataType) -> Option<&DataType> {
    let DataType::Map(entries, _) = data_type else { return None };
    let (element, _) = entry_fields(data_type).filter(|_| entries.name() == COUNTS)?;
    Some(element.data_type())
}

fn of_entries(name: &str, key: DataType, value: DataType, value_nullable: bool) -> DataType {
    let key = DataType::Struct(Fields::from(vec![Field::new("key", key, true)]));
    let entries = vec![Field::new("key", key, false), Field::new("value", value, value_nullable)];
    DataType::Map(Arc::new(Field::new(name, DataType::Struct(Fields::from(entries)), false)), false)
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
) -> std::result::Result<MapArray, ArrowError> {
    let other = || ArrowError::InvalidArgumentError(format!("a map of the type {data_type}"));
    let DataType::Map(entries, sorted) = data_type else { return Err(other()) };
    let DataType::Struct(pair) = entries.data_type() else { return Err(other()) };
    let Some(DataType::Struct(key)) = pair.first().map(|key| key.data_type()) else { return Err(other()) };
    let rows = keys.len();
    let keys = StructArray::try_new_with_length(key.clone(), vec![keys], None, rows)?;
    let pairs = StructArray::try_new_with_length(pair.clone(), vec![Arc::new(keys), values], None, rows)?;
    MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls, *sorted)
}

/// The same values with keys that stand for themselves; `null_keys` makes keys without NULL of those that have one.
///
/// # Errors
/// The first of `null_keys`; if that has made another number of keys.
pub fn plain(array: &ArrayRef, null_keys: &impl Fn(&ArrayRef) -> Result<ArrayRef>) -> Result<ArrayRef> {
    let field = |field: &Field, values: &ArrayRef| field.clone().with_data_type(values.data_type().clone());
    Ok(match array.data_type() {
        DataType::List(item) if item.data_type().is_nested() => {
            let list = array.as_list::<i32>();
            let values = plain(list.values(), null_keys)?;
            let item = Arc::new(field(item, &values));
            Arc::new(ListArray::try_new(item, list.offsets().clone(), values, list.nulls().cloned())?)
        }
        DataType::Struct(fields) => {
            let row = array.as_struct();
            let columns = row.columns().iter().map(|column| plain(column, null_keys)).collect::<Result<Vec<_>>>()?;
            let fields = fields.iter().zip(&columns).map(|(named, values)| field(named, values)).collect();
            Arc::new(StructArray::try_new_with_length(fields, columns, row.nulls().cloned(), row.len())?)
        }
        DataType::Map(_, sorted) => {
            let map = array.as_map();
            let mut plain_keys = plain(keys(map), null_keys)?;
            if plain_keys.null_count() > 0 {
                plain_keys = null_keys(&plain_keys)?;
            }
            let values = plain(map.values(), null_keys)?;
            let with_null = entry_fields(array.data_type()).is_none_or(|(_, value)| value.is_nullable());
            let pair = Fields::from(vec![
                Field::new("key", plain_keys.data_type().clone(), false),
                Field::new("value", values.data_type().clone(), with_null),
            ]);
            let rows = map.entries().len();
            let pairs = StructArray::try_new_with_length(pair.clone(), vec![plain_keys, values], None, rows)?;
            let entries = Arc::new(Field::new(ENTRIES, DataType::Struct(pair), false));
            Arc::new(MapArray::try_new(entries, map.offsets().clone(), pairs, map.nulls().cloned(), *sorted)?)
        }
        _ => Arc::clone(array),
    })
}

/// [`plain`] for people to read: a NULL key is the text `null`.
///
/// # Errors
/// As [`plain`].
pub fn readable(array: &ArrayRef) -> Result<ArrayRef> {
    plain(array, &|keys| {
        let texts = cast(keys, &DataType::Utf8)?;
        let texts = texts.as_string::<i32>().iter().map(|key| Some(key.unwrap_or("null")));
        Ok(Arc::new(texts.collect::<StringArray>()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use arrow::array::Int32Array;
    use arrow::util::display::array_value_to_string;

    #[test]
    fn a_multiset_is_no_map_to_numbers() {
        assert_eq!(multiset_element(&multiset_type(DataType::Utf8)), Some(&DataType::Utf8));
        assert_eq!(multiset_element(&map_type(DataType::Utf8, DataType::Int32, false)), None);
    }

    #[test]
    fn maps_with_null_keys_are_valid_arrays_and_can_be_read() {
        let data_type = map_type(DataType::Int32, DataType::Int32, true);
        let numbers = |numbers: Vec<Option<i32>>| Arc::new(Int32Array::from(numbers)) as ArrayRef;
        let offsets = OffsetBuffer::from_lengths([2, 0, 1]);
        let (keys, values) = (numbers(vec![None, Some(1), Some(2)]), numbers(vec![Some(5), None, Some(6)]));
        let maps: ArrayRef = Arc::new(map_array(&data_type, offsets, keys, values, None).unwrap());
        assert_eq!(maps.data_type(), &data_type);
        // arrow's kernels, which check what they make
        let taken = arrow::compute::take(&maps, &arrow::array::UInt32Array::from(vec![2, 0]), None).unwrap();
        let both = arrow::compute::concat(&[maps.as_ref(), taken.as_ref()]).unwrap();
        let shown = readable(&both).unwrap();
        assert_eq!(array_value_to_string(&shown, 4).unwrap(), "{null: 5, 1: }");
        assert_eq!(array_value_to_string(&shown, 3).unwrap(), "{2: 6}");
        assert!(plain(&maps, &|_| Err(Error::data("no"))).is_err());
    }
}
