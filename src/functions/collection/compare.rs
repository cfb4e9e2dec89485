//! `=` between collections, as Flink has it: they are equal or not, and a NULL inside equals a NULL. Rows that are
//! written out on both sides of `=` compare field by field, so that a NULL field makes the answer NULL unless another
//! field differs; `<>` does not look that way.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, MapArray};
use arrow::compute::kernels::cmp::eq;
use arrow::compute::{and_kleene, not};
use arrow::datatypes::DataType;
use datafusion::error::Result;

use super::lists::{Pool, bounds, comparable, is_nan, with_one_zero};
use super::types::common;
use crate::error::Error;
use crate::functions::cast::convert;
use crate::functions::scalar::Takes::Any;
use crate::functions::scalar::{Call, Entry, Types};
use crate::table::map::keys;

/// The functions of this file; what the planner writes for `=` and `<>`.
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "__equal",
        usage: "array = array, map = map or row = row, of types that go together",
        takes: &[Any, Any],
        returns: comparable_types,
        kernel: |call| Ok(Arc::new(compared(call, false)?)),
        doc: "Whether two collections are equal.",
        ..Entry::BASE
    },
    Entry {
        name: "__equal_fields",
        usage: "ROW(…) = ROW(…), of types that go together",
        takes: &[Any, Any],
        returns: comparable_types,
        kernel: |call| Ok(Arc::new(compared(call, true)?)),
        doc: "Whether all fields of two rows are equal; NULL if that is not known.",
        ..Entry::BASE
    },
    Entry {
        name: "__not_equal",
        usage: "array <> array, map <> map or row <> row, of types that go together",
        takes: &[Any, Any],
        returns: comparable_types,
        kernel: |call| Ok(Arc::new(not(&compared(call, false)?)?)),
        doc: "Whether two collections differ.",
        ..Entry::BASE
    },
];

fn comparable_types(types: &Types<'_>) -> Option<DataType> {
    common(types.types).map(|_| DataType::Boolean)
}

fn compared(call: &Call<'_>, by_field: bool) -> Result<BooleanArray> {
    let (left, right) = (call.any(0)?, call.any(1)?);
    let shared = common([left.data_type(), right.data_type()]);
    let shared = shared.ok_or_else(|| Error::internal("values that do not compare"))?;
    equal(&convert(left, &shared, call.zone)?, &convert(right, &shared, call.zone)?, by_field, call)
}

fn equal(left: &ArrayRef, right: &ArrayRef, by_field: bool, call: &Call<'_>) -> Result<BooleanArray> {
    let known = |row: usize| left.is_valid(row) && right.is_valid(row);
    match left.data_type() {
        DataType::Struct(_) if by_field => {
            let (left_row, right_row) = (left.as_struct(), right.as_struct());
            let mut all: BooleanArray = (0..left.len()).map(|row| known(row).then_some(true)).collect();
            for (left, right) in left_row.columns().iter().zip(right_row.columns()) {
                all = and_kleene(&all, &equal(left, right, by_field, call)?)?;
            }
            // a NULL row is neither equal nor different, whatever its fields hold
            Ok((0..left.len()).map(|row| (known(row) && all.is_valid(row)).then(|| all.value(row))).collect())
        }
        DataType::List(_) | DataType::Struct(_) => {
            let (left_rows, right_rows) = (comparable(left)?, comparable(right)?);
            let same = |row: usize| known(row).then(|| left_rows.row(row) == right_rows.row(row));
            Ok((0..left.len()).map(same).collect())
        }
        DataType::Map(..) => equal_maps(left.as_map(), right.as_map(), call),
        DataType::Float32 | DataType::Float64 => {
            let same = eq(&with_one_zero(left), &with_one_zero(right))?;
            let nan = (0..left.len()).map(|row| Some(!is_nan(left, row))).collect::<BooleanArray>();
            Ok(and_kleene(&same, &nan)?)
        }
        _ => Ok(eq(left, right)?),
    }
}

/// The order of entries does not count.
fn equal_maps(left: &MapArray, right: &MapArray, call: &Call<'_>) -> Result<BooleanArray> {
    let pool = |left: &ArrayRef, right: &ArrayRef| Pool::new(&[left, right], left.data_type(), call);
    let (all_keys, values) = (pool(keys(left), keys(right))?, pool(left.values(), right.values())?);
    let (first_keys, first_values) = (all_keys.firsts()?, values.firsts()?);
    let entry = |column: usize, entry: usize| {
        let key = first_keys.get(all_keys.number(column, entry) as usize);
        (key, first_values.get(values.number(column, entry) as usize))
    };
    let same = |row: usize| {
        if left.is_null(row) || right.is_null(row) {
            return None;
        }
        let (mine, theirs) = (bounds(left.offsets(), row), bounds(right.offsets(), row));
        if mine.len() != theirs.len() {
            return Some(false);
        }
        let theirs: HashSet<_> = theirs.map(|other| entry(1, other)).collect();
        Some(mine.into_iter().all(|one| theirs.contains(&entry(0, one))))
    };
    Ok((0..left.len()).map(same).collect())
}
