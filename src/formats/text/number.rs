//! Numbers as text, as Java reads and writes them: `Integer.parseInt`, `Double.parseDouble`,
//! `Double.toString`, `BigDecimal`.
//!
//! A number too large for FLOAT or DOUBLE is an infinity, as in Java; one too large for an integer is out of range.

use std::num::IntErrorKind;

use super::{Wrong, trim};
use crate::table::float;

/// Reads a whole number that fits `T`; `wanted` names the type.
pub(in crate::formats) fn parse_integer<T: TryFrom<i64>>(text: &str, wanted: &str) -> Result<T, Wrong> {
    let number = trim(text).parse::<i64>().map_err(|e| match e.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => Wrong::range_of(text, wanted),
        _ => Wrong::type_of(text, wanted),
    })?;
    T::try_from(number).map_err(|_| Wrong::range_of(text, wanted))
}

/// Cuts a number with a point or an exponent to a whole one, as Flink does for INT and BIGINT.
pub(in crate::formats) fn parse_cut_integer<T: TryFrom<i64>>(text: &str, wanted: &str) -> Result<T, Wrong> {
    let number: f64 = text.parse().map_err(|_| Wrong::type_of(text, wanted))?;
    let whole = number.trunc();
    // 2^63 is the first double beyond i64; -2^63 is its least value.
    if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&whole) {
        return Err(Wrong::range_of(text, wanted));
    }
    T::try_from(whole as i64).map_err(|_| Wrong::range_of(text, wanted))
}

/// A binary floating-point type.
pub(in crate::formats) trait Float: Copy + std::str::FromStr + Into<f64> {
    const NAN: Self;
    const INFINITY: Self;
    const NEG_INFINITY: Self;
    /// Appends it as Java writes it.
    fn write(self, out: &mut Vec<u8>);
}

impl Float for f32 {
    const NAN: Self = f32::NAN;
    const INFINITY: Self = f32::INFINITY;
    const NEG_INFINITY: Self = f32::NEG_INFINITY;

    fn write(self, out: &mut Vec<u8>) {
        float::write_float(self, out);
    }
}

impl Float for f64 {
    const NAN: Self = f64::NAN;
    const INFINITY: Self = f64::INFINITY;
    const NEG_INFINITY: Self = f64::NEG_INFINITY;

    fn write(self, out: &mut Vec<u8>) {
        float::write_double(self, out);
    }
}

/// Reads a floating-point number, `NaN`, `Infinity` or `-Infinity`.
pub(in crate::formats) fn parse_float<T: Float>(text: &str, wanted: &str) -> Result<T, Wrong> {
    let text = trim(text);
    // Rust also reads "inf" and "nan", which Java does not.
    if text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')) {
        return text.parse().map_err(|_| Wrong::type_of(text, wanted));
    }
    match text {
        "NaN" | "+NaN" | "-NaN" => Ok(T::NAN),
        "Infinity" | "+Infinity" => Ok(T::INFINITY),
        "-Infinity" => Ok(T::NEG_INFINITY),
        _ => Err(Wrong::type_of(text, wanted)),
    }
}

/// Reads a decimal exactly and rounds it HALF_UP to `scale` digits after the point: the unscaled value,
/// or `None` where it needs more than `precision` digits.
pub(in crate::formats) fn parse_decimal(text: &str, precision: u8, scale: i8) -> Result<Option<i128>, Wrong> {
    let wrong = || Wrong::type_of(text, "DECIMAL");
    let trimmed = trim(text);
    let (negative, unsigned) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, trimmed.get(1..).unwrap_or_default()),
        Some(b'+') => (false, trimmed.get(1..).unwrap_or_default()),
        _ => (false, trimmed),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent).ok_or_else(wrong)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let leading_zeros = digits().take_while(|b| *b == b'0').count();
    let count = (whole.len() + fraction.len() - leading_zeros) as i64;
    let shift = exponent.saturating_sub(fraction.len() as i64).saturating_add(i64::from(scale));
    let value = round_half_up(digits().skip(leading_zeros), count, shift);
    let limit = 10i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
    Ok(value.filter(|v| *v < limit).map(|v| if negative { -v } else { v }))
}

/// An exponent, kept within what can matter.
fn parse_exponent(text: &str) -> Option<i64> {
    match text.parse::<i64>() {
        Ok(exponent) => Some(exponent),
        Err(e) if *e.kind() == IntErrorKind::PosOverflow => Some(i64::MAX),
        Err(e) if *e.kind() == IntErrorKind::NegOverflow => Some(i64::MIN),
        Err(_) => None,
    }
}

