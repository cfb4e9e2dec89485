//! What the kernels over lists share: items of several columns in one pool, told apart by number, and lists of such
//! numbers that become one column in a single copy.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{concat, take};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::error::{DataFusionError, Result};

use crate::error::Error;
use crate::functions::cast::convert;
use crate::functions::scalar::Call;

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

    /// The items in a form that compares: equal items are equal rows, NULLs are equal.
    ///
    /// # Errors
    /// `Sql` for a type without an order.
    pub(super) fn comparable(&self) -> Result<Rows> {
        comparable(&self.items)
    }
}

/// Values in a form that compares: equal ones are equal rows, NULLs are equal and lowest.
///
/// # Errors
/// `Sql` for a type without an order.
pub(in crate::functions) fn comparable(values: &ArrayRef) -> Result<Rows> {
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
    Ok(converter.convert_columns(std::slice::from_ref(values))?)
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

    /// The items of the current row so far.
    pub(super) fn current(&self) -> &[u32] {
        let from = self.offsets.last().and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
        self.numbers.get(from..).unwrap_or_default()
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
