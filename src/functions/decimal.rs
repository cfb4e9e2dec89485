//! Division of DECIMALs with Flink's type and rounding; integers beside a DECIMAL count as one.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Decimal128Type, i256};
use datafusion::error::Result;

use super::cast::number::{Number, number_at};
use super::scalar::{Call, Entry, Takes, Types};
use crate::error::Error;

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "decimal_divide",
    aliases: &[],
    usage: "dividend / divisor",
    takes: &[Takes::Number, Takes::Number],
    optional: &[],
    repeated: None,
    returns: quotient_type,
    kernel: divide,
    doc: "The quotient of DECIMALs, rounded half up.",
}];

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

/// # Source  Flink, `LogicalTypeMerging.findDivisionDecimalType` and `adjustPrecisionScale`
fn quotient_type(types: &Types<'_>) -> Option<DataType> {
    let ((p1, s1), (p2, s2)) = (as_decimal(&types.get(0)?)?, as_decimal(&types.get(1)?)?);
    let (s1, s2) = (i16::from(s1), i16::from(s2));
    let scale = (s1 + p2 + 1).max(6);
    let whole = p1 - s1 + s2;
    let kept = if whole + scale > 38 { (38 - whole).max(scale.min(6)) } else { scale };
    let precision = (whole + scale).clamp(1, 38);
    Some(DataType::Decimal128(u8::try_from(precision).ok()?, i8::try_from(kept.min(38)).ok()?))
}

/// NULL if the quotient has more digits than its type.
fn divide(call: &Call<'_>) -> Result<ArrayRef> {
    let (dividends, divisors) = (call.any(0)?, call.any(1)?);
    let DataType::Decimal128(precision, scale) = *call.return_type else {
        return Err(Error::internal("a quotient of decimals is no decimal").into());
    };
    let limit = 10i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
    let units = |number: Number| match number {
        Number::Integer(value) => Some((i128::from(value), 0)),
        Number::Decimal(units, scale) => Some((units, scale)),
        Number::Double(_) => None,
    };
    call.build::<Decimal128Type>(|row| {
        let Some((left, right)) = number_at(dividends, row).zip(number_at(divisors, row)) else { return Ok(None) };
        let Some(((left, s1), (right, s2))) = units(left).zip(units(right)) else { return Ok(None) };
        if right == 0 {
            return Err(Error::data("division by zero")
                .hint("guard the divisor, as in \"CASE WHEN d <> 0 THEN … END\"")
                .into());
        }
        let shift = i32::from(scale) - i32::from(s1) + i32::from(s2);
        Ok(quotient(left, right, shift).filter(|units| units.unsigned_abs() < limit.unsigned_abs()))
    })
}

/// `left · 10^shift / right`, rounded half up; `None` beyond 38 digits.
fn quotient(left: i128, right: i128, shift: i32) -> Option<i128> {
    let unit = |power: u32| i256::from_i128(10).checked_pow(power);
    let power = shift.unsigned_abs();
    let (left, right) = (i256::from_i128(left), i256::from_i128(right));
    let (left, right) = match shift >= 0 {
        true => (left.checked_mul(unit(power)?)?, right),
        false => (left, right.checked_mul(unit(power)?)?),
    };
    let whole = left.checked_div(right)?;
    let rest = left.checked_rem(right)?;
    // |rest| < |right| < 10^76, and twice that is in range.
    let up = rest.wrapping_abs().checked_add(rest.wrapping_abs())? >= right.wrapping_abs();
    let away = if left.is_negative() == right.is_negative() { i256::ONE } else { i256::MINUS_ONE };
    if up { whole.checked_add(away)?.to_i128() } else { whole.to_i128() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_rounded_half_up_away_from_zero() {
        assert_eq!(quotient(1025, 3, 11), Some(34_166_666_666_667));
        assert_eq!(quotient(-1, 2, 0), Some(-1));
        assert_eq!(quotient(1, -3, 0), Some(0));
        assert_eq!(quotient(5, 10, -1), Some(0));
        assert_eq!(quotient(50, 10, -1), Some(1));
        assert_eq!(quotient(i128::MAX, 1, 10), None);
        assert_eq!(quotient(10i128.pow(37), 7, 38), None, "75 digits");
    }
}
