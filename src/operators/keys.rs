//! FLOAT and DOUBLE as keys: by their bits, as Flink's binary rows compare, so that 0.0 and -0.0 are two keys. All NaNs
//! are one, whatever made them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, Float64Array, Int32Array, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, Int32Type, Int64Type, Schema};

/// The schema of [`bits_of_key`].
pub(super) fn schema_of_bits(keys: &Schema) -> Schema {
    let bits = |field: &FieldRef| -> Field { field.as_ref().clone().with_data_type(type_of_bits(field.data_type())) };
    Schema::new(keys.fields().iter().map(bits).collect::<Vec<_>>())
}

/// The type of [`bits_of_key`].
pub(super) fn type_of_bits(key: &DataType) -> DataType {
    match key {
        DataType::Float32 => DataType::Int32,
        DataType::Float64 => DataType::Int64,
        other => other.clone(),
    }
}

/// A key column whose equality is that of keys: a FLOAT or DOUBLE as its bits, another as it is.
pub(super) fn bits_of_key(key: &ArrayRef) -> ArrayRef {
    match key.data_type() {
        DataType::Float32 => {
            let bits = |value: f32| if value.is_nan() { f32::NAN } else { value }.to_bits().cast_signed();
            Arc::new(key.as_primitive::<Float32Type>().unary::<_, Int32Type>(bits))
        }
        DataType::Float64 => {
            let bits = |value: f64| if value.is_nan() { f64::NAN } else { value }.to_bits().cast_signed();
            Arc::new(key.as_primitive::<Float64Type>().unary::<_, Int64Type>(bits))
        }
        _ => Arc::clone(key),
    }
}

/// The key column of a field back from [`bits_of_key`].
pub(super) fn key_of_bits((bits, field): (&ArrayRef, &FieldRef)) -> ArrayRef {
    let (narrow, wide): (Option<&Int32Array>, Option<&Int64Array>) = (bits.as_primitive_opt(), bits.as_primitive_opt());
    match (field.data_type(), narrow, wide) {
        (DataType::Float32, Some(bits), _) => {
            let keys: Float32Array = bits.unary(|bits| f32::from_bits(bits.cast_unsigned()));
            Arc::new(keys)
        }
        (DataType::Float64, _, Some(bits)) => {
            let keys: Float64Array = bits.unary(|bits| f64::from_bits(bits.cast_unsigned()));
            Arc::new(keys)
        }
        _ => Arc::clone(bits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_two_keys_and_nans_are_one() {
        let values = [Some(0.0), Some(-0.0), Some(f64::NAN), Some(-f64::NAN), None, Some(1.5)];
        let keys: ArrayRef = Arc::new(values.into_iter().collect::<Float64Array>());
        let bits = bits_of_key(&keys);
        let bits: &Int64Array = bits.as_primitive();
        assert_ne!(bits.value(0), bits.value(1));
        assert_eq!(bits.value(2), bits.value(3));
        assert!(bits.is_null(4));
        let field: FieldRef = Arc::new(Field::new("k", DataType::Float64, true));
        let back = key_of_bits((&(Arc::new(bits.clone()) as ArrayRef), &field));
        let back: &Float64Array = back.as_primitive();
        assert!(back.value(1).is_sign_negative() && back.value(2).is_nan() && back.is_null(4));
        assert_eq!(back.value(5), 1.5);
    }
}
