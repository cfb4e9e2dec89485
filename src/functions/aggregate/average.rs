//! `AVG`: in the type of its argument. Integers are summed as BIGINT (which wraps) and the mean is truncated;
//! FLOAT is summed as DOUBLE; DECIMAL(p, s) gives DECIMAL(38, max(6, s)), rounded half up.
//!
//! Flink's OVER aggregates sum integers in their own type, so that these sums wrap earlier.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, Int64Array, PrimitiveArray};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type,
};
use datafusion::error::Result;

use super::Make;
use super::fold::{Fold, Folded, column};
use super::sum::Plus;

/// A type that can be averaged.
trait Averaged: ArrowPrimitiveType {
    /// What its values are summed in.
    type Sum: ArrowPrimitiveType<Native: Plus + Default + Debug>;
    /// A value as a summand.
    fn widen(value: Self::Native) -> <Self::Sum as ArrowPrimitiveType>::Native;
    /// What is left of a sum that was summed in the type of the values.
    fn wrapped(sum: <Self::Sum as ArrowPrimitiveType>::Native) -> <Self::Sum as ArrowPrimitiveType>::Native {
        sum
    }
    /// `sum / count`, `count > 0`, with `extra_digits` more decimals than the sum; `None`: it does not fit.
    fn divide(sum: <Self::Sum as ArrowPrimitiveType>::Native, count: i64, extra_digits: u32) -> Option<Self::Native>;
}

macro_rules! averaged_integer {
    ($($t:ty),*) => {$(
        impl Averaged for $t {
            type Sum = Int64Type;
            fn widen(value: Self::Native) -> i64 {
                i64::from(value)
            }
            fn wrapped(sum: i64) -> i64 {
                i64::from(sum as Self::Native)
            }
            fn divide(sum: i64, count: i64, _: u32) -> Option<Self::Native> {
                Some(sum.checked_div(count)? as Self::Native)
            }
        }
    )*};
}
averaged_integer!(Int8Type, Int16Type, Int32Type, Int64Type);

impl Averaged for Float32Type {
    type Sum = Float64Type;
    fn widen(value: f32) -> f64 {
        f64::from(value)
    }
    fn divide(sum: f64, count: i64, _: u32) -> Option<f32> {
        Some((sum / count as f64) as f32)
    }
}

impl Averaged for Float64Type {
    type Sum = Self;
    fn widen(value: f64) -> f64 {
        value
    }
    fn divide(sum: f64, count: i64, _: u32) -> Option<f64> {
        Some(sum / count as f64)
    }
}

impl Averaged for Decimal128Type {
    type Sum = Self;
    fn widen(value: i128) -> i128 {
        value
    }
    fn divide(sum: i128, count: i64, extra_digits: u32) -> Option<i128> {
        if !sum.fits() {
            return None;
        }
        // whole part and remainder apart: the sum itself may have no room for more digits
        let count = i128::from(count);
        let unit = 10_i128.checked_pow(extra_digits)?;
        let whole = (sum / count).checked_mul(unit)?;
        let rest = (sum % count).checked_mul(unit)?;
        let up = i128::from((rest % count).abs().checked_mul(2)? >= count) * rest.signum();
        whole.checked_add(rest / count)?.checked_add(up).filter(|mean| mean.fits())
    }
}

/// What a group remembers.
#[derive(Debug, Clone, Copy, Default)]
struct Seen<S> {
    sum: S,
    count: i64,
}

/// `AVG` over `T`.
struct Average<T> {
    sum_type: DataType,
    result_type: DataType,
    extra_digits: u32,
    /// The sum wraps in the type of the values.
    wraps: bool,
    of: PhantomData<fn() -> T>,
}

impl<T: Averaged> Fold for Average<T> {
    type Input = T;
    type Output = T;
    type State = Seen<<T::Sum as ArrowPrimitiveType>::Native>;

    fn result_type(&self) -> DataType {
        self.result_type.clone()
    }

    fn state_types(&self) -> Vec<(&'static str, DataType)> {
        vec![("sum", self.sum_type.clone()), ("count", DataType::Int64)]
    }

    fn add(&self, state: &mut Self::State, value: T::Native) {
        self.merge(state, Seen { sum: T::widen(value), count: 1 });
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) {
        if state.count == 0 {
            *state = other;
        } else if other.count != 0 {
            state.sum = state.sum.plus(other.sum);
            state.count = state.count.saturating_add(other.count);
        }
    }

    fn finish(&self, state: &Self::State) -> Option<T::Native> {
        let sum = if self.wraps { T::wrapped(state.sum) } else { state.sum };
        if state.count > 0 { T::divide(sum, state.count, self.extra_digits) } else { None }
    }

    fn write(&self, states: &[Self::State]) -> Vec<ArrayRef> {
        let sums: PrimitiveArray<T::Sum> = states.iter().map(|state| Some(state.sum)).collect();
        let counts: Int64Array = states.iter().map(|state| Some(state.count)).collect();
        vec![Arc::new(sums.with_data_type(self.sum_type.clone())), Arc::new(counts)]
    }

    fn read(&self, columns: &[ArrayRef]) -> Result<Vec<Self::State>> {
        let sums = column::<T::Sum>(columns, 0)?;
        let counts = column::<Int64Type>(columns, 1)?;
        let seen = |((row, sum), count): ((usize, &_), &i64)| {
            if sums.is_valid(row) && counts.is_valid(row) { Seen { sum: *sum, count: *count } } else { Seen::default() }
        };
        Ok(sums.values().iter().enumerate().zip(counts.values()).map(seen).collect())
    }
}

/// `AVG` over an argument type.
pub(super) fn make(argument: &DataType) -> Option<Box<dyn Make>> {
    average(argument, false)
}

/// `AVG(…) OVER` an argument type.
pub(super) fn make_over(argument: &DataType) -> Option<Box<dyn Make>> {
    average(argument, true)
}

fn average(argument: &DataType, wraps: bool) -> Option<Box<dyn Make>> {
    fn of<T: Averaged>(sum: DataType, result: DataType, extra_digits: u32, wraps: bool) -> Option<Box<dyn Make>> {
        let (sum_type, result_type) = (sum, result);
        Some(Box::new(Folded::new(Average::<T> { sum_type, result_type, extra_digits, wraps, of: PhantomData })))
    }
    match argument {
        DataType::Int8 => of::<Int8Type>(DataType::Int64, DataType::Int8, 0, wraps),
        DataType::Int16 => of::<Int16Type>(DataType::Int64, DataType::Int16, 0, wraps),
        DataType::Int32 => of::<Int32Type>(DataType::Int64, DataType::Int32, 0, wraps),
        DataType::Int64 => of::<Int64Type>(DataType::Int64, DataType::Int64, 0, wraps),
        DataType::Float32 => of::<Float32Type>(DataType::Float64, DataType::Float32, 0, wraps),
        DataType::Float64 => of::<Float64Type>(DataType::Float64, DataType::Float64, 0, wraps),
        DataType::Decimal128(_, scale) => {
            let result_scale = (*scale).max(6);
            of::<Decimal128Type>(
                DataType::Decimal128(DECIMAL128_MAX_PRECISION, *scale),
                DataType::Decimal128(DECIMAL128_MAX_PRECISION, result_scale),
                u32::try_from(result_scale.saturating_sub(*scale)).ok()?,
                wraps,
            )
        }
        _ => None,
    }
}
