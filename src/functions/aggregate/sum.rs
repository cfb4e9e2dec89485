//! `SUM`: in the type of its argument. The state is the sum, NULL before the first value: so the first value is
//! copied, not added to 0.0, and −0.0 stays −0.0 through any number of merges.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type,
};
use datafusion::error::Result;

use super::Make;
use super::fold::{Fold, Folded, column};

/// The smallest magnitude that a DECIMAL(38, s) does not hold, in units of its last digit.
pub(super) const DECIMAL_LIMIT: i128 = 10_i128.pow(38);

/// Addition as Flink does it in this type.
pub(super) trait Plus: Copy {
    /// `self + other`.
    fn plus(self, other: Self) -> Self;
    /// Whether the type holds it.
    fn fits(self) -> bool {
        true
    }
}

macro_rules! wrapping_plus {
    ($($t:ty),*) => {$(
        impl Plus for $t {
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
        }
    )*};
}
wrapping_plus!(i8, i16, i32, i64);

impl Plus for f32 {
    fn plus(self, other: Self) -> Self {
        self + other
    }
}

impl Plus for f64 {
    fn plus(self, other: Self) -> Self {
        self + other
    }
}

/// Units of a DECIMAL(38, s). A sum beyond 38 digits stays beyond whatever follows: the result is NULL and
/// never a number that lost a part.
impl Plus for i128 {
    fn plus(self, other: Self) -> Self {
        match (self.fits(), other.fits()) {
            (true, true) => self.saturating_add(other),
            (false, _) => self,
            (true, false) => other,
        }
    }

    fn fits(self) -> bool {
        self.unsigned_abs() < DECIMAL_LIMIT.unsigned_abs()
    }
}

/// `SUM` over `T`.
struct Sum<T> {
    result_type: DataType,
    of: std::marker::PhantomData<fn() -> T>,
}

impl<T> Fold for Sum<T>
where
    T: ArrowPrimitiveType,
    T::Native: Plus,
{
    type Input = T;
    type Output = T;
    type State = Option<T::Native>;

    fn result_type(&self) -> DataType {
        self.result_type.clone()
    }

    fn state_types(&self) -> Vec<(&'static str, DataType)> {
        vec![("sum", self.result_type.clone())]
    }

    fn add(&self, state: &mut Self::State, value: T::Native) {
        *state = Some(state.map_or(value, |sum| sum.plus(value)));
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) {
        if let Some(value) = other {
            self.add(state, value);
        }
    }

    fn finish(&self, state: &Self::State) -> Option<T::Native> {
        state.filter(|sum| sum.fits())
    }

    fn write(&self, states: &[Self::State]) -> Vec<ArrayRef> {
        let sums: PrimitiveArray<T> = states.iter().copied().collect();
        vec![Arc::new(sums.with_data_type(self.result_type.clone()))]
    }

    fn read(&self, columns: &[ArrayRef]) -> Result<Vec<Self::State>> {
        Ok(column::<T>(columns, 0)?.iter().collect())
    }
}

fn sum<T>(result_type: DataType) -> Option<Box<dyn Make>>
where
    T: ArrowPrimitiveType,
    T::Native: Plus,
{
    Some(Box::new(Folded::new(Sum::<T> { result_type, of: std::marker::PhantomData })))
}

/// `SUM` over an argument type.
pub(super) fn make(argument: &DataType) -> Option<Box<dyn Make>> {
    match argument {
        DataType::Int8 => sum::<Int8Type>(DataType::Int8),
        DataType::Int16 => sum::<Int16Type>(DataType::Int16),
        DataType::Int32 => sum::<Int32Type>(DataType::Int32),
        DataType::Int64 => sum::<Int64Type>(DataType::Int64),
        DataType::Float32 => sum::<Float32Type>(DataType::Float32),
        DataType::Float64 => sum::<Float64Type>(DataType::Float64),
        DataType::Decimal128(_, scale) => sum::<Decimal128Type>(DataType::Decimal128(DECIMAL128_MAX_PRECISION, *scale)),
        _ => None,
    }
}
