//! Functions of numbers. Trigonometry, roots and logarithms take and give DOUBLE with IEEE results (no error, NaN
//! outside the domain); ABS, SIGN, ROUND, TRUNCATE, FLOOR and CEIL keep the type of a number.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::kernels::cmp::{gt, lt};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{is_null, nullif, or};
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use datafusion::error::Result;

use super::cast::number::{Number, divide_half_up, number_at, power_of_ten, rescale};
use super::cast::text::double_text;
use super::decimal;
use super::scalar::Takes::{Any, Double, Integer, Number as ANumber};
use super::scalar::{At, Call, Entry, Types};
use crate::error::Error;
use crate::table::float;

/// A function from DOUBLE to DOUBLE.
macro_rules! double {
    ($name:literal, $usage:literal, $function:expr, $doc:literal) => {
        Entry {
            name: $name,
            usage: $usage,
            takes: &[Double],
            returns: a_double,
            kernel: |call| {
                let values = call.doubles(0)?;
                let function: fn(f64) -> f64 = $function;
                call.build::<Float64Type>(|row| Ok(values.at(row).map(function)))
            },
            doc: $doc,
            ..Entry::BASE
        }
    };
}

/// A function of numbers that keeps their type.
const fn number1(
    name: &'static str,
    aliases: &'static [&'static str],
    usage: &'static str,
    kernel: fn(&Call<'_>) -> Result<ArrayRef>,
    doc: &'static str,
) -> Entry {
    let returns = |types: &Types<'_>| types.get(0);
    Entry { name, aliases, usage, takes: &[ANumber], returns, kernel, doc, ..Entry::BASE }
}

/// One degree in radians, as `Math.toRadians` has it.
const RADIANS: f64 = 0.017_453_292_519_943_295;

/// The functions of this file.
pub(super) const ENTRIES: &[Entry] = &[
    double!("sqrt", "SQRT(number)", |x| x.powf(0.5), "Square root, as Flink computes it: a power of one half."),
    double!("exp", "EXP(number)", f64::exp, "e to the power of the number."),
    double!("ln", "LN(number)", f64::ln, "Natural logarithm."),
    double!("log10", "LOG10(number)", f64::log10, "Logarithm to base 10."),
    double!("log2", "LOG2(number)", |x| x.ln() / 2_f64.ln(), "Logarithm to base 2, as Flink computes it."),
    double!("sin", "SIN(number)", f64::sin, "Sine."),
    double!("cos", "COS(number)", f64::cos, "Cosine."),
    double!("tan", "TAN(number)", f64::tan, "Tangent."),
    double!("cot", "COT(number)", |x| 1.0 / x.tan(), "Cotangent."),
    double!("asin", "ASIN(number)", f64::asin, "Arc sine."),
    double!("acos", "ACOS(number)", f64::acos, "Arc cosine."),
    double!("atan", "ATAN(number)", f64::atan, "Arc tangent."),
    double!("sinh", "SINH(number)", f64::sinh, "Hyperbolic sine."),
    double!("cosh", "COSH(number)", f64::cosh, "Hyperbolic cosine."),
    double!("tanh", "TANH(number)", f64::tanh, "Hyperbolic tangent."),
    double!("degrees", "DEGREES(radians)", |x| x * (180.0 / std::f64::consts::PI), "Radians as degrees."),
    double!("radians", "RADIANS(degrees)", |x| x * RADIANS, "Degrees as radians."),
    Entry {
        takes: &[Double],
        optional: &[Double],
        returns: a_double,
        ..number1("log", &[], "LOG([base, ] number)", log, "Logarithm, natural without a base.")
    },
    Entry {
        takes: &[Double, Double],
        returns: a_double,
        ..number1("power", &[], "POWER(base, exponent)", power, "The base to the power of the exponent.")
    },
    Entry {
        takes: &[Double, Double],
        returns: a_double,
        ..number1("atan2", &[], "ATAN2(y, x)", atan2, "Angle of the point (x, y).")
    },
    Entry {
        takes: &[],
        returns: a_double,
        ..number1("pi", &[], "PI()", |call| constant(call, std::f64::consts::PI), "π.")
    },
    Entry {
        takes: &[],
        returns: a_double,
        ..number1("e", &[], "E()", |call| constant(call, std::f64::consts::E), "Euler's number.")
    },
    number1("abs", &[], "ABS(number)", abs, "Without the sign; the smallest integer of a type stays as it is."),
    number1("sign", &[], "SIGN(number)", sign, "−1, 0 or 1 in the type of the number."),
    Entry {
        optional: &[Integer],
        returns: rounded_type,
        ..number1(
            "round",
            &[],
            "ROUND(number [, digits])",
            round,
            "Rounded half up to so many decimals; negative: tens.",
        )
    },
    Entry {
        optional: &[Integer],
        returns: rounded_type,
        ..number1("truncate", &[], "TRUNCATE(number [, digits])", truncate, "Cut to so many decimals; negative: tens.")
    },
    Entry { returns: whole_type, ..number1("floor", &[], "FLOOR(number)", floor, "The whole number at or below.") },
    Entry {
        returns: whole_type,
        ..number1("ceil", &["ceiling"], "CEIL(number)", ceil, "The whole number at or above.")
    },
    Entry {
        takes: &[ANumber, ANumber],
        returns: remainder_type,
        ..number1("mod", &[], "MOD(dividend, divisor)", modulo, "Remainder with the sign of the dividend; fails for 0.")
    },
    Entry {
        takes: &[Any],
        repeated: Some(Any),
        returns: one_type,
        ..number1("greatest", &[], "GREATEST(value, …)", greatest, "The largest; NULL if any is NULL.")
    },
    Entry {
        takes: &[Any],
        repeated: Some(Any),
        returns: one_type,
        ..number1("least", &[], "LEAST(value, …)", least, "The smallest; NULL if any is NULL.")
    },
];

