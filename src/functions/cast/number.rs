//! Numbers to numbers as Flink casts them: nothing fails. Integers keep their low bits, DOUBLE saturates (NaN is 0; of DECIMAL it is an error)
//! and reaches TINYINT and SMALLINT through INT, DECIMAL rounds half up and is NULL where it does not fit.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array,
};
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};

use datafusion::error::Result;

use super::text::double_text;
use crate::error::Error;
use crate::table::float;

/// A value of any numeric type; booleans count as 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::functions) enum Number {
    /// TINYINT … BIGINT.
    Integer(i64),
    /// FLOAT and DOUBLE.
    Double(f64),
    /// DECIMAL: units of the last digit, and the scale.
    Decimal(i128, i8),
}

/// `10^exponent`, if i128 holds it.
pub(in crate::functions) fn power_of_ten(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

/// `value / divisor`, rounded half away from zero; `divisor > 0`.
pub(in crate::functions) fn divide_half_up(value: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (value / divisor, value % divisor);
    // rest >= divisor - rest is 2·rest >= divisor without overflow
    let away = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
    quotient + i128::from(away && rest != 0) * rest.signum()
}

/// Units at `scale` of units at `from_scale`, rounded half up; `None` if DECIMAL(precision, scale) has no room.
pub(in crate::functions) fn rescale(units: i128, from_scale: i8, precision: u8, scale: i8) -> Option<i128> {
    let shift = i32::from(scale) - i32::from(from_scale);
    let moved = match (u32::try_from(shift), power_of_ten(shift.unsigned_abs())) {
        (Ok(_), Some(factor)) => units.checked_mul(factor)?,
        (Err(_), Some(divisor)) => divide_half_up(units, divisor),
        (Ok(_), None) => (units == 0).then_some(0)?,
        (Err(_), None) => 0,
    };
    (moved.unsigned_abs() < power_of_ten(u32::from(precision))?.unsigned_abs()).then_some(moved)
}

/// The DOUBLE nearest to a DECIMAL.
pub(in crate::functions) fn decimal_to_double(units: i128, scale: i8) -> f64 {
    const EXACT: i128 = 1 << 53;
    if scale == 0 {
        return units as f64;
    }
    if (1..=22).contains(&scale) && units.abs() < EXACT {
        // both exact in a double, so one division rounds once
        return units as f64 / 10_f64.powi(i32::from(scale));
    }
    format!("{units}e{}", -i32::from(scale)).parse().unwrap_or(f64::NAN)
}

/// DECIMAL(precision, scale) of a DOUBLE by its text, as Java's `BigDecimal.valueOf`.
pub(in crate::functions) fn decimal_from_double(value: f64, precision: u8, scale: i8) -> Option<i128> {
    parse_decimal(&double_text(value), precision, scale).flatten()
}

/// DECIMAL(precision, scale) of a text such as `-12.5` or `1E3`, rounded half up.
///
/// `None`: no number; `Some(None)`: a number that does not fit.
pub(in crate::functions) fn parse_decimal(text: &str, precision: u8, scale: i8) -> Option<Option<i128>> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(round_digits(whole, fraction, exponent, precision, scale).map(|units| if negative { -units } else { units }))
}

fn round_digits(whole: &str, fraction: &str, exponent: i32, precision: u8, scale: i8) -> Option<i128> {
    // digits after the (moved) point that are kept
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    let kept = point + i64::from(scale);
    let limit = power_of_ten(u32::from(precision))?;
    let mut units: i128 = 0;
    let mut digits = whole.bytes().chain(fraction.bytes()).map(|byte| byte.saturating_sub(b'0'));
    let mut place = 0_i64;
    while place < kept {
        let digit = digits.next();
        if digit.is_none() && units == 0 {
            return Some(0);
        }
        units = units.checked_mul(10)?.checked_add(i128::from(digit.unwrap_or(0)))?;
        if units >= limit {
            return None;
        }
        place += 1;
    }
    let next = if kept < 0 { 0 } else { digits.next().unwrap_or(0) };
    units += i128::from(next >= 5);
    (units < limit).then_some(units)
}

