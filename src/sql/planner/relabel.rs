//! Rows with the field names of another type: before a cast by position, which is Flink's cast of rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The value with the names of `to` on its own types; as it is, if the names are the same.
pub(super) fn to_names_of(expr: Expr, to: &DataType) -> Expr {
    let function = Relabel { to: to.clone(), signature: Signature::any(1, Volatility::Immutable) };
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::from(function)), vec![expr]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Relabel {
    to: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for Relabel {
    fn name(&self) -> &str {
        "row_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> DfResult<DataType> {
        Ok(args.first().map_or(DataType::Null, |from| named(from, &self.to)))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DfResult<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let rows = args.number_rows;
        let value = args.args.into_iter().next();
        let value = value.ok_or_else(|| DataFusionError::Internal("a row without a value".to_owned()))?;
        Ok(ColumnarValue::Array(relabelled(&value.into_array(rows)?, args.return_field.data_type())?))
    }
}

/// `from` with the field names of `to`, by position.
fn named(from: &DataType, to: &DataType) -> DataType {
    let field = |from: &FieldRef, to: &FieldRef, name: &str| {
        Arc::new(Field::new(name, named(from.data_type(), to.data_type()), from.is_nullable()))
    };
    match (from, to) {
        (DataType::Struct(a), DataType::Struct(b)) if a.len() == b.len() => {
            DataType::Struct(a.iter().zip(b).map(|(a, b)| field(a, b, b.name())).collect::<Fields>())
        }
        (DataType::List(a), DataType::List(b)) => DataType::List(field(a, b, a.name())),
        (DataType::Map(a, sorted), DataType::Map(b, _)) => match (a.data_type(), b.data_type()) {
            (DataType::Struct(a_pair), DataType::Struct(b_pair)) if a_pair.len() == b_pair.len() => {
                let pair = a_pair.iter().zip(b_pair).map(|(a, b)| field(a, b, a.name())).collect::<Fields>();
                DataType::Map(Arc::new(Field::new(a.name(), DataType::Struct(pair), a.is_nullable())), *sorted)
            }
            _ => from.clone(),
        },
        _ => from.clone(),
    }
}

/// The same values as an array of `to`, which differs from their type in names only.
fn relabelled(array: &ArrayRef, to: &DataType) -> DfResult<ArrayRef> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    match to {
        DataType::Struct(fields) => Ok(Arc::new(rows(array.as_struct(), fields)?)),
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let values = relabelled(list.values(), item.data_type())?;
            let nulls = list.nulls().cloned();
            Ok(Arc::new(ListArray::try_new(Arc::clone(item), list.offsets().clone(), values, nulls)?))
        }
        DataType::Map(entries, sorted) => {
            let DataType::Struct(pair) = entries.data_type() else { return Ok(Arc::clone(array)) };
            let map = array.as_map();
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, rows(map.entries(), pair)?, nulls, *sorted)?))
        }
        _ => Ok(Arc::clone(array)),
    }
}

fn rows(array: &StructArray, fields: &Fields) -> DfResult<StructArray> {
    let columns = array.columns().iter().zip(fields).map(|(column, field)| relabelled(column, field.data_type()));
    Ok(StructArray::try_new(fields.clone(), columns.collect::<DfResult<_>>()?, array.nulls().cloned())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, StringArray};

    #[test]
    fn rows_inside_lists_get_the_names_of_the_type() {
        let row = |names: [&str; 2]| {
            DataType::Struct(Fields::from(vec![
                Field::new(names[0], DataType::Int32, true),
                Field::new(names[1], DataType::Utf8, true),
            ]))
        };
        let list = |item: DataType| DataType::List(Arc::new(Field::new("item", item, true)));
        let (from, to) = (list(row(["a", "b"])), list(row(["x", "y"])));
        assert_eq!(named(&from, &to), to);
        let DataType::Struct(fields) = row(["a", "b"]) else { panic!() };
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int32Array::from(vec![1, 2])), Arc::new(StringArray::from(vec![None, Some("t")]))];
        let rows = StructArray::new(fields, columns.clone(), None);
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([0, 2]);
        let item = Arc::new(Field::new("item", row(["a", "b"]), true));
        let array: ArrayRef = Arc::new(ListArray::new(item, offsets, Arc::new(rows), None));
        let renamed = relabelled(&array, &to).unwrap();
        assert_eq!(renamed.data_type(), &to);
        assert_eq!(renamed.as_list::<i32>().values().as_struct().columns(), columns);
    }
}