fn a_double(_: &Types<'_>) -> Option<DataType> {
    Some(DataType::Float64)
}

fn constant(call: &Call<'_>, value: f64) -> Result<ArrayRef> {
    call.build::<Float64Type>(|_| Ok(Some(value)))
}

fn doubles2(call: &Call<'_>, function: fn(f64, f64) -> f64) -> Result<ArrayRef> {
    let (left, right) = (call.doubles(0)?, call.doubles(1)?);
    call.build::<Float64Type>(|row| Ok(left.at(row).zip(right.at(row)).map(|(a, b)| function(a, b))))
}

fn log(call: &Call<'_>) -> Result<ArrayRef> {
    if call.count() > 1 {
        return doubles2(call, |base, x| x.ln() / base.ln());
    }
    let values = call.doubles(0)?;
    call.build::<Float64Type>(|row| Ok(values.at(row).map(f64::ln)))
}

fn power(call: &Call<'_>) -> Result<ArrayRef> {
    doubles2(call, f64::powf)
}

fn atan2(call: &Call<'_>) -> Result<ArrayRef> {
    doubles2(call, f64::atan2)
}

/// A column of the type to return from one number per row. `None` is NULL.
fn build(call: &Call<'_>, mut value: impl FnMut(usize) -> Result<Option<Number>>) -> Result<ArrayRef> {
    let mut integer = |row| {
        Ok(match value(row)? {
            Some(Number::Integer(value)) => Some(value),
            _ => None,
        })
    };
    match call.return_type {
        DataType::Int8 => call.build::<Int8Type>(|row| Ok(integer(row)?.map(|v| v as i8))),
        DataType::Int16 => call.build::<Int16Type>(|row| Ok(integer(row)?.map(|v| v as i16))),
        DataType::Int32 => call.build::<Int32Type>(|row| Ok(integer(row)?.map(|v| v as i32))),
        DataType::Int64 => call.build::<Int64Type>(integer),
        DataType::Float32 => call.build::<Float32Type>(|row| Ok(value(row)?.map(|v| v.to_f64() as f32))),
        DataType::Float64 => call.build::<Float64Type>(|row| Ok(value(row)?.map(Number::to_f64))),
        DataType::Decimal128(precision, scale) => call.build::<Decimal128Type>(|row| {
            Ok(match value(row)? {
                // what ROUND carries beyond the type's digits is kept, as Flink does
                Some(Number::Decimal(units, from)) => rescale(units, from, 38.max(*precision), *scale),
                _ => None,
            })
        }),
        other => Err(Error::internal(format!("a function of numbers cannot return \"{other}\"")).into()),
    }
}

/// One number to another.
fn each(call: &Call<'_>, change: impl Fn(Number) -> Option<Number>) -> Result<ArrayRef> {
    let values = call.any(0)?;
    build(call, |row| Ok(number_at(values, row).and_then(&change)))
}

