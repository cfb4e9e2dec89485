//! CAST between collections: ARRAY to ARRAY, MAP to MAP, ROW to ROW by place, each with the casts of what is inside.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray};
use arrow::datatypes::{DataType, Field};
use datafusion::error::Result;

use super::cast;
use crate::error::Error;
use crate::functions::scalar::Call;
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

fn list(list: &ListArray, item: &Arc<Field>, zone: &Zone, lenient: bool) -> Result<ArrayRef> {
    let values = converted(list.values(), item.data_type(), zone, lenient)?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned())?))
}

fn map(map: &MapArray, entries: &Arc<Field>, zone: &Zone, lenient: bool) -> Result<ArrayRef> {
    let pairs = row(map.entries(), entries.data_type(), zone, lenient)?;
    let pairs = pairs.as_struct().clone();
    Ok(Arc::new(MapArray::try_new(Arc::clone(entries), map.offsets().clone(), pairs, map.nulls().cloned(), false)?))
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
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, row.nulls().cloned(), row.len())?))
}
