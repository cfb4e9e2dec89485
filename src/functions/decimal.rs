//! Arithmetic of DECIMALs with Flink's types and rounding; integers beside a DECIMAL count as one. And the quotient of
//! integers, which has Java's results and fails at its place. The planner writes
//! these functions for `+ - * / %`. A result with more digits than its type has is NULL.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray};
use arrow::compute::cast;
use arrow::compute::kernels::arity::try_binary;
use arrow::datatypes::{DataType, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, i256};
use arrow::error::ArrowError;
use datafusion::error::Result;

use super::cast::number::{Number, number_at};
use super::scalar::{Call, Entry, Takes, Types};
use crate::error::Error;

const fn operation(
    name: &'static str,
    usage: &'static str,
    returns: fn(&Types<'_>) -> Option<DataType>,
    kernel: fn(&Call<'_>) -> Result<ArrayRef>,
    doc: &'static str,
) -> Entry {
    let takes = &[Takes::Number, Takes::Number];
    Entry { name, usage, takes, returns, kernel, doc, ..Entry::BASE }
}

/// The functions of this file. They have no Flink name.
pub(super) const ENTRIES: &[Entry] = &[
    operation("decimal_add", "a + b", sum_type, |call| sum(call, false), "The sum of DECIMALs."),
    operation("decimal_subtract", "a - b", sum_type, |call| sum(call, true), "The difference of DECIMALs."),
    operation("decimal_multiply", "a * b", product_type, multiply, "The product of DECIMALs, rounded half up."),
    operation("decimal_divide", "a / b", quotient_type, divide, "The quotient of DECIMALs, rounded half up."),
    operation("integer_divide", "a / b", widest, divide_integers, "The quotient of integers, cut; fails for 0."),
    operation("decimal_modulo", "a % b", modulo_type, modulo, "The rest of a division of DECIMALs."),
];

/// Precision and scale of an exact number.
pub(super) fn as_decimal(data_type: &DataType) -> Option<(i16, i8)> {
    match data_type {
        DataType::Int8 => Some((3, 0)),
        DataType::Int16 => Some((5, 0)),
        DataType::Int32 => Some((10, 0)),
        DataType::Int64 => Some((19, 0)),
        DataType::Decimal128(precision, scale) => Some((i16::from(*precision), *scale)),
        _ => None,
    }
}

/// The wider of two integer types.
fn widest(types: &Types<'_>) -> Option<DataType> {
    let (left, right) = (types.get(0)?, types.get(1)?);
    let both = [DataType::Int64, DataType::Int32, DataType::Int16, DataType::Int8];
    both.into_iter().find(|wide| *wide == left || *wide == right)
}

/// Java's quotient: the smallest number by -1 is itself.
fn divide_integers(call: &Call<'_>) -> Result<ArrayRef> {
    fn quotients<T: ArrowPrimitiveType>(left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef>
    where
        T::Native: ArrowNativeTypeOp,
    {
        let (left, right) = (left.as_primitive::<T>(), right.as_primitive::<T>());
        let quotient = |a: T::Native, b: T::Native| match b.is_zero() {
            true => Err(ArrowError::DivideByZero),
            false => Ok(a.div_wrapping(b)),
        };
        Ok(Arc::new(try_binary::<_, _, _, T>(left, right, quotient)?))
    }
    let (left, right) = (cast(call.any(0)?, call.return_type)?, cast(call.any(1)?, call.return_type)?);
    match call.return_type {
        DataType::Int8 => quotients::<Int8Type>(&left, &right),
        DataType::Int16 => quotients::<Int16Type>(&left, &right),
        DataType::Int32 => quotients::<Int32Type>(&left, &right),
        _ => quotients::<Int64Type>(&left, &right),
    }
}

/// Precision and scale.
type Digits = (i16, i16);

/// The type of a result, by the digits of both arguments.
fn result(types: &Types<'_>, digits: fn(Digits, Digits) -> Digits) -> Option<DataType> {
    let ((p1, s1), (p2, s2)) = (as_decimal(&types.get(0)?)?, as_decimal(&types.get(1)?)?);
    let (precision, scale) = digits((p1, i16::from(s1)), (p2, i16::from(s2)));
    Some(DataType::Decimal128(u8::try_from(precision).ok()?, i8::try_from(scale).ok()?))
}

/// So many digits, or what is left of the scale where 38 are too few: 6 digits stay if there are so many.
///
/// # Source  Flink, `LogicalTypeMerging.adjustPrecisionScale`
fn adjusted(precision: i16, scale: i16) -> Digits {
    let whole = precision - scale;
    let kept = if precision > 38 { (38 - whole).max(scale.min(6)) } else { scale };
    (precision.clamp(1, 38), kept)
}

/// # Source  Flink, `LogicalTypeMerging.findAdditionDecimalType`
fn sum_digits((p1, s1): Digits, (p2, s2): Digits) -> Digits {
    let scale = s1.max(s2);
    adjusted((p1 - s1).max(p2 - s2) + scale + 1, scale)
}

/// # Source  Flink, `LogicalTypeMerging.findMultiplicationDecimalType`
fn product_digits((p1, s1): Digits, (p2, s2): Digits) -> Digits {
    adjusted(p1 + p2 + 1, s1 + s2)
}

/// # Source  Flink, `LogicalTypeMerging.findDivisionDecimalType`
fn quotient_digits((p1, s1): Digits, (p2, s2): Digits) -> Digits {
    let scale = (s1 + p2 + 1).max(6);
    adjusted(p1 - s1 + s2 + scale, scale)
}

/// # Source  Flink, `LogicalTypeMerging.findModuloDecimalType`
fn modulo_digits((p1, s1): Digits, (p2, s2): Digits) -> Digits {
    let scale = s1.max(s2);
    adjusted((p1 - s1).min(p2 - s2) + scale, scale)
}

fn sum_type(types: &Types<'_>) -> Option<DataType> {
    result(types, sum_digits)
}

fn product_type(types: &Types<'_>) -> Option<DataType> {
    result(types, product_digits)
}

fn quotient_type(types: &Types<'_>) -> Option<DataType> {
    result(types, quotient_digits)
}

pub(super) fn modulo_type(types: &Types<'_>) -> Option<DataType> {
    result(types, modulo_digits)
}

/// Units and scale of an exact number.
fn units(number: Number) -> Option<(i256, i32)> {
    match number {
        Number::Integer(value) => Some((i256::from_i128(i128::from(value)), 0)),
        Number::Decimal(units, scale) => Some((i256::from_i128(units), i32::from(scale))),
        Number::Double(_) => None,
    }
}

/// `10^power`.
fn ten(power: i32) -> Option<i256> {
    i256::from_i128(10).checked_pow(u32::try_from(power).ok()?)
}

/// `left / right` rounded half up, away from zero; `right` is not 0.
fn divide_half_up(left: i256, right: i256) -> Option<i256> {
    let (whole, rest) = (left.checked_div(right)?, left.checked_rem(right)?);
    // |rest| < |right| <= 10^76, and twice that is in range
    let up = rest.wrapping_abs().checked_add(rest.wrapping_abs())? >= right.wrapping_abs();
    let away = if left.is_negative() == right.is_negative() { i256::ONE } else { i256::MINUS_ONE };
    if up { whole.checked_add(away) } else { Some(whole) }
}

/// Units of the result column from two numbers per row, given as units and scale.
fn build(call: &Call<'_>, value: impl Fn((i256, i32), (i256, i32), i32) -> Result<Option<i256>>) -> Result<ArrayRef> {
    let (lefts, rights) = (call.any(0)?, call.any(1)?);
    let DataType::Decimal128(precision, scale) = *call.return_type else {
        return Err(Error::internal("arithmetic of decimals does not give a decimal").into());
    };
    let limit = 10_i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX).unsigned_abs();
    call.build::<Decimal128Type>(|row| {
        let Some((left, right)) = number_at(lefts, row).zip(number_at(rights, row)) else { return Ok(None) };
        let Some((left, right)) = units(left).zip(units(right)) else { return Ok(None) };
        let result = value(left, right, i32::from(scale))?.and_then(i256::to_i128);
        Ok(result.filter(|units| units.unsigned_abs() < limit))
    })
}

/// Units at one scale as units at another, rounded half up.
fn moved(units: i256, from: i32, to: i32) -> Option<i256> {
    if to >= from { units.checked_mul(ten(to - from)?) } else { divide_half_up(units, ten(from - to)?) }
}

fn sum(call: &Call<'_>, minus: bool) -> Result<ArrayRef> {
    build(call, |left, right, scale| Ok(total(left, right, scale, minus)))
}

/// Both together, or the first without the second.
fn total((left, s1): (i256, i32), (right, s2): (i256, i32), scale: i32, minus: bool) -> Option<i256> {
    let common = s1.max(s2);
    let (left, right) = (moved(left, s1, common)?, moved(right, s2, common)?);
    moved(if minus { left.checked_sub(right)? } else { left.checked_add(right)? }, common, scale)
}

fn multiply(call: &Call<'_>) -> Result<ArrayRef> {
    build(call, |left, right, scale| Ok(product(left, right, scale)))
}

fn product((left, s1): (i256, i32), (right, s2): (i256, i32), scale: i32) -> Option<i256> {
    moved(left.checked_mul(right)?, s1 + s2, scale)
}

/// The error of a division by zero.
pub(super) fn by_zero() -> Error {
    Error::data("division by zero").hint("guard the divisor, as in \"CASE WHEN d <> 0 THEN … END\"")
}

fn divide(call: &Call<'_>) -> Result<ArrayRef> {
    build(call, |(left, s1), (right, s2), scale| {
        if right == i256::ZERO {
            return Err(by_zero().into());
        }
        Ok(quotient(left, right, scale - s1 + s2))
    })
}

/// `left · 10^shift / right`, rounded half up; `None` beyond what can be computed.
fn quotient(left: i256, right: i256, shift: i32) -> Option<i256> {
    match shift >= 0 {
        true => divide_half_up(left.checked_mul(ten(shift)?)?, right),
        false => divide_half_up(left, right.checked_mul(ten(-shift)?)?),
    }
}

/// `MOD` and `%`, with the sign of the dividend.
pub(super) fn modulo(call: &Call<'_>) -> Result<ArrayRef> {
    build(call, |(left, s1), (right, s2), scale| {
        if right == i256::ZERO {
            return Err(by_zero().into());
        }
        let common = s1.max(s2);
        let Some((left, right)) = moved(left, s1, common).zip(moved(right, s2, common)) else { return Ok(None) };
        let whole = left.checked_div(right).and_then(i256::to_i128);
        if whole.is_none_or(|whole| whole.unsigned_abs() >= 10_u128.pow(38)) {
            // as Java's BigDecimal, which says "Division impossible"
            return Err(Error::data("MOD of a DECIMAL whose quotient has more than 38 digits").into());
        }
        Ok(left.checked_rem(right).and_then(|rest| moved(rest, common, scale)))
    })
}

/// A DECIMAL on its own. Where a result has more digits than its type, or none at all, there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Exact {
    /// Units of the last digit.
    pub(super) units: i128,
    /// Its type.
    pub(super) digits: (i16, i16),
}

impl Exact {
    pub(super) fn minus(self, other: Self) -> Option<Self> {
        self.with(other, sum_digits(self.digits, other.digits), |left, right, scale| total(left, right, scale, true))
    }

    pub(super) fn times(self, other: Self) -> Option<Self> {
        self.with(other, product_digits(self.digits, other.digits), product)
    }

    pub(super) fn over(self, other: Self) -> Option<Self> {
        self.over_as(other, quotient_digits(self.digits, other.digits))
    }

    /// The quotient in this type.
    pub(super) fn over_as(self, other: Self, digits: (i16, i16)) -> Option<Self> {
        let divided = |(left, s1), (right, s2), scale| quotient(left, right, scale - s1 + s2);
        if other.units == 0 { None } else { self.with(other, digits, divided) }
    }

    fn with(
        self,
        other: Self,
        (precision, scale): Digits,
        value: impl Fn((i256, i32), (i256, i32), i32) -> Option<i256>,
    ) -> Option<Self> {
        let of = |number: Self| (i256::from_i128(number.units), i32::from(number.digits.1));
        let units = value(of(self), of(other), i32::from(scale))?.to_i128()?;
        let limit = 10_u128.checked_pow(u32::try_from(precision).ok()?)?;
        (units.unsigned_abs() < limit).then_some(Self { units, digits: (precision, scale) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_rounded_half_up_away_from_zero() {
        let quotient = |left: i128, right: i128, shift| {
            quotient(i256::from_i128(left), i256::from_i128(right), shift).and_then(i256::to_i128)
        };
        assert_eq!(quotient(1025, 3, 11), Some(34_166_666_666_667));
        assert_eq!(quotient(-1, 2, 0), Some(-1));
        assert_eq!(quotient(1, -3, 0), Some(0));
        assert_eq!(quotient(5, 10, -1), Some(0));
        assert_eq!(quotient(50, 10, -1), Some(1));
        assert_eq!(quotient(i128::MAX, 1, 10), None);
        assert_eq!(quotient(10i128.pow(37), 7, 38), None, "75 digits");
    }

    /// Types that Flink 2.3 gave.
    #[test]
    fn types_of_results() {
        let of = |returns: fn(&Types<'_>) -> Option<DataType>, left: (u8, i8), right: (u8, i8)| {
            let types = [DataType::Decimal128(left.0, left.1), DataType::Decimal128(right.0, right.1)];
            returns(&Types { types: &types, constants: Vec::new(), zone: &crate::time::zone::Zone::UTC })
        };
        let decimal = |precision, scale| Some(DataType::Decimal128(precision, scale));
        assert_eq!(of(sum_type, (38, 10), (10, 2)), decimal(38, 9));
        assert_eq!(of(sum_type, (38, 10), (38, 0)), decimal(38, 6));
        assert_eq!(of(product_type, (10, 2), (10, 2)), decimal(21, 4));
        assert_eq!(of(product_type, (20, 18), (20, 18)), decimal(38, 33));
        assert_eq!(of(product_type, (38, 0), (10, 2)), decimal(38, 2));
        assert_eq!(of(quotient_type, (10, 2), (10, 2)), decimal(23, 13));
        assert_eq!(of(quotient_type, (38, 10), (10, 2)), decimal(38, 8));
        assert_eq!(of(quotient_type, (20, 18), (38, 10)), decimal(38, 26));
        assert_eq!(of(modulo_type, (38, 10), (10, 2)), decimal(18, 10));
    }
}
