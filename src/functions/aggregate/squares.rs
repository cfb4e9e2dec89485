//! Variance and deviation of integers and DECIMALs in OVER: Flink subtracts the square of the sum from the sum of the
//! squares there, all in the type of the argument. So integers wrap and are cut at each step, and DECIMALs are rounded.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, Int64Array, PrimitiveArray};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type};
use datafusion::error::Result;

use super::Make;
use super::fold::{Fold, Folded, column};
use super::sum::Plus;
use super::variance::Spread;
use crate::functions::cast::number::{decimal_from_double, decimal_to_double, rescale};
use crate::functions::decimal::Exact;

/// What a group remembers; sums in `S`, which are cut to the type of the values at the end.
#[derive(Debug, Clone, Copy, Default)]
struct Sums<S> {
    count: i64,
    sum: S,
    squares: S,
}

/// A type whose values have squares.
trait Squared: ArrowPrimitiveType {
    /// What sums are kept in.
    type Sum: ArrowPrimitiveType<Native: Plus + Default + std::fmt::Debug>;
    /// A value and its square; `None`: it has none, and counts as NULL.
    fn summands(value: Self::Native, types: Scales) -> Option<[<Self::Sum as ArrowPrimitiveType>::Native; 2]>;
    /// The variance or its root.
    fn finish(
        sums: &Sums<<Self::Sum as ArrowPrimitiveType>::Native>,
        spread: Spread,
        types: Scales,
    ) -> Option<Self::Native>;
}

/// Digits behind the point.
#[derive(Debug, Clone, Copy)]
struct Scales {
    argument: i8,
    result: i8,
}

macro_rules! squared_integer {
    ($($t:ty),*) => {$(
        impl Squared for $t {
            type Sum = Int64Type;

            fn summands(value: Self::Native, _: Scales) -> Option<[i64; 2]> {
                let value = i64::from(value);
                Some([value, value.wrapping_mul(value)])
            }

            fn finish(sums: &Sums<i64>, spread: Spread, _: Scales) -> Option<Self::Native> {
                let (sum, squares, count) =
                    (sums.sum as Self::Native, sums.squares as Self::Native, sums.count as Self::Native);
                // a count that wraps to 0 ends Flink's job
                if count == 0 {
                    return None;
                }
                let distances = squares.wrapping_sub(sum.wrapping_mul(sum).wrapping_div(count));
                let variance = match spread.sample {
                    true => i64::from(distances).checked_div(sums.count.checked_sub(1)?)? as Self::Native,
                    false => distances.wrapping_div(count),
                };
                // the root of a number below 0 is NaN, which is cast to 0; small integers are cast through INT
                let root = || (variance as f64).powf(0.5);
                Some(match spread.root {
                    true => if size_of::<Self::Native>() < 4 { root() as i32 as Self::Native } else { root() as Self::Native },
                    false => variance,
                })
            }
        }
    )*};
}
squared_integer!(Int8Type, Int16Type, Int32Type, Int64Type);

impl Squared for Decimal128Type {
    type Sum = Self;

    fn summands(value: i128, types: Scales) -> Option<[i128; 2]> {
        let value = decimal(rescale(value, types.argument, DECIMAL128_MAX_PRECISION, types.result)?, types);
        Some([value.units, cast(value.times(value)?, types)?])
    }

    fn finish(sums: &Sums<i128>, spread: Spread, types: Scales) -> Option<i128> {
        if !sums.sum.fits() || !sums.squares.fits() {
            return None;
        }
        let (sum, squares) = (decimal(sums.sum, types), decimal(sums.squares, types));
        let count = decimal(rescale(i128::from(sums.count), 0, DECIMAL128_MAX_PRECISION, types.result)?, types);
        let distances = squares.minus(sum.times(sum)?.over(count)?)?;
        let others = Exact { units: i128::from(sums.count) - 1, digits: (19, 0) };
        let variance = match spread.sample {
            true => distances.over_as(others, count.digits)?.units,
            false => cast(distances.over(count)?, types)?,
        };
        if !spread.root {
            return Some(variance);
        }
        decimal_from_double(decimal_to_double(variance, types.result).powf(0.5), DECIMAL128_MAX_PRECISION, types.result)
    }
}

