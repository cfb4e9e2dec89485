//! FLOAT and DOUBLE as text, as Java 17 writes them: `1.0E10`, `4.9E-324`, `1.9999999999999998E23`.
//!
//! These are not always the shortest digits that read back the same (Java 19 changed that): the digits are those of
//! its algorithm, which Flink's results show, in CAST and in JSON.

/// Appends a DOUBLE as `Double.toString` of Java 17.
pub fn write_double(value: f64, out: &mut Vec<u8>) {
    let bits = value.to_bits();
    let exponent = i32::try_from(bits >> 52 & 0x7ff).unwrap_or(0);
    write(value, exponent, bits & ((1 << 52) - 1), Binary { exponent_bias: 1023, significant: 53 }, out);
}

/// Appends a FLOAT as `Float.toString` of Java 17.
pub fn write_float(value: f32, out: &mut Vec<u8>) {
    let bits = value.to_bits();
    let exponent = i32::try_from(bits >> 23 & 0xff).unwrap_or(0);
    let fraction = u64::from(bits & ((1 << 23) - 1)) << 29;
    write(f64::from(value), exponent, fraction, Binary { exponent_bias: 127, significant: 24 }, out);
}

/// The name of NaN or an infinity.
pub fn not_finite(value: f64) -> &'static str {
    match (value.is_nan(), value > 0.0) {
        (true, _) => "NaN",
        (false, true) => "Infinity",
        (false, false) => "-Infinity",
    }
}

#[derive(Clone, Copy)]
struct Binary {
    exponent_bias: i32,
    /// Bits of the mantissa, the first one included.
    significant: i32,
}

