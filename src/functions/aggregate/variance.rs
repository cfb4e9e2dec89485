//! Variance and standard deviation: count, mean and sum of squared distances per group, never a sum of squares.
//!
//! Flink's windows do the same; its OVER aggregates subtract two sums of squares. For integers and DECIMALs `squares`
//! does so, too. For FLOAT and DOUBLE that may give a negative variance and NaN for a constant signal, which we do not
//! copy: equal values give exactly 0 here.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, Float64Array, UInt64Array};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt64Type,
};
use datafusion::error::Result;

use super::fold::{Fold, Folded, column};
use super::{Make, squares};
use crate::functions::cast::number::{decimal_from_double, decimal_to_double};

/// What a group remembers.
///
/// # Units   `mean` in the argument's unit, `m2` in its square
/// # Source  Welford 1962; merge after Chan, Golub & LeVeque 1983
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Moments {
    count: u64,
    mean: f64,
    m2: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count = self.count.saturating_add(1);
        let delta = value - self.mean;
        self.mean += delta / self.count as f64;
        self.m2 += delta * (value - self.mean);
    }

    fn merge(&mut self, other: Self) {
        if self.count == 0 {
            *self = other;
        } else if other.count != 0 {
            let (left, right) = (self.count as f64, other.count as f64);
            let delta = other.mean - self.mean;
            self.count = self.count.saturating_add(other.count);
            self.mean += delta * (right / (left + right));
            self.m2 += other.m2 + delta * delta * (left * right / (left + right));
        }
    }
}

/// A type whose values spread.
trait Measure: ArrowPrimitiveType {
    /// The value as a DOUBLE; `scale` is that of a DECIMAL argument.
    fn to_double(value: Self::Native, scale: i8) -> f64;
    /// The result in this type; `scale` is that of a DECIMAL result.
    fn from_double(value: f64, scale: i8) -> Option<Self::Native>;
}

macro_rules! measure {
    ($($t:ty: $from:expr),*) => {$(
        impl Measure for $t {
            fn to_double(value: Self::Native, _: i8) -> f64 {
                value as f64
            }
            fn from_double(value: f64, _: i8) -> Option<Self::Native> {
                let from: fn(f64) -> Self::Native = $from;
                Some(from(value))
            }
        }
    )*};
}
// small integers go through INT and keep its low bits, as every cast of Flink does
measure!(Int8Type: |v| v as i32 as i8, Int16Type: |v| v as i32 as i16, Int32Type: |v| v as i32,
    Int64Type: |v| v as i64, Float32Type: |v| v as f32, Float64Type: |v| v);

impl Measure for Decimal128Type {
    fn to_double(value: i128, scale: i8) -> f64 {
        decimal_to_double(value, scale)
    }
    fn from_double(value: f64, scale: i8) -> Option<i128> {
        decimal_from_double(value, DECIMAL128_MAX_PRECISION, scale)
    }
}

/// Which of the four.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    /// Divide by `count - 1`.
    pub(super) sample: bool,
    /// Take the root.
    pub(super) root: bool,
}

/// Variance or deviation over `T`.
struct Variance<T> {
    spread: Spread,
    result_type: DataType,
    scale: i8,
    result_scale: i8,
    of: PhantomData<fn() -> T>,
}

impl<T: Measure> Fold for Variance<T> {
    type Input = T;
    type Output = T;
    type State = Moments;

    fn result_type(&self) -> DataType {
        self.result_type.clone()
    }

    fn state_types(&self) -> Vec<(&'static str, DataType)> {
        vec![("count", DataType::UInt64), ("mean", DataType::Float64), ("m2", DataType::Float64)]
    }

    fn add(&self, state: &mut Moments, value: T::Native) {
        state.add(T::to_double(value, self.scale));
    }

    fn merge(&self, state: &mut Moments, other: Moments) {
        state.merge(other);
    }

    fn finish(&self, state: &Moments) -> Option<T::Native> {
        let divisor = if self.spread.sample { state.count.checked_sub(1)? } else { state.count };
        if divisor == 0 {
            return None;
        }
        let variance = state.m2 / divisor as f64;
        T::from_double(if self.spread.root { variance.sqrt() } else { variance }, self.result_scale)
    }