/// Refuses NaN and the infinities, which no DECIMAL is: in Flink a job fails at them, under TRY_CAST, too.
///
/// # Errors
/// `Data` for the first of them.
pub(super) fn check_finite(column: &ArrayRef) -> Result<()> {
    let wrong = match column.data_type() {
        DataType::Float32 => {
            column.as_primitive::<Float32Type>().iter().flatten().map(f64::from).find(|value| !value.is_finite())
        }
        DataType::Float64 => column.as_primitive::<Float64Type>().iter().flatten().find(|value| !value.is_finite()),
        _ => None,
    };
    match wrong {
        Some(value) => Err(Error::data(format!("{} cannot be cast to DECIMAL", float::not_finite(value)))
            .hint("leave such values out: CASE WHEN ABS(x) < CAST('Infinity' AS DOUBLE) THEN CAST(x AS …) END")
            .into()),
        None => Ok(()),
    }
}

/// The number at a row of a numeric or boolean column.
pub(in crate::functions) fn number_at(array: &ArrayRef, row: usize) -> Option<Number> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Boolean => Some(Number::Integer(i64::from(array.as_boolean().value(row)))),
        DataType::Int8 => Some(Number::Integer(i64::from(array.as_primitive::<Int8Type>().value(row)))),
        DataType::Int16 => Some(Number::Integer(i64::from(array.as_primitive::<Int16Type>().value(row)))),
        DataType::Int32 => Some(Number::Integer(i64::from(array.as_primitive::<Int32Type>().value(row)))),
        DataType::Int64 => Some(Number::Integer(array.as_primitive::<Int64Type>().value(row))),
        DataType::Float32 => Some(Number::Double(f64::from(array.as_primitive::<Float32Type>().value(row)))),
        DataType::Float64 => Some(Number::Double(array.as_primitive::<Float64Type>().value(row))),
        DataType::Decimal128(_, scale) => {
            Some(Number::Decimal(array.as_primitive::<Decimal128Type>().value(row), *scale))
        }
        _ => None,
    }
}

impl Number {
    fn to_i64(self) -> i64 {
        match self {
            Self::Integer(value) => value,
            Self::Double(value) => value as i64,
            Self::Decimal(units, scale) => truncate(units, scale) as i64,
        }
    }

    /// INT, through which TINYINT and SMALLINT are reached: a DOUBLE saturates here and not at 64 bits.
    fn to_i32(self) -> i32 {
        match self {
            Self::Double(value) => value as i32,
            other => other.to_i64() as i32,
        }
    }

    /// The nearest DOUBLE.
    pub(in crate::functions) fn to_f64(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Double(value) => value,
            Self::Decimal(units, scale) => decimal_to_double(units, scale),
        }
    }

    fn to_f32(self) -> f32 {
        match self {
            Self::Integer(value) => value as f32,
            other => other.to_f64() as f32,
        }
    }

    fn to_decimal(self, precision: u8, scale: i8) -> Option<i128> {
        match self {
            Self::Integer(value) => rescale(i128::from(value), 0, precision, scale),
            Self::Double(value) => decimal_from_double(value, precision, scale),
            Self::Decimal(units, from_scale) => rescale(units, from_scale, precision, scale),
        }
    }

    fn to_bool(self) -> bool {
        match self {
            Self::Integer(value) => value != 0,
            Self::Double(value) => value != 0.0,
            Self::Decimal(units, _) => units != 0,
        }
    }
}

fn truncate(units: i128, scale: i8) -> i128 {
    power_of_ten(scale.unsigned_abs().into()).map_or(0, |unit| units / unit)
}

/// Whether [`cast`] reads the type.
pub(in crate::functions) fn is_number(data_type: &DataType) -> bool {
    data_type.is_signed_integer()
        || matches!(data_type, DataType::Float32 | DataType::Float64 | DataType::Decimal128(_, _) | DataType::Boolean)
}