fn write(value: f64, exponent: i32, fraction: u64, binary: Binary, out: &mut Vec<u8>) {
    if !value.is_finite() {
        return out.extend_from_slice(not_finite(value).as_bytes());
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if value == 0.0 {
        return out.extend_from_slice(b"0.0");
    }
    let (mantissa, exponent, significant) = if exponent > 0 {
        (1 << 52 | fraction, exponent - binary.exponent_bias, binary.significant)
    } else {
        // a number without a leading bit has fewer significant ones
        let zeros = i32::try_from(fraction.leading_zeros()).unwrap_or(0);
        let shift = zeros - 11;
        let kept = 64 - zeros - (53 - binary.significant);
        (fraction << shift, 1 - binary.exponent_bias - shift, kept)
    };
    let (digits, point) = digits(mantissa, exponent, significant);
    lay_out(&digits, point, out);
}

/// Digits and the place of the point after the first of them: `d.ddd · 10^point`.
///
/// # Source  OpenJDK 17, `FloatingDecimal.BinaryToASCIIBuffer.dtoa`, after Steele & White and Gay; facts of the
/// algorithm, such as its stopping rules, are kept because they show in the digits
fn digits(mantissa: u64, exponent: i32, significant: i32) -> (Vec<u8>, i32) {
    let tail_zeros = i32::try_from(mantissa.trailing_zeros()).unwrap_or(0);
    let kept = 53 - tail_zeros;
    let tiny = (kept - exponent - 1).max(0);
    if tiny == 0 && (0..=62).contains(&exponent) {
        let whole = if exponent >= 52 { mantissa << (exponent - 52) } else { mantissa >> (52 - exponent) };
        return whole_digits(whole, exponent - significant - 1);
    }
    let estimate = estimate(mantissa, exponent);
    let (value_5, scale_5) = ((-estimate).max(0), estimate.max(0));
    let mut value_2 = value_5 + tiny + exponent;
    let mut scale_2 = scale_5 + tiny;
    let mut margin_2 = value_2 - significant;
    value_2 -= kept - 1;
    let common = value_2.min(scale_2);
    (value_2, scale_2, margin_2) = (value_2 - common, scale_2 - common, margin_2 - common);
    if kept == 1 {
        // below a power of two numbers lie twice as close
        margin_2 -= 1;
    }
    if margin_2 < 0 {
        (value_2, scale_2, margin_2) = (value_2 - margin_2, scale_2 - margin_2, 0);
    }
    let odd = mantissa >> tail_zeros;
    let value_bits = kept + value_2 + bits_of_5(value_5);
    let scale_bits = scale_2 + 1 + bits_of_5(scale_5 + 1);
    let (value, scale) = (Big::new(odd, value_2, value_5), Big::new(1, scale_2, scale_5));
    let margin = Big::new(1, margin_2, value_5);
    if value_bits < 64 && scale_bits < 64 {
        let narrow = value_bits < 32 && scale_bits < 32;
        return generate_small([value.low(), scale.low(), margin.low()], estimate, narrow);
    }
    generate(value, &scale, margin, estimate)
}

/// Digits of a whole number, less those that its bits do not know.
fn whole_digits(whole: u64, unknown_bits: i32) -> (Vec<u8>, i32) {
    // decimal digits below a power of two: its exponent times log10(2)
    let dropped = if unknown_bits > 1 { unknown_bits.unsigned_abs() * 30_103 / 100_000 } else { 0 };
    let unit = 10_u64.saturating_pow(dropped);
    let rounded = whole / unit + u64::from(dropped > 0 && whole % unit >= unit / 2);
    let text = rounded.to_string();
    let point = i32::try_from(text.len()).unwrap_or(1) - 1 + i32::try_from(dropped).unwrap_or(0);
    (text.trim_end_matches('0').bytes().collect(), point)
}

/// The decimal exponent, or one more.
fn estimate(mantissa: u64, exponent: i32) -> i32 {
    let one_to_two = f64::from_bits(1023 << 52 | mantissa & ((1 << 52) - 1));
    let estimate = (one_to_two - 1.5) * 0.289_529_654 + 0.176_091_259 + f64::from(exponent) * std::f64::consts::LOG10_2;
    estimate.floor() as i32
}

/// Bits of a power of five, as the algorithm bounds them.
fn bits_of_5(power: i32) -> i32 {
    match power {
        0 => 0,
        1..=26 => power * 2_321_928 / 1_000_000 + 1,
        _ => power * 3,
    }
}

/// As [`generate`] in integers of 64 bits, or of 32 if `narrow`, whose sums run over as Java's do: that shows in the
/// last digit of some numbers.
fn generate_small([value, scale, margin]: [i64; 3], estimate: i32, narrow: bool) -> (Vec<u8>, i32) {
    let wrap = |number: i64| if narrow { i64::from(number as i32) } else { number };
    let (mut value, mut margin, tens) = (value, margin, wrap(scale.wrapping_mul(10)));
    let mut point = estimate;
    let mut digits = Vec::with_capacity(18);
    let step = |value: &mut i64, margin: &mut i64| {
        let digit = u8::try_from(value.checked_div(scale).unwrap_or(0)).unwrap_or(9).min(9);
        *value = wrap(value.checked_rem(scale).unwrap_or(0).wrapping_mul(10));
        *margin = wrap(margin.wrapping_mul(10));
        digit
    };
    let sum_is_high = |value: i64, margin: i64| wrap(value.wrapping_add(margin)) > tens;
    let first = step(&mut value, &mut margin);
    let (mut low, mut high) = (value < margin, sum_is_high(value, margin));
    if first == 0 && !high {
        point -= 1;
    } else {
        digits.push(b'0' + first);
    }
    if !(-3..8).contains(&point) {
        (low, high) = (false, false);
    }
    while !low && !high && digits.len() < 20 {
        let digit = step(&mut value, &mut margin);
        // a margin that ran over is more than enough
        (low, high) = if margin > 0 { (value < margin, sum_is_high(value, margin)) } else { (true, true) };
        digits.push(b'0' + digit);
    }
    let twice = wrap(wrap(value << 1).wrapping_sub(tens));
    let odd = digits.last().is_some_and(|digit| digit & 1 == 1);
    if high && (!low || twice > 0 || twice == 0 && odd) {
        round_up(&mut digits, &mut point);
    }
    trimmed(digits, point)
}

/// Digits without the zeros at their end.
fn trimmed(mut digits: Vec<u8>, point: i32) -> (Vec<u8>, i32) {
    while digits.len() > 1 && digits.last() == Some(&b'0') {
        digits.pop();
    }
    (digits, point)
}

/// Digits of `value / scale` until they tell the number from its neighbours, `margin` away.
fn generate(mut value: Big, scale: &Big, mut margin: Big, estimate: i32) -> (Vec<u8>, i32) {
    let mut tens = scale.clone();
    tens.times_10();
    let high_now = |value: &Big, margin: &Big| value.plus(margin) >= tens;
    let mut point = estimate;
    let mut digits = Vec::with_capacity(18);
    let step = |value: &mut Big, margin: &mut Big| {
        let digit = value.take(scale);
        value.times_10();
        margin.times_10();
        digit
    };
    let first = step(&mut value, &mut margin);
    let (mut low, mut high) = (value < margin, high_now(&value, &margin));
    if first == 0 && !high {
        point -= 1;
    } else {
        digits.push(b'0' + first);
    }
    // with an exponent there are two digits at least, whatever the first would say
    if !(-3..8).contains(&point) {
        (low, high) = (false, false);
    }
    while !low && !high && digits.len() < 20 {
        let digit = step(&mut value, &mut margin);
        (low, high) = (value < margin, high_now(&value, &margin));
        digits.push(b'0' + digit);
    }
    let up = high && {
        let twice = value.plus(&value);
        let odd = digits.last().is_some_and(|digit| digit & 1 == 1);
        !low || twice > tens || twice == tens && odd
    };
    if up {
        round_up(&mut digits, &mut point);
    }
    trimmed(digits, point)
}

fn round_up(digits: &mut Vec<u8>, point: &mut i32) {
    while let Some(last) = digits.pop() {
        if last < b'9' {
            digits.push(last + 1);
            return;
        }
    }
    digits.push(b'1');
    *point += 1;
}

/// `d.ddd` between 10^-3 and 10^7, else `d.dddE±n`; one digit after the point at least.
fn lay_out(digits: &[u8], point: i32, out: &mut Vec<u8>) {
    let fraction = |from: usize, out: &mut Vec<u8>| {
        out.push(b'.');
        match digits.get(from..) {
            Some(rest) if !rest.is_empty() => out.extend_from_slice(rest),
            _ => out.push(b'0'),
        }
    };
    match point {
        0..=6 => {
            let whole = point.unsigned_abs() as usize + 1;
            out.extend(digits.iter().copied().chain(std::iter::repeat(b'0')).take(whole));
            fraction(whole, out);
        }
        -3..=-1 => {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', point.unsigned_abs() as usize - 1));
            out.extend_from_slice(digits);
        }
        _ => {
            out.extend(digits.first());
            fraction(1, out);
            out.push(b'E');
            out.extend_from_slice(point.to_string().as_bytes());
        }
    }
}

/// A whole number of any size: limbs of 32 bits, the least first, none of them a leading zero.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Big(Vec<u32>);

impl Big {
    /// `one · 2^twos · 5^fives`.
    fn new(one: u64, twos: i32, fives: i32) -> Self {
        let mut big = Self(vec![one as u32, (one >> 32) as u32]);
        let mut left = fives.max(0);
        while left > 0 {
            let now = left.min(13);
            big.times(5_u32.saturating_pow(now.unsigned_abs()));
            left -= now;
        }
        let twos = twos.max(0).unsigned_abs();
        big.times(1 << (twos % 32));
        big.0.splice(0..0, std::iter::repeat_n(0, twos as usize / 32));
        big.trim();
        big
    }

    /// The lowest 63 bits.
    fn low(&self) -> i64 {
        let limb = |at: usize| i64::from(self.0.get(at).copied().unwrap_or(0));
        (limb(1) << 32 | limb(0)) & i64::MAX
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn times(&mut self, factor: u32) {
        let mut carry = 0_u64;
        for limb in &mut self.0 {
            let product = u64::from(*limb) * u64::from(factor) + carry;
            *limb = product as u32;
            carry = product >> 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    fn times_10(&mut self) {
        self.times(10);
    }

    fn plus(&self, other: &Self) -> Self {
        let mut sum = Vec::with_capacity(self.0.len().max(other.0.len()) + 1);
        let mut carry = 0_u64;
        for i in 0..self.0.len().max(other.0.len()) {
            let limb = |big: &Self| u64::from(big.0.get(i).copied().unwrap_or(0));
            carry += limb(self) + limb(other);
            sum.push(carry as u32);
            carry >>= 32;
        }
        if carry > 0 {
            sum.push(carry as u32);
        }
        Self(sum)
    }

    /// Takes away `other` as often as it goes, which is less than ten times; how often.
    fn take(&mut self, other: &Self) -> u8 {
        let mut count = 0;
        while *self >= *other && count < 10 {
            let mut borrow = 0_i64;
            for (i, limb) in self.0.iter_mut().enumerate() {
                let difference = i64::from(*limb) - i64::from(other.0.get(i).copied().unwrap_or(0)) + borrow;
                *limb = difference as u32;
                borrow = difference >> 32;
            }
            self.trim();
            count += 1;
        }
        count
    }
}

impl PartialOrd for Big {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Big {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let lengths = self.0.len().cmp(&other.0.len());
        lengths.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(value: f64) -> String {
        let mut out = Vec::new();
        write_double(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn float(value: f32) -> String {
        let mut out = Vec::new();
        write_float(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Texts that Flink 2.3 on Java 17 wrote.
    #[test]
    fn doubles_as_java_writes_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1e10, "1.0E10"),
            (-1e-5, "-1.0E-5"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (0.001, "0.001"),
            (0.00099, "9.9E-4"),
            (100.0, "100.0"),
            (1234.5678, "1234.5678"),
            (123_456_789.125, "1.23456789125E8"),
            (5e-324, "4.9E-324"),
            (f64::MAX, "1.7976931348623157E308"),
            (1e21, "1.0E21"),
            (1e23, "9.999999999999999E22"),
            (2e23, "1.9999999999999998E23"),
            (8.41e21, "8.409999999999999E21"),
            (2.225_073_858_507_201_4e-308, "2.2250738585072014E-308"),
            (3.3333333333333335, "3.3333333333333335"),
            (4_611_686_018_427_387_904.0, "4.6116860184273879E18"),
            (9_223_372_036_854_775_808.0, "9.223372036854776E18"),
            (9_007_199_254_740_993.0, "9.007199254740992E15"),
            (434.99999999999994, "434.99999999999994"),
            (2e-3, "0.002"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double(value), text);
        }
    }

    #[test]
    fn floats_as_java_writes_them() {
        for (value, text) in [
            (123_456_789_f32, "1.23456792E8"),
            (1e10, "1.0E10"),
            (0.1, "0.1"),
            (-0.33333334, "-0.33333334"),
            (1234.5678, "1234.5677"),
            (16_777_216.0, "1.6777216E7"),
            (1.175_494_4e-38, "1.17549435E-38"),
            (3.4e38, "3.4E38"),
            (5.808_282_5e25, "5.8082824E25"),
            (0.060_593_728, "0.060593728"),
            (1.4e-45, "1.4E-45"),
            (1.0, "1.0"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(bits: u64, narrow: u32) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                proptest::prop_assert_eq!(double(value).parse::<f64>().unwrap(), value);
            }
            let narrow = f32::from_bits(narrow);
            if narrow.is_finite() {
                proptest::prop_assert_eq!(float(narrow).parse::<f32>().unwrap(), narrow);
            }
        }
    }
}
