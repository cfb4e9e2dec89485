//! Types of collections: the type that several values share, and the Arrow types of lists, maps and rows.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;

use crate::table::map::{entry_fields, map_type, multiset_element};

/// `ARRAY<item>`.
pub(in crate::functions) fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}

/// `MAP<key, value>`.
pub(in crate::functions) fn map_of(key: DataType, value: DataType) -> DataType {
    map_type(key, value, true)
}

/// `ROW<…>` with these fields.
pub(in crate::functions) fn row_of(fields: impl IntoIterator<Item = (String, DataType)>) -> DataType {
    DataType::Struct(fields.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect())
}

/// Type of the items of a list.
pub(in crate::functions) fn item_of(list: &DataType) -> Option<&DataType> {
    match list {
        DataType::List(item) => Some(item.data_type()),
        _ => None,
    }
}

/// Types of the keys and values of a map; a multiset is none.
pub(in crate::functions) fn entries_of(map: &DataType) -> Option<(&DataType, &DataType)> {
    let entries = entry_fields(map).filter(|_| multiset_element(map).is_none());
    entries.map(|(key, value)| (key.data_type(), value.data_type()))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The type two values share, as Flink finds it: text and numbers share none.
fn common_of_two(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType as T;
    match (left, right) {
        (T::Null, other) | (other, T::Null) => Some(other.clone()),
        (T::List(a), T::List(b)) => Some(list_of(common_of_two(a.data_type(), b.data_type())?)),
        (T::Map(..), T::Map(..)) => {
            let ((key, value), (other_key, other_value)) = (entries_of(left)?, entries_of(right)?);
            Some(map_of(common_of_two(key, other_key)?, common_of_two(value, other_value)?))
        }
        (T::Struct(a), T::Struct(b)) if a.len() == b.len() => {
            let fields = a
                .iter()
                .zip(b)
                .map(|(a, b)| Some((a.name().clone(), common_of_two(a.data_type(), b.data_type())?)))
                .collect::<Option<Vec<_>>>()?;
            Some(row_of(fields))
        }
        _ if left == right => Some(left.clone()),
        _ if left.is_nested() || right.is_nested() || is_text(left) != is_text(right) => None,
        (T::Float32 | T::Float64, other) | (other, T::Float32 | T::Float64) if other.is_decimal() => Some(T::Float64),
        _ => comparison_coercion(left, right),
    }
}

/// The type all values share; `None` if there is none, or all are NULL.
pub(in crate::functions) fn common<'a>(types: impl IntoIterator<Item = &'a DataType>) -> Option<DataType> {
    let mut types = types.into_iter();
    let first = types.next()?.clone();
    let shared = types.try_fold(first, |shared, next| common_of_two(&shared, next))?;
    (shared != DataType::Null).then_some(shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_widen_inside_collections_and_text_stays_apart() {
        let decimal = DataType::Decimal128(2, 1);
        assert_eq!(common([&DataType::Int32, &DataType::Null, &decimal]), Some(DataType::Decimal128(11, 1)));
        assert_eq!(common([&DataType::Int64, &DataType::Float64]), Some(DataType::Float64));
        assert_eq!(common([&decimal, &DataType::Float64]), Some(DataType::Float64));
        assert_eq!(common([&DataType::Int32, &DataType::Utf8]), None);
        assert_eq!(common([&DataType::Null]), None);
        let (small, large) = (list_of(DataType::Int32), list_of(DataType::Int64));
        assert_eq!(common([&small, &large]), Some(large.clone()));
        assert_eq!(common([&small, &DataType::Int32]), None);
        let rows = [row_of([("a".into(), small)]), row_of([("b".into(), large.clone())])];
        assert_eq!(common(&rows), Some(row_of([("a".into(), large)])));
    }
}