/// `count` digits, the first not zero, times 10^`shift`, rounded to a whole number; `None` beyond 38 digits.
fn round_half_up(digits: impl Iterator<Item = u8>, count: i64, shift: i64) -> Option<i128> {
    if count == 0 {
        return Some(0);
    }
    let kept = count.saturating_add(shift);
    if kept > 38 {
        return None;
    }
    let mut value = 0i128;
    let mut round_up = false;
    for (at, digit) in digits.enumerate() {
        let digit = digit.wrapping_sub(b'0');
        if at as i64 >= kept {
            round_up = at as i64 == kept && digit >= 5;
            break;
        }
        value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
    }
    let zeros = u32::try_from(shift.max(0)).ok()?;
    value.checked_mul(10i128.checked_pow(zeros)?)?.checked_add(i128::from(round_up))
}

/// Appends a whole number.
pub(in crate::formats) fn write_integer(mut number: i64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let negative = number < 0;
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10).unsigned_abs() as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a floating-point number as Java's `Double.toString` and `Float.toString`.
pub(in crate::formats) fn write_float<T: Float>(number: T, out: &mut Vec<u8>) {
    number.write(out);
}

/// Appends a decimal with all its digits: Java's `BigDecimal.toPlainString`.
pub(in crate::formats) fn write_plain_decimal(unscaled: i128, scale: i8, out: &mut Vec<u8>) {
    let digits = unscaled.unsigned_abs().to_string();
    if unscaled < 0 {
        out.push(b'-');
    }
    let places = usize::from(scale.max(0).unsigned_abs());
    let whole = digits.len().saturating_sub(places);
    out.extend_from_slice(if whole == 0 { b"0" } else { digits.get(..whole).unwrap_or_default().as_bytes() });
    out.extend((0..scale.min(0).unsigned_abs()).map(|_| b'0'));
    if places > 0 {
        out.push(b'.');
        out.extend((digits.len()..places).map(|_| b'0'));
        out.extend_from_slice(digits.get(whole..).unwrap_or_default().as_bytes());
    }
}

/// The same decimal without zeros at its end: Java's `BigDecimal.stripTrailingZeros`.
pub(in crate::formats) fn without_zeros(mut unscaled: i128, mut scale: i8) -> (i128, i8) {
    if unscaled == 0 {
        return (0, 0);
    }
    while unscaled % 10 == 0 {
        unscaled /= 10;
        scale = scale.saturating_sub(1);
    }
    (unscaled, scale)
}

