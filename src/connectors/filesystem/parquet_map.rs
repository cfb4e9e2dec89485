//! Maps as Parquet has them: its keys are never NULL, and stand for themselves.
//!
//! [`stored_type`] and [`stored`] go from a table's columns to those of a file, [`of_table`] goes back.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};

use crate::error::{Error, Result};
use crate::table::map::{entry_fields, map_array, plain};

/// The type with which a column of the type `data_type` is stored.
pub(super) fn stored_type(data_type: &DataType) -> DataType {
    let inside = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(stored_type(field.data_type())));
    match data_type {
        DataType::List(item) => DataType::List(inside(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inside).collect()),
        DataType::Map(_, sorted) => match entry_fields(data_type) {
            Some((key, value)) => {
                let pair = Fields::from(vec![
                    inside(key).as_ref().clone().with_nullable(false),
                    inside(value).as_ref().clone(),
                ]);
                DataType::Map(Arc::new(Field::new("entries", DataType::Struct(pair), false)), *sorted)
            }
            None => data_type.clone(),
        },
        other => other.clone(),
    }
}

/// The values of a table's column `name` as they are stored.
///
/// # Errors
/// `Data` if a key of a map is NULL.
pub(super) fn stored(array: &ArrayRef, name: &str) -> Result<ArrayRef> {
    plain(array, &|_| {
        Err(Error::data(format!("column \"{name}\": a key of a map is NULL, which Parquet cannot hold"))
            .hint("use COALESCE(key, 'none') for the key"))
    })
}

/// Values of the type [`stored_type`] of `to`, as `to`.
///
/// # Errors
/// `Internal` if they have another type.
pub(super) fn of_table(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    Ok(match to {
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let values = of_table(list.values(), item.data_type())?;
            Arc::new(ListArray::try_new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned())?)
        }
        DataType::Struct(fields) => {
            let row = array.as_struct();
            let columns = row.columns().iter().zip(fields).map(|(column, field)| of_table(column, field.data_type()));
            let columns = columns.collect::<Result<Vec<_>>>()?;
            Arc::new(StructArray::try_new_with_length(fields.clone(), columns, row.nulls().cloned(), row.len())?)
        }
        map @ DataType::Map(..) => {
            let (key, value) = entry_fields(map).ok_or_else(|| Error::internal("a map without entries"))?;
            let read = array.as_map();
            let (keys, values) = (of_table(read.keys(), key.data_type())?, of_table(read.values(), value.data_type())?);
            Arc::new(map_array(map, read.offsets().clone(), keys, values, read.nulls().cloned())?)
        }
        _ => Arc::clone(array),
    })
}
