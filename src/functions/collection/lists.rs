//! What the kernels over lists share: items of several columns in one pool, told apart by number, and lists of such
//! numbers that become one column in a single copy.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::error::{DataFusionError, Result};

use crate::error::Error;
use crate::functions::cast::convert;
use crate::functions::scalar::{At, Call};

/// The bounds of list `row` among the items of its column.
pub(in crate::functions) fn bounds(offsets: &OffsetBuffer<i32>, row: usize) -> Range<usize> {
    let at = |row: usize| offsets.get(row).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
    at(row)..at(row + 1).max(at(row))
}

/// An argument that must be a column of lists.
///
/// # Errors
/// `Internal` if it is none.
pub(super) fn list<'a>(call: &Call<'a>, index: usize) -> Result<&'a ListArray> {
    let column = call.arguments.get(index).and_then(|column| column.as_list_opt::<i32>());
    column.ok_or_else(|| Error::internal(format!("argument {index} of a function is no array")).into())
}

/// Items of several columns, one behind the other, all of one type.
pub(super) struct Pool {
    /// The items.
    pub(super) items: ArrayRef,
    /// Where each column begins.
    starts: Vec<usize>,
}

impl Pool {
    /// The items of `columns` as values of `item`.
    ///
    /// # Errors
    /// `Data` if there are too many, or one cannot be cast.
    pub(super) fn new(columns: &[&ArrayRef], item: &DataType, call: &Call<'_>) -> Result<Self> {
        let mut starts = Vec::with_capacity(columns.len());
        let mut parts = Vec::with_capacity(columns.len());
        let mut length = 0usize;
        for column in columns {
            starts.push(length);
            length += column.len();
            parts.push(convert(column, item, call.zone)?);
        }
        if u32::try_from(length).is_err() {
            return Err(too_long());
        }
        let items = match &parts[..] {
            [one] => Arc::clone(one),
            several => concat(&several.iter().map(|part| part.as_ref()).collect::<Vec<_>>())?,
        };
        Ok(Self { items, starts })
    }

    /// The number of item `index` of column `column`.
    pub(super) fn number(&self, column: usize, index: usize) -> u32 {
        let start = self.starts.get(column).copied().unwrap_or(0);
        u32::try_from(start + index).unwrap_or(u32::MAX)
    }

    /// Whether an item is NULL.
    pub(super) fn is_null(&self, number: u32) -> bool {
        self.items.is_null(number as usize)
    }

    /// The items in a form that compares as Java's `==`: equal items are equal rows, 0.0 and -0.0 among them, and NULLs
    /// are equal. That a NaN equals nothing is not in it, see [`Self::is_nan`].
    ///
    /// # Errors
    /// `Sql` for a type without an order.
    pub(super) fn comparable(&self) -> Result<Rows> {
        comparable(&with_one_zero(&self.items))
    }

    /// Whether an item is a NaN, which equals no other, nor itself.
    pub(super) fn is_nan(&self, number: u32) -> bool {
        is_nan(&self.items, number as usize)
    }

    /// For each item the number of the first that is equal to it; a NaN is equal to none.
    ///
    /// # Errors
    /// `Sql` for a type without an order.
    pub(super) fn firsts(&self) -> Result<Vec<u32>> {
        let rows = self.comparable()?;
        let mut firsts = HashMap::with_capacity(rows.num_rows());
        let numbers = 0..u32::try_from(rows.num_rows()).map_err(|_| too_long())?;
        let first = |(row, number)| match self.is_nan(number) {
            true => number,
            false => *firsts.entry(row).or_insert(number),
        };
        Ok(rows.iter().zip(numbers).map(first).collect())
    }
}

/// DOUBLE or FLOAT values with 0.0 for -0.0, others as they are.
pub(super) fn with_one_zero(values: &ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Float32 => {
            Arc::new(values.as_primitive::<Float32Type>().unary::<_, Float32Type>(|value| value + 0.0))
        }
        DataType::Float64 => {
            Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(|value| value + 0.0))
        }
        _ => Arc::clone(values),
    }
}

/// Whether the value at a place is a NaN.
pub(super) fn is_nan(values: &ArrayRef, place: usize) -> bool {
    match values.data_type() {
        DataType::Float32 => values.as_primitive::<Float32Type>().at(place).is_some_and(f32::is_nan),
        DataType::Float64 => values.as_primitive::<Float64Type>().at(place).is_some_and(f64::is_nan),
        _ => false,
    }
}