/// Appends a decimal as Jackson writes a `BigDecimal` node: without zeros at the end, and as
/// `BigDecimal.toString`, which may use an exponent (`1E+2`, `1E-7`).
pub(in crate::formats) fn write_decimal(unscaled: i128, scale: i8, out: &mut Vec<u8>) {
    let (unscaled, scale) = without_zeros(unscaled, scale);
    let digits = unscaled.unsigned_abs().to_string();
    let exponent = digits.len() as i64 - 1 - i64::from(scale);
    if scale >= 0 && exponent >= -6 {
        write_plain_decimal(unscaled, scale, out);
        return;
    }
    if unscaled < 0 {
        out.push(b'-');
    }
    let (first, rest) = digits.split_at(1);
    out.extend_from_slice(first.as_bytes());
    if !rest.is_empty() {
        out.push(b'.');
        out.extend_from_slice(rest.as_bytes());
    }
    out.extend_from_slice(if exponent < 0 { b"E" } else { b"E+" });
    write_integer(exponent, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::WrongKind;
    use super::*;

    fn float(number: f64) -> String {
        let mut out = Vec::new();
        write_float(number, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn decimal(unscaled: i128, scale: i8, plain: bool) -> String {
        let mut out = Vec::new();
        let write = if plain { write_plain_decimal } else { write_decimal };
        write(unscaled, scale, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Texts that Flink 2.3 wrote.
    #[test]
    fn doubles_as_java_writes_them() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (100.0, "100.0"),
            (-2.5, "-2.5"),
            (0.1, "0.1"),
            (1e10, "1.0E10"),
            (1e-5, "1.0E-5"),
            (123456789.125, "1.23456789125E8"),
            (1e7, "1.0E7"),
            (9999999.0, "9999999.0"),
            (0.001, "0.001"),
            (0.00099, "9.9E-4"),
            (1e21, "1.0E21"),
            (f64::MAX, "1.7976931348623157E308"),
            (5e-324, "4.9E-324"),
            (3.3333333333333335, "3.3333333333333335"),
            (1e300, "1.0E300"),
            (0.0123, "0.0123"),
            (1234567.5, "1234567.5"),
            (10.0, "10.0"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(float(number), text);
        }
        let mut out = Vec::new();
        write_float(1.5f32, &mut out);
        assert_eq!(out, b"1.5");
    }

    /// Texts that Flink 2.3 wrote.
    #[test]
    fn decimals_as_jackson_writes_them() {
        for (unscaled, scale, plain, text) in [
            (1025000000, 15, false, "0.000001025"),
            (100000000000, 0, false, "1E+11"),
            (6553600, 2, false, "65536"),
            (-1000000, 15, false, "-1E-9"),
            (-140000000000, 0, false, "-1.4E+11"),
            (0, 15, false, "0"),
            (550000000, 15, false, "5.5E-7"),
            (1300, 2, false, "13"),
            (1000, 2, false, "1E+1"),
            (1025000000, 15, true, "0.000001025000000"),
            (1300, 2, true, "13.00"),
            (0, 2, true, "0.00"),
            (-1, 2, true, "-0.01"),
            (100000000000, 0, true, "100000000000"),
        ] {
            assert_eq!(decimal(unscaled, scale, plain), text);
        }
    }

    #[test]
    fn decimals_round_half_up_and_what_does_not_fit_is_none() {
        for (text, expected) in [
            ("1.239", Some(124)),
            ("1.235", Some(124)),
            ("1.2349", Some(123)),
            ("-1.235", Some(-124)),
            ("0.005", Some(1)),
            ("0.0049", Some(0)),
            ("12345678.99", Some(1234567899)),
            ("99999999.995", None),
            ("123456789", None),
            ("1e3", Some(100000)),
            ("1E-3", Some(0)),
            ("1e99999999999999999999", None),
            ("0e99999999999999999999", Some(0)),
            ("1e-99999999999999999999", Some(0)),
            (" 7 ", Some(700)),
            ("+.5", Some(50)),
            ("5.", Some(500)),
            ("000.10", Some(10)),
        ] {
            assert_eq!(parse_decimal(text, 10, 2).unwrap(), expected, "{text}");
        }
        for text in ["", "-", ".", "1,5", "abc", "1e", "1e+", "--1", "1.2.3", "NaN", "0x10"] {
            assert_eq!(parse_decimal(text, 10, 2).unwrap_err().kind, WrongKind::Type, "{text}");
        }
        assert_eq!(parse_decimal(&"9".repeat(38), 38, 0).unwrap(), Some(10i128.pow(38) - 1));
        assert_eq!(parse_decimal(&"9".repeat(39), 38, 0).unwrap(), None);
    }

    #[test]
    fn integers() {
        assert_eq!(parse_integer::<i64>(" 42 ", "BIGINT"), Ok(42));
        assert_eq!(parse_integer::<i64>("-007", "BIGINT"), Ok(-7));
        assert_eq!(parse_integer::<i64>("9223372036854775808", "BIGINT").unwrap_err().kind, WrongKind::Range);
        assert_eq!(parse_integer::<i8>("128", "TINYINT").unwrap_err().kind, WrongKind::Range);
        assert_eq!(parse_integer::<i32>("1.5", "INT").unwrap_err().kind, WrongKind::Type);
        assert_eq!(parse_cut_integer::<i32>("-1.9", "INT"), Ok(-1));
        assert_eq!(parse_cut_integer::<i64>("1e400", "BIGINT").unwrap_err().kind, WrongKind::Range);
        assert_eq!(parse_cut_integer::<i64>("9223372036854775808.0", "BIGINT").unwrap_err().kind, WrongKind::Range);
        assert_eq!(parse_cut_integer::<i32>("3e9", "INT").unwrap_err().kind, WrongKind::Range);
    }

    #[test]
    fn what_is_too_large_is_infinite_and_other_text_no_number() {
        assert_eq!(parse_float::<f64>("1e400", "DOUBLE"), Ok(f64::INFINITY));
        assert_eq!(parse_float::<f32>("-1e39", "FLOAT"), Ok(f32::NEG_INFINITY));
        assert_eq!(parse_float::<f32>("3.4028235e38", "FLOAT"), Ok(f32::MAX));
        assert_eq!(parse_float::<f64>("-Infinity", "DOUBLE"), Ok(f64::NEG_INFINITY));
        assert_eq!(parse_float::<f64>("1e-400", "DOUBLE"), Ok(0.0));
        for text in ["inf", "nan", "infinity", "", "1,5", "0x1p3", "e5", "."] {
            assert_eq!(parse_float::<f64>(text, "DOUBLE").unwrap_err().kind, WrongKind::Type, "{text}");
        }
    }

    proptest! {
        #[test]
        fn floats_read_back_the_same(bits: u64, narrow: u32) {
            let wide = f64::from_bits(bits);
            let back = float(wide).parse::<f64>().unwrap_or(f64::NAN);
            prop_assert!(wide.is_nan() || back == wide || !wide.is_finite());
            let narrow = f32::from_bits(narrow);
            if narrow.is_finite() {
                let mut out = Vec::new();
                write_float(narrow, &mut out);
                prop_assert_eq!(String::from_utf8(out).unwrap().parse::<f32>().unwrap(), narrow);
            }
        }

        #[test]
        fn decimals_read_back_the_same(unscaled in -(10i128.pow(38) - 1)..10i128.pow(38), scale in 0i8..=38, plain: bool) {
            prop_assert_eq!(parse_decimal(&decimal(unscaled, scale, plain), 38, scale).unwrap(), Some(unscaled));
        }

        #[test]
        fn integers_read_back_the_same(number: i64) {
            let mut out = Vec::new();
            write_integer(number, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }
}