/// A numeric or boolean column as another such type.
///
/// # Shape   `[rows]` → `[rows]`; `None` if one of the types is neither a number nor a boolean
pub(in crate::functions) fn cast(array: &ArrayRef, to: &DataType) -> Option<ArrayRef> {
    if !is_number(array.data_type()) {
        return None;
    }
    let numbers = (0..array.len()).map(|row| number_at(array, row));
    Some(match to {
        DataType::Boolean => Arc::new(numbers.map(|n| n.map(Number::to_bool)).collect::<BooleanArray>()),
        DataType::Int8 => Arc::new(numbers.map(|n| n.map(|n| n.to_i32() as i8)).collect::<Int8Array>()),
        DataType::Int16 => Arc::new(numbers.map(|n| n.map(|n| n.to_i32() as i16)).collect::<Int16Array>()),
        DataType::Int32 => Arc::new(numbers.map(|n| n.map(Number::to_i32)).collect::<Int32Array>()),
        DataType::Int64 => Arc::new(numbers.map(|n| n.map(Number::to_i64)).collect::<Int64Array>()),
        DataType::Float32 => Arc::new(numbers.map(|n| n.map(Number::to_f32)).collect::<Float32Array>()),
        DataType::Float64 => Arc::new(numbers.map(|n| n.map(Number::to_f64)).collect::<Float64Array>()),
        DataType::Decimal128(precision, scale) => {
            let units: Decimal128Array = numbers.map(|n| n?.to_decimal(*precision, *scale)).collect();
            Arc::new(units.with_data_type(to.clone()))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubles_to(to: &DataType, values: &[f64]) -> ArrayRef {
        let array: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
        cast(&array, to).unwrap()
    }

    #[test]
    fn doubles_saturate_and_small_integers_keep_low_bits_of_int() {
        let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 123_456_789.125, -2.5];
        assert_eq!(doubles_to(&DataType::Int8, &values).as_primitive::<Int8Type>().values(), &[0, -1, 0, 21, -2]);
        assert_eq!(doubles_to(&DataType::Int16, &values).as_primitive::<Int16Type>().values(), &[0, -1, 0, -13035, -2]);
        assert_eq!(
            doubles_to(&DataType::Int32, &values).as_primitive::<Int32Type>().values(),
            &[0, i32::MAX, i32::MIN, 123_456_789, -2]
        );
        assert_eq!(
            doubles_to(&DataType::Int64, &values).as_primitive::<Int64Type>().values(),
            &[0, i64::MAX, i64::MIN, 123_456_789, -2]
        );
    }

    #[test]
    fn decimals_round_half_up_by_the_shortest_text() {
        let to = DataType::Decimal128(5, 2);
        let units = doubles_to(&to, &[1.005, -1.005, 2.345, 0.1, 999.994, 999.995, f64::NAN, f64::INFINITY, 1e-300]);
        let units: Vec<_> = units.as_primitive::<Decimal128Type>().iter().collect();
        let want = [Some(101), Some(-101), Some(235), Some(10), Some(99999), None, None, None, Some(0)];
        assert_eq!(units, want);
    }

    #[test]
    fn decimal_text() {
        for (text, units) in [
            ("12.5", Some(Some(1250))),
            ("-0.005", Some(Some(-1))),
            ("1e2", Some(Some(10000))),
            ("1E-2", Some(Some(1))),
            (".5", Some(Some(50))),
            ("5.", Some(Some(500))),
            ("123456", Some(None)),
            ("1e999999999", Some(None)),
            ("0e999999999", Some(Some(0))),
            ("1e-999999999", Some(Some(0))),
            ("", None),
            (".", None),
            ("1 2", None),
            ("--1", None),
            ("1e", None),
        ] {
            assert_eq!(parse_decimal(text, 5, 2), units, "{text}");
        }
    }

    #[test]
    fn rescaling_never_overflows() {
        assert_eq!(rescale(125, 2, 5, 1), Some(13));
        assert_eq!(rescale(-125, 2, 5, 1), Some(-13));
        assert_eq!(rescale(i128::MAX, 0, 38, 38), None);
        assert_eq!(rescale(i128::MIN, 38, 38, -38), Some(0));
        assert_eq!(rescale(0, -38, 38, 38), Some(0));
    }
}