    fn write(&self, states: &[Moments]) -> Vec<ArrayRef> {
        vec![
            Arc::new(states.iter().map(|state| Some(state.count)).collect::<UInt64Array>()),
            Arc::new(states.iter().map(|state| Some(state.mean)).collect::<Float64Array>()),
            Arc::new(states.iter().map(|state| Some(state.m2)).collect::<Float64Array>()),
        ]
    }

    fn read(&self, columns: &[ArrayRef]) -> Result<Vec<Moments>> {
        let counts = column::<UInt64Type>(columns, 0)?;
        let means = column::<Float64Type>(columns, 1)?;
        let m2s = column::<Float64Type>(columns, 2)?;
        let rows = counts.iter().zip(means.iter()).zip(m2s.iter());
        let moments = |((count, mean), m2): ((Option<u64>, Option<f64>), Option<f64>)| Moments {
            count: count.unwrap_or(0),
            mean: mean.unwrap_or(0.0),
            m2: m2.unwrap_or(0.0),
        };
        Ok(rows.map(moments).collect())
    }
}

fn make(spread: Spread, argument: &DataType) -> Option<Box<dyn Make>> {
    fn of<T: Measure>(spread: Spread, argument: &DataType) -> Option<Box<dyn Make>> {
        let (result_type, scale, result_scale) = match argument {
            DataType::Decimal128(_, scale) => {
                let result_scale = (*scale).max(6);
                (DataType::Decimal128(DECIMAL128_MAX_PRECISION, result_scale), *scale, result_scale)
            }
            other => (other.clone(), 0, 0),
        };
        Some(Box::new(Folded::new(Variance::<T> { spread, result_type, scale, result_scale, of: PhantomData })))
    }
    match argument {
        DataType::Int8 => of::<Int8Type>(spread, argument),
        DataType::Int16 => of::<Int16Type>(spread, argument),
        DataType::Int32 => of::<Int32Type>(spread, argument),
        DataType::Int64 => of::<Int64Type>(spread, argument),
        DataType::Float32 => of::<Float32Type>(spread, argument),
        DataType::Float64 => of::<Float64Type>(spread, argument),
        DataType::Decimal128(_, _) => of::<Decimal128Type>(spread, argument),
        _ => None,
    }
}

fn make_over(spread: Spread, argument: &DataType) -> Option<Box<dyn Make>> {
    squares::make(spread, argument).or_else(|| make(spread, argument))
}

/// `VAR_POP` over an argument type.
pub(super) fn make_var_pop(argument: &DataType) -> Option<Box<dyn Make>> {
    make(Spread { sample: false, root: false }, argument)
}

/// `VAR_POP(…) OVER` an argument type.
pub(super) fn make_var_pop_over(argument: &DataType) -> Option<Box<dyn Make>> {
    make_over(Spread { sample: false, root: false }, argument)
}

/// `VAR_SAMP` over an argument type.
pub(super) fn make_var_samp(argument: &DataType) -> Option<Box<dyn Make>> {
    make(Spread { sample: true, root: false }, argument)
}

/// `VAR_SAMP(…) OVER` an argument type.
pub(super) fn make_var_samp_over(argument: &DataType) -> Option<Box<dyn Make>> {
    make_over(Spread { sample: true, root: false }, argument)
}

/// `STDDEV_POP` over an argument type.
pub(super) fn make_stddev_pop(argument: &DataType) -> Option<Box<dyn Make>> {
    make(Spread { sample: false, root: true }, argument)
}

/// `STDDEV_POP(…) OVER` an argument type.
pub(super) fn make_stddev_pop_over(argument: &DataType) -> Option<Box<dyn Make>> {
    make_over(Spread { sample: false, root: true }, argument)
}

/// `STDDEV_SAMP` over an argument type.
pub(super) fn make_stddev_samp(argument: &DataType) -> Option<Box<dyn Make>> {
    make(Spread { sample: true, root: true }, argument)
}

/// `STDDEV_SAMP(…) OVER` an argument type.
pub(super) fn make_stddev_samp_over(argument: &DataType) -> Option<Box<dyn Make>> {
    make_over(Spread { sample: true, root: true }, argument)
}