fn abs(call: &Call<'_>) -> Result<ArrayRef> {
    each(call, |number| {
        Some(match number {
            Number::Integer(value) => Number::Integer(value.wrapping_abs()),
            Number::Double(value) => Number::Double(value.abs()),
            Number::Decimal(units, scale) => Number::Decimal(units.wrapping_abs(), scale),
        })
    })
}

fn sign(call: &Call<'_>) -> Result<ArrayRef> {
    each(call, |number| {
        Some(match number {
            Number::Integer(value) => Number::Integer(value.signum()),
            // Java's signum keeps zeros and NaN
            Number::Double(value) if value == 0.0 || value.is_nan() => Number::Double(value),
            Number::Double(value) => Number::Double(value.signum()),
            Number::Decimal(units, _) => Number::Decimal(units.signum(), 0),
        })
    })
}

/// How the digits that go are treated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    HalfUp,
    Down,
    Floor,
    Ceil,
}

impl Cut {
    /// `units` as a multiple of `step > 0`.
    fn apply(self, units: i128, step: i128) -> Option<i128> {
        let count = match self {
            Self::HalfUp => divide_half_up(units, step),
            Self::Down => units / step,
            Self::Floor => units.div_euclid(step),
            Self::Ceil => -((-units).div_euclid(step)),
        };
        count.checked_mul(step)
    }
}

/// Scale and so the type of ROUND and TRUNCATE over a DECIMAL: known where the digits are constant.
///
/// # Source  Flink, `LogicalTypeMerging.findRoundDecimalType`
fn rounded_type(types: &Types<'_>) -> Option<DataType> {
    let given = types.get(0)?;
    let DataType::Decimal128(precision, scale) = given else { return Some(given) };
    let digits = if types.types.len() > 1 { types.integer(1) } else { Some(0) };
    let Some(digits) = digits.filter(|digits| *digits < i64::from(scale)) else {
        return Some(DataType::Decimal128(precision, scale));
    };
    let kept = i8::try_from(digits.max(0)).ok()?;
    let whole = i16::from(precision) - i16::from(scale);
    let precision = (whole + 1 + i16::from(kept)).clamp(1, 38);
    Some(DataType::Decimal128(u8::try_from(precision).ok()?, kept))
}

fn rounded(call: &Call<'_>, cut: Cut) -> Result<ArrayRef> {
    let values = call.any(0)?;
    let digits = if call.count() > 1 { Some(call.integers(1)?) } else { None };
    build(call, |row| {
        let number = number_at(values, row).zip(digits.map_or(Some(0), |digits| digits.at(row)));
        if let Some((Number::Double(value), _)) = number
            && !value.is_finite()
        {
            return Err(Error::data(format!("{} cannot be rounded", float::not_finite(value)))
                .hint("round only what is finite: CASE WHEN ABS(x) < CAST('Infinity' AS DOUBLE) THEN ROUND(x, 2) END")
                .into());
        }
        Ok(number.and_then(|(number, digits)| round_number(number, digits.clamp(-400, 400) as i32, cut)))
    })
}

fn round_number(number: Number, digits: i32, cut: Cut) -> Option<Number> {
    Some(match number {
        Number::Integer(value) => {
            let rounded = if digits >= 0 {
                i128::from(value)
            } else {
                match power_of_ten(digits.unsigned_abs()) {
                    Some(step) => cut.apply(i128::from(value), step)?,
                    None => 0,
                }
            };
            Number::Integer(rounded as i64)
        }
        Number::Double(value) => Number::Double(round_double(value, digits, cut)),
        Number::Decimal(units, scale) => {
            let drop = i32::from(scale) - digits;
            match (u32::try_from(drop), power_of_ten(drop.unsigned_abs())) {
                (Ok(_), Some(step)) => Number::Decimal(cut.apply(units, step)?, scale),
                (Ok(_), None) => Number::Decimal(0, scale),
                (Err(_), _) => number,
            }
        }
    })
}

