//! `MIN` and `MAX`. FLOAT and DOUBLE are compared as Java's operators do, so that of 0.0 and −0.0 the first one stays, and
//! a NaN only if it is the first value; in OVER as `Double.compare` does: −0.0 is below 0.0 and NaN above everything.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use datafusion::error::Result;

use super::Make;
use super::fold::{Fold, Folded, column};
use super::pick::{Pick, picked};

/// Values with an order.
trait Ranked: Copy {
    /// As Java's operators have it; `None` beside a NaN.
    fn rank(&self, other: &Self) -> Option<Ordering>;
    /// A total order.
    fn total(&self, other: &Self) -> Ordering;
}

macro_rules! ranked {
    ($($t:ty),*) => {$(
        impl Ranked for $t {
            fn rank(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
            fn total(&self, other: &Self) -> Ordering {
                self.cmp(other)
            }
        }
    )*};
    (float $($t:ty),*) => {$(
        impl Ranked for $t {
            fn rank(&self, other: &Self) -> Option<Ordering> {
                self.partial_cmp(other)
            }
            fn total(&self, other: &Self) -> Ordering {
                // the sign of a NaN says nothing
                self.is_nan().cmp(&other.is_nan()).then_with(|| self.total_cmp(other))
            }
        }
    )*};
}
ranked!(i8, i16, i32, i64, i128);
ranked!(float f32, f64);

/// `MIN` or `MAX` over `T`.
struct Extreme<T> {
    /// What a better value is, compared with the best so far.
    better: Ordering,
    /// Whether NaN has a place in the order.
    total: bool,
    data_type: DataType,
    of: PhantomData<fn() -> T>,
}

impl<T> Fold for Extreme<T>
where
    T: ArrowPrimitiveType,
    T::Native: Ranked,
{
    type Input = T;
    type Output = T;
    type State = Option<T::Native>;

    fn result_type(&self) -> DataType {
        self.data_type.clone()
    }

    fn state_types(&self) -> Vec<(&'static str, DataType)> {
        vec![("best", self.data_type.clone())]
    }

    fn add(&self, state: &mut Self::State, value: T::Native) {
        let better = |best: T::Native| match self.total {
            true => value.total(&best) == self.better,
            false => value.rank(&best) == Some(self.better),
        };
        if state.is_none_or(better) {
            *state = Some(value);
        }
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) {
        if let Some(value) = other {
            self.add(state, value);
        }
    }

    fn finish(&self, state: &Self::State) -> Option<T::Native> {
        *state
    }

    fn write(&self, states: &[Self::State]) -> Vec<ArrayRef> {
        let best: PrimitiveArray<T> = states.iter().copied().collect();
        vec![Arc::new(best.with_data_type(self.data_type.clone()))]
    }

    fn read(&self, columns: &[ArrayRef]) -> Result<Vec<Self::State>> {
        Ok(column::<T>(columns, 0)?.iter().collect())
    }
}

fn make(better: Ordering, total: bool, argument: &DataType) -> Option<Box<dyn Make>> {
    fn of<T>((better, total): (Ordering, bool), argument: &DataType) -> Option<Box<dyn Make>>
    where
        T: ArrowPrimitiveType,
        T::Native: Ranked,
    {
        Some(Box::new(Folded::new(Extreme::<T> { better, total, data_type: argument.clone(), of: PhantomData })))
    }
    let how = (better, total);
    match argument {
        DataType::Int8 => of::<Int8Type>(how, argument),
        DataType::Int16 => of::<Int16Type>(how, argument),
        DataType::Int32 => of::<Int32Type>(how, argument),
        DataType::Int64 => of::<Int64Type>(how, argument),
        DataType::Float32 => of::<Float32Type>(how, argument),
        DataType::Float64 => of::<Float64Type>(how, argument),
        DataType::Decimal128(_, _) => of::<Decimal128Type>(how, argument),
        DataType::Date32 => of::<Date32Type>(how, argument),
        DataType::Time32(TimeUnit::Second) => of::<Time32SecondType>(how, argument),
        DataType::Time32(TimeUnit::Millisecond) => of::<Time32MillisecondType>(how, argument),
        DataType::Time64(TimeUnit::Microsecond) => of::<Time64MicrosecondType>(how, argument),
        DataType::Time64(TimeUnit::Nanosecond) => of::<Time64NanosecondType>(how, argument),
        DataType::Timestamp(TimeUnit::Second, _) => of::<TimestampSecondType>(how, argument),
        DataType::Timestamp(TimeUnit::Millisecond, _) => of::<TimestampMillisecondType>(how, argument),
        DataType::Timestamp(TimeUnit::Microsecond, _) => of::<TimestampMicrosecondType>(how, argument),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => of::<TimestampNanosecondType>(how, argument),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean => {
            picked(if better == Ordering::Less { Pick::Min } else { Pick::Max }, argument)
        }
        _ => None,
    }
}

/// `MIN` over an argument type.
pub(super) fn make_min(argument: &DataType) -> Option<Box<dyn Make>> {
    make(Ordering::Less, false, argument)
}

/// `MIN` in OVER.
pub(super) fn make_min_over(argument: &DataType) -> Option<Box<dyn Make>> {
    make(Ordering::Less, true, argument)
}

/// `MAX` over an argument type.
pub(super) fn make_max(argument: &DataType) -> Option<Box<dyn Make>> {
    make(Ordering::Greater, false, argument)
}

/// `MAX` in OVER.
pub(super) fn make_max_over(argument: &DataType) -> Option<Box<dyn Make>> {
    make(Ordering::Greater, true, argument)
}