/// Units as a number of the result's type.
fn decimal(units: i128, types: Scales) -> Exact {
    Exact { units, digits: (i16::from(DECIMAL128_MAX_PRECISION), i16::from(types.result)) }
}

/// Units of a number in the result's type.
fn cast(number: Exact, types: Scales) -> Option<i128> {
    rescale(number.units, i8::try_from(number.digits.1).ok()?, DECIMAL128_MAX_PRECISION, types.result)
}

/// Variance or deviation over `T`.
struct Squares<T> {
    spread: Spread,
    sum_type: DataType,
    result_type: DataType,
    scales: Scales,
    of: PhantomData<fn() -> T>,
}

impl<T: Squared> Fold for Squares<T> {
    type Input = T;
    type Output = T;
    type State = Sums<<T::Sum as ArrowPrimitiveType>::Native>;

    fn result_type(&self) -> DataType {
        self.result_type.clone()
    }

    fn state_types(&self) -> Vec<(&'static str, DataType)> {
        vec![("count", DataType::Int64), ("sum", self.sum_type.clone()), ("squares", self.sum_type.clone())]
    }

    fn add(&self, state: &mut Self::State, value: T::Native) {
        if let Some([sum, squares]) = T::summands(value, self.scales) {
            self.merge(state, Sums { count: 1, sum, squares });
        }
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) {
        if state.count == 0 {
            *state = other;
        } else if other.count != 0 {
            state.count = state.count.saturating_add(other.count);
            state.sum = state.sum.plus(other.sum);
            state.squares = state.squares.plus(other.squares);
        }
    }

    fn finish(&self, state: &Self::State) -> Option<T::Native> {
        if state.count > 0 { T::finish(state, self.spread, self.scales) } else { None }
    }

    fn write(&self, states: &[Self::State]) -> Vec<ArrayRef> {
        let column = |of: fn(&Self::State) -> <T::Sum as ArrowPrimitiveType>::Native| -> ArrayRef {
            let values: PrimitiveArray<T::Sum> = states.iter().map(|state| Some(of(state))).collect();
            Arc::new(values.with_data_type(self.sum_type.clone()))
        };
        let counts: Int64Array = states.iter().map(|state| Some(state.count)).collect();
        vec![Arc::new(counts), column(|state| state.sum), column(|state| state.squares)]
    }

    fn read(&self, columns: &[ArrayRef]) -> Result<Vec<Self::State>> {
        let counts = column::<Int64Type>(columns, 0)?;
        let (sums, squares) = (column::<T::Sum>(columns, 1)?, column::<T::Sum>(columns, 2)?);
        let rows = counts.iter().zip(sums.iter()).zip(squares.iter());
        let state = |((count, sum), squares): ((Option<i64>, Option<_>), Option<_>)| Sums {
            count: count.unwrap_or(0),
            sum: sum.unwrap_or_default(),
            squares: squares.unwrap_or_default(),
        };
        Ok(rows.map(state).collect())
    }
}