/// Values in a form that compares: equal ones are equal rows, NULLs are equal and lowest, the order of a map's entries
/// does not count.
///
/// # Errors
/// `Sql` for a type without an order.
pub(in crate::functions) fn comparable(values: &ArrayRef) -> Result<Rows> {
    let values = if has_map(values.data_type()) { in_order(values)? } else { Arc::clone(values) };
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
    Ok(converter.convert_columns(&[values])?)
}

/// Whether there is a map somewhere in a type.
fn has_map(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(..) => true,
        DataType::List(item) => has_map(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_map(field.data_type())),
        _ => false,
    }
}

/// The same values, with the entries of every map in the order of their keys.
fn in_order(values: &ArrayRef) -> Result<ArrayRef> {
    Ok(match values.data_type() {
        DataType::List(item) if has_map(item.data_type()) => {
            let list = values.as_list::<i32>();
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Arc::new(ListArray::try_new(Arc::clone(item), offsets, in_order(list.values())?, nulls)?)
        }
        DataType::Struct(fields) if has_map(values.data_type()) => {
            let row = values.as_struct();
            let columns = row.columns().iter().map(in_order).collect::<Result<Vec<_>>>()?;
            let (fields, nulls) = (fields.clone(), row.nulls().cloned());
            Arc::new(StructArray::try_new_with_length(fields, columns, nulls, row.len())?)
        }
        DataType::Map(field, _) => {
            let map = values.as_map();
            let entries = map.entries();
            let columns = entries.columns().iter().map(in_order).collect::<Result<Vec<_>>>()?;
            let keys = comparable(map.keys())?;
            let mut picked: Vec<u32> = (0..u32::try_from(entries.len()).map_err(|_| too_long())?).collect();
            for row in 0..map.len() {
                let entries = picked.get_mut(bounds(map.offsets(), row)).unwrap_or_default();
                entries.sort_by_key(|entry| keys.row(*entry as usize));
            }
            let picked = UInt32Array::from(picked);
            let sorted = columns.iter().map(|column| take(column, &picked, None)).collect::<Result<Vec<_>, _>>()?;
            let sorted = StructArray::try_new(entries.fields().clone(), sorted, None)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Arc::new(MapArray::try_new(Arc::clone(field), offsets, sorted, nulls, false)?)
        }
        _ => Arc::clone(values),
    })
}

fn too_long() -> DataFusionError {
    Error::data("the arrays of one batch have more than 2147483647 elements").hint("use shorter arrays").into()
}

/// Lists of items of a pool, row by row.
pub(super) struct Picks {
    numbers: Vec<u32>,
    offsets: Vec<i32>,
    valid: Vec<bool>,
}

impl Picks {
    pub(super) fn new(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { numbers: Vec::new(), offsets, valid: Vec::with_capacity(rows) }
    }

    /// Adds an item to the list of the current row.
    pub(super) fn push(&mut self, number: u32) {
        self.numbers.push(number);
    }

    /// Ends the current row; `false` makes it NULL.
    ///
    /// # Errors
    /// `Data` if there are too many items.
    pub(super) fn end(&mut self, valid: bool) -> Result<()> {
        self.offsets.push(i32::try_from(self.numbers.len()).map_err(|_| too_long())?);
        self.valid.push(valid);
        Ok(())
    }

    /// The offsets and NULLs of the lists, and the items they pick.
    pub(super) fn into_parts(self) -> (UInt32Array, OffsetBuffer<i32>, NullBuffer) {
        (
            UInt32Array::from(self.numbers),
            OffsetBuffer::new(ScalarBuffer::from(self.offsets)),
            NullBuffer::from(self.valid),
        )
    }

    /// The column of lists.
    ///
    /// # Errors
    /// `Internal` if `data_type` is no array of the items' type.
    pub(super) fn finish(self, items: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
        let DataType::List(field) = data_type else {
            return Err(Error::internal(format!("a list of the type {data_type}")).into());
        };
        let (numbers, offsets, nulls) = self.into_parts();
        Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, take(items, &numbers, None)?, Some(nulls))?))
    }
}