/// A DOUBLE rounded by its decimal text, as Java's `BigDecimal.valueOf(x).setScale(n)`: 2.345 is 2.35
/// although the double is below it.
fn round_double(value: f64, digits: i32, cut: Cut) -> f64 {
    if value == 0.0 {
        // a BigDecimal has no -0.0
        return 0.0;
    }
    let text = double_text(value);
    let (mantissa, exponent) = text.split_once('E').unwrap_or((&text, "0"));
    let Some((whole, fraction)) = mantissa.split_once('.') else { return value };
    let (Ok(exponent), Ok(units)) = (exponent.parse::<i32>(), format!("{whole}{fraction}").parse::<i128>()) else {
        return value;
    };
    // value = units · 10^-scale with at most 18 digits
    let scale = i32::try_from(fraction.len()).unwrap_or(0) - exponent;
    let drop = scale - digits;
    if drop <= 0 {
        return value;
    }
    let kept = power_of_ten(drop.unsigned_abs()).and_then(|step| cut.apply(units, step)).unwrap_or(0);
    format!("{kept}e{}", -scale).parse().unwrap_or(value)
}

fn round(call: &Call<'_>) -> Result<ArrayRef> {
    rounded(call, Cut::HalfUp)
}

fn truncate(call: &Call<'_>) -> Result<ArrayRef> {
    rounded(call, Cut::Down)
}

fn whole_type(types: &Types<'_>) -> Option<DataType> {
    Some(match types.get(0)? {
        DataType::Decimal128(precision, _) => DataType::Decimal128(precision, 0),
        other => other,
    })
}

fn whole(call: &Call<'_>, cut: Cut, double: fn(f64) -> f64) -> Result<ArrayRef> {
    each(call, |number| match number {
        Number::Double(value) => Some(Number::Double(double(value))),
        other => round_number(other, 0, cut),
    })
}

fn floor(call: &Call<'_>) -> Result<ArrayRef> {
    whole(call, Cut::Floor, f64::floor)
}

fn ceil(call: &Call<'_>) -> Result<ArrayRef> {
    whole(call, Cut::Ceil, f64::ceil)
}

/// Integers give the divisor's type; DOUBLE is refused as Flink does.
fn remainder_type(types: &Types<'_>) -> Option<DataType> {
    let (left, right) = (types.get(0)?, types.get(1)?);
    if left.is_signed_integer() && right.is_signed_integer() { Some(right) } else { decimal::modulo_type(types) }
}

fn modulo(call: &Call<'_>) -> Result<ArrayRef> {
    let (dividends, divisors) = (call.any(0)?, call.any(1)?);
    if call.return_type.is_decimal() {
        return decimal::modulo(call);
    }
    build(call, |row| match number_at(dividends, row).zip(number_at(divisors, row)) {
        Some((_, Number::Integer(0))) => Err(decimal::by_zero().into()),
        Some((Number::Integer(left), Number::Integer(right))) => Ok(Some(Number::Integer(left.wrapping_rem(right)))),
        _ => Ok(None),
    })
}

/// The type all arguments have.
fn one_type(types: &Types<'_>) -> Option<DataType> {
    let mut known = types.types.iter().filter(|t| **t != DataType::Null);
    let Some(first) = known.next() else { return Some(DataType::Null) };
    known.try_fold(first.clone(), |common, next| {
        datafusion::logical_expr::type_coercion::binary::comparison_coercion(&common, next)
            .filter(|_| is_comparable(&common, next))
    })
}

/// Numbers go with numbers and other types with their own kind: text is never read as a number here.
fn is_comparable(left: &DataType, right: &DataType) -> bool {
    let kind = |t: &DataType| (t.is_numeric(), t.is_string(), t.is_temporal(), *t == DataType::Boolean);
    kind(left) == kind(right)
}

fn extreme(
    call: &Call<'_>,
    better: fn(&dyn arrow::array::Datum, &dyn arrow::array::Datum) -> Result<BooleanArray, arrow::error::ArrowError>,
) -> Result<ArrayRef> {
    let convert = |index: usize| -> Result<ArrayRef> {
        let column = call.any(index)?;
        Ok(match super::cast::number::cast(column, call.return_type) {
            Some(numbers) => numbers,
            None => arrow::compute::cast(column, call.return_type)?,
        })
    };
    let mut best = convert(0)?;
    let mut missing = is_null(&best)?;
    for index in 1..call.count() {
        let next = convert(index)?;
        missing = or(&missing, &is_null(&next)?)?;
        best = zip(&better(&next, &best)?, &next, &best)?;
    }
    Ok(Arc::clone(&nullif(&best, &missing)?))
}

fn greatest(call: &Call<'_>) -> Result<ArrayRef> {
    extreme(call, gt)
}

fn least(call: &Call<'_>) -> Result<ArrayRef> {
    extreme(call, lt)
}