/// What Flink's OVER computes by sums; `None`: a type that it does so as well, but where we compute by distances from
/// the mean, which is exact for equal values.
pub(super) fn make(spread: Spread, argument: &DataType) -> Option<Box<dyn Make>> {
    fn of<T: Squared>(spread: Spread, sum: DataType, result: DataType, scales: Scales) -> Option<Box<dyn Make>> {
        let (sum_type, result_type) = (sum, result);
        Some(Box::new(Folded::new(Squares::<T> { spread, sum_type, result_type, scales, of: PhantomData })))
    }
    let whole = Scales { argument: 0, result: 0 };
    match argument {
        DataType::Int8 => of::<Int8Type>(spread, DataType::Int64, DataType::Int8, whole),
        DataType::Int16 => of::<Int16Type>(spread, DataType::Int64, DataType::Int16, whole),
        DataType::Int32 => of::<Int32Type>(spread, DataType::Int64, DataType::Int32, whole),
        DataType::Int64 => of::<Int64Type>(spread, DataType::Int64, DataType::Int64, whole),
        DataType::Decimal128(_, scale) => {
            let scales = Scales { argument: *scale, result: (*scale).max(6) };
            let result = DataType::Decimal128(DECIMAL128_MAX_PRECISION, scales.result);
            of::<Decimal128Type>(spread, result.clone(), result, scales)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, Int8Array, Int16Array, Int32Array};
    use datafusion::scalar::ScalarValue;

    use super::*;

    /// The result after each value, as Flink 2.3 gave it for `ORDER BY … ROWS BETWEEN 5 PRECEDING AND CURRENT ROW`.
    fn growing(values: &ArrayRef, spread: Spread) -> Vec<ScalarValue> {
        let after = |rows: usize| {
            let mut seen = make(spread, values.data_type()).unwrap().accumulator();
            seen.update_batch(&[values.slice(0, rows)]).unwrap();
            seen.evaluate().unwrap()
        };
        (1..=values.len()).map(after).collect()
    }

    const POPULATION: Spread = Spread { sample: false, root: false };
    const SAMPLE: Spread = Spread { sample: true, root: false };

    #[test]
    fn integers_wrap_and_are_cut_as_in_flink() {
        let tiny: ArrayRef = Arc::new(Int8Array::from(vec![Some(100), Some(100), Some(100), None, Some(1)]));
        let small: ArrayRef = Arc::new(Int16Array::from(vec![30_000, 30_000, 30_000, 7, 2]));
        let int: ArrayRef = Arc::new(Int32Array::from(vec![i32::MAX, i32::MAX, 5, 0, -9]));
        let ints = |values: &[i32]| values.iter().map(|v| ScalarValue::Int32(Some(*v))).collect::<Vec<_>>();
        let smalls = |values: &[i16]| values.iter().map(|v| ScalarValue::Int16(Some(*v))).collect::<Vec<_>>();
        let tinies = |values: &[i8]| values.iter().map(|v| ScalarValue::Int8(Some(*v))).collect::<Vec<_>>();
        let root = |spread: Spread| Spread { root: true, ..spread };
        assert_eq!(growing(&int, POPULATION), ints(&[0, 0, 8, 6, 20]));
        assert_eq!(growing(&int, root(POPULATION)), ints(&[0, 0, 2, 2, 4]));
        assert_eq!(growing(&int, SAMPLE)[1..], ints(&[0, 12, 8, 25]));
        assert_eq!(growing(&int, SAMPLE)[0], ScalarValue::Int32(None));
        assert_eq!(growing(&small, POPULATION), smalls(&[0, 0, -7281, -6116, -3291]));
        assert_eq!(growing(&small, root(SAMPLE))[1..], smalls(&[0, 0, 0, 0]));
        assert_eq!(growing(&tiny, POPULATION), tinies(&[0, 0, 28, 28, 13]));
        assert_eq!(growing(&tiny, root(SAMPLE))[1..], tinies(&[0, 6, 6, 4]));
    }

    #[test]
    fn decimals_are_rounded_as_in_flink() {
        let decimals = |values: &[i128], scale: i8| -> ArrayRef {
            Arc::new(
                Decimal128Array::from_iter_values(values.iter().copied()).with_precision_and_scale(31, scale).unwrap(),
            )
        };
        let of = |values: &[i128], scale: i8| -> Vec<ScalarValue> {
            values.iter().map(|v| ScalarValue::Decimal128(Some(*v), 38, scale)).collect()
        };
        let d = decimals(&[550, 725, 9_999, 1, 3_333], 2);
        assert_eq!(growing(&d, POPULATION), of(&[0, 765_625, 1_948_014_467, 1_725_668_019, 1_384_765_664], 6));
        assert_eq!(growing(&d, SAMPLE)[1..], of(&[1_531_250, 2_922_021_700, 2_300_890_692, 1_730_957_080], 6));
        let roots = Spread { sample: false, root: true };
        assert_eq!(growing(&d, roots), of(&[0, 875_000, 44_136_317, 41_541_161, 37_212_440], 6));
        let sevenths = [785714285714285714286, 1035714285714285714286, 14284285714285714285714];
        let e = decimals(&sevenths, 21);
        assert_eq!(growing(&e, SAMPLE)[1..], of(&[31_250 * 10_i128.pow(15), 59_633_095_500 * 10_i128.pow(12)], 21));
        assert_eq!(growing(&e, POPULATION), of(&[0, 15_625 * 10_i128.pow(15), 39_755_397 * 10_i128.pow(15)], 21));
    }
}
