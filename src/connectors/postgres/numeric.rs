//! PostgreSQL's `numeric` in binary: digits of base 10,000 around a decimal point, exact.
//!
//! Source: `numeric_recv` of PostgreSQL: `int16 ndigits, int16 weight, uint16 sign, uint16 dscale, int16 digits[ndigits]`;
//! `weight` is the power of 10,000 of the first digit, `dscale` how many decimal places are shown.

const NEGATIVE: u16 = 0x4000;
/// Decimal digits of one digit of base 10,000.
const GROUP: usize = 4;

/// A decimal number: `digits` without sign, the last `scale` of them behind the point; a negative `scale` stands for
/// zeros in front of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    digits: String,
    scale: i32,
}

impl Decimal {
    /// `unscaled` / 10^`scale`.
    pub(super) fn new(unscaled: i128, scale: i32) -> Self {
        Self { negative: unscaled < 0, digits: unscaled.unsigned_abs().to_string(), scale }
    }

    /// The number that a float's shortest text stands for; `None` for NaN and infinities, which have none.
    pub(super) fn of_shortest(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once('e')?;
        let exponent: i32 = exponent.parse().ok()?;
        let (negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        Some(Self { negative, digits, scale })
    }

    /// Digits in front of the point, without leading zeros.
    pub(super) fn whole_digits(&self) -> i64 {
        let significant = self.digits.trim_start_matches('0');
        if significant.is_empty() { 0 } else { (significant.len() as i64 - i64::from(self.scale)).max(0) }
    }

    /// Digits in front of the point and behind it, each filled up to whole groups.
    fn parts(&self) -> (String, String) {
        let (whole, fraction) = match usize::try_from(self.scale) {
            Err(_) => (self.digits.clone() + &"0".repeat(self.scale.unsigned_abs() as usize), String::new()),
            Ok(scale) => match self.digits.len().checked_sub(scale) {
                Some(point) => {
                    let (whole, fraction) = self.digits.split_at(point);
                    (whole.to_owned(), fraction.to_owned())
                }
                None => (String::new(), "0".repeat(scale - self.digits.len()) + &self.digits),
            },
        };
        let fill = |length: usize| "0".repeat((GROUP - length % GROUP) % GROUP);
        (fill(whole.len()) + &whole, fraction.clone() + &fill(fraction.len()))
    }

    /// Writes the value, without its length.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let (whole, fraction) = self.parts();
        let groups: Vec<u16> = whole
            .as_bytes()
            .chunks(GROUP)
            .chain(fraction.as_bytes().chunks(GROUP))
            .map(|group| group.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit.saturating_sub(b'0'))))
            .collect();
        let leading = groups.iter().take_while(|group| **group == 0).count();
        let trailing = groups.iter().rev().take_while(|group| **group == 0).count();
        let shown = groups.get(leading..groups.len().saturating_sub(trailing)).unwrap_or_default();
        let weight = if shown.is_empty() { 0 } else { (whole.len() / GROUP) as i16 - 1 - leading as i16 };
        let sign = if self.negative && !shown.is_empty() { NEGATIVE } else { 0 };
        out.extend_from_slice(&(shown.len() as i16).to_be_bytes());
        out.extend_from_slice(&weight.to_be_bytes());
        out.extend_from_slice(&sign.to_be_bytes());
        out.extend_from_slice(&(self.scale.max(0) as u16).to_be_bytes());
        shown.iter().for_each(|group| out.extend_from_slice(&group.to_be_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(decimal: &Decimal) -> Vec<i32> {
        let mut out = Vec::new();
        decimal.write(&mut out);
        out.chunks(2).map(|pair| i32::from(u16::from_be_bytes([pair[0], pair[1]]))).collect()
    }

    /// The text that a server shows, read from the binary form.
    fn shown(decimal: &Decimal) -> String {
        let words = words(decimal);
        let (weight, scale) = (words[1] as u16 as i16, words[3] as usize);
        let digit = |power: i32| words.get((i32::from(weight) - power + 4) as usize).copied().unwrap_or(0);
        let whole: String = (0..=i32::from(weight.max(0)))
            .rev()
            .map(|p| if p > i32::from(weight) { "0000".into() } else { format!("{:04}", digit(p)) })
            .collect();
        let fraction: String = (1..=scale.div_ceil(4) as i32)
            .map(|p| if -p > i32::from(weight) { "0000".into() } else { format!("{:04}", digit(-p)) })
            .collect();
        let whole = whole.trim_start_matches('0');
        let sign = if words[2] == 0x4000 { "-" } else { "" };
        let whole = if whole.is_empty() { "0" } else { whole };
        if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{}", &fraction[..scale]) }
    }

    #[test]
    fn numbers_as_the_server_writes_them() {
        // computed by hand from the format: 12345.678 = 1·10000 + 2345 + 6780/10000
        assert_eq!(words(&Decimal::new(12_345_678, 3)), [3, 1, 0, 3, 1, 2345, 6780]);
        assert_eq!(words(&Decimal::new(-1, 2)), [1, 0xffff, 0x4000, 2, 100]);
        assert_eq!(words(&Decimal::new(0, 2)), [0, 0, 0, 2]);
        assert_eq!(words(&Decimal::new(10_000, 0)), [1, 1, 0, 0, 1]);
        assert_eq!(words(&Decimal::of_shortest("1e8").unwrap()), [1, 2, 0, 0, 1]);
        assert_eq!(words(&Decimal::new(1, 10)), [1, 0xfffd, 0, 10, 100]);
    }

    #[test]
    fn floats_are_their_shortest_text() {
        let text = |value: f64| shown(&Decimal::of_shortest(&format!("{value:e}")).unwrap());
        assert_eq!(text(0.1), "0.1");
        assert_eq!(text(-2.5e-7), "-0.00000025");
        assert_eq!(text(1e21), "1000000000000000000000");
        assert_eq!(text(-0.0), "0");
        for value in [f64::NAN, f64::INFINITY] {
            assert_eq!(Decimal::of_shortest(&format!("{value:e}")), None);
        }
    }

    #[test]
    fn digits_in_front_of_the_point() {
        assert_eq!(Decimal::new(99_999, 2).whole_digits(), 3);
        assert_eq!(Decimal::new(99, 2).whole_digits(), 0);
        assert_eq!(Decimal::of_shortest("1.5e3").unwrap().whole_digits(), 4);
        assert_eq!(Decimal::new(0, 0).whole_digits(), 0);
    }

    proptest! {
        #[test]
        fn every_decimal_is_kept(unscaled in any::<i128>(), scale in 0..38i32) {
            let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale as usize + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
            let sign = if unscaled < 0 { "-" } else { "" };
            let text = if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") };
            prop_assert_eq!(shown(&Decimal::new(unscaled, scale)), text);
        }

        #[test]
        fn every_double_comes_back(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            let decimal = Decimal::of_shortest(&format!("{value:e}")).unwrap();
            prop_assert_eq!(shown(&decimal).parse::<f64>().unwrap(), value);
        }
    }
}
