//! PRINTF with the conversions of `java.util.Formatter`. A format and arguments that do not fit give NULL, as in Flink.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;

use super::bounded::Bounded;
use super::cast::number::{Number, number_at};
use super::cast::text::{text_at, text_with_digits};
use super::scalar::Takes::{Any, Text};
use super::scalar::{At, Call, Entry, entry};
use super::time::value::moment_at;
use crate::table::java_map::bytes_hash;

/// The functions of this file.
pub(super) const ENTRIES: &[Entry] = &[Entry {
    takes: &[Text],
    repeated: Some(Any),
    ..entry(
        "printf",
        "PRINTF(format, value, …)",
        printf,
        "A text by a format of Java: %s, %d, %x, %o, %f, %e, %c, %b with width, precision and flags; NULL if one does not \
         fit its value.",
    )
}];

/// An argument, as the formatter sees it.
enum Value {
    Null,
    Integer(i64, u32),
    Double(f64),
    Boolean(bool),
    Text(String),
}

fn value_at(call: &Call<'_>, index: usize, row: usize) -> Result<Value> {
    let column = call.any(index)?;
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    let data_type = column.data_type();
    Ok(match (data_type, number_at(column, row)) {
        (DataType::Boolean, _) => Value::Boolean(column.as_boolean().value(row)),
        (_, Some(Number::Integer(value))) => Value::Integer(
            value,
            data_type.primitive_width().and_then(|bytes| u32::try_from(bytes * 8).ok()).unwrap_or(64),
        ),
        (_, Some(Number::Double(value))) => Value::Double(value),
        // days and milliseconds of the day are what they are inside Flink
        (DataType::Date32, _) => {
            let days = moment_at(column, row, call.zone)?.map_or(0, |moment| moment.ms / 86_400_000);
            Value::Integer(days, 32)
        }
        (DataType::Time32(_) | DataType::Time64(_), _) => {
            Value::Integer(moment_at(column, row, call.zone)?.map_or(0, |moment| moment.ms), 32)
        }
        (DataType::Timestamp(_, zone), _) => {
            let text = text_with_digits(column, row, call.zone, 9)?.unwrap_or_default();
            let text = java_local_time(&text);
            Value::Text(if zone.is_some() { format!("{text}Z") } else { text })
        }
        _ => Value::Text(text_at(column, row, call.zone)?.unwrap_or_default()),
    })
}

/// `2024-01-02 03:04:05.600000000` as `LocalDateTime.toString`: with three, six or nine digits behind the seconds, or none,
/// and without seconds that are zero.
fn java_local_time(text: &str) -> String {
    let (clock, mut fraction) = text.split_once('.').unwrap_or((text, ""));
    while let Some(shorter) = fraction.strip_suffix("000") {
        fraction = shorter;
    }
    let clock = clock.replacen(' ', "T", 1);
    match fraction {
        "" => clock.strip_suffix(":00").map_or_else(|| clock.clone(), str::to_owned),
        _ => format!("{clock}.{fraction}"),
    }
}

/// `%[index$][flags][width][.precision]conversion`.
#[derive(Debug, Default)]
struct Directive {
    index: Option<usize>,
    /// `%<s`: the argument of the directive before.
    again: bool,
    flags: String,
    width: usize,
    precision: Option<usize>,
    conversion: char,
}

/// Widest field; more is a mistake that would take the machine's memory.
const WIDTH_MAX: usize = 1 << 20;

impl Directive {
    /// After `%`: the directive and what follows it.
    fn parse(text: &str) -> Option<(Self, &str)> {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let mut directive = Self::default();
        let mut rest = text;
        let count = digits(rest);
        if let Some(after) = rest.get(count..).and_then(|after| after.strip_prefix('$'))
            && count > 0
        {
            directive.index = Some(rest.get(..count)?.parse().ok()?);
            rest = after;
        }
        while let Some(flag) = rest.chars().next().filter(|c| "-#+ 0,(<".contains(*c)) {
            directive.again |= flag == '<';
            if directive.flags.contains(flag) {
                return None;
            }
            directive.flags.push(flag);
            rest = rest.get(1..)?;
        }
        let count = digits(rest);
        if count > 0 {
            directive.width = rest.get(..count)?.parse().ok().filter(|width| *width <= WIDTH_MAX)?;
            rest = rest.get(count..)?;
        }
        if let Some(after) = rest.strip_prefix('.') {
            let count = digits(after);
            directive.precision = Some(after.get(..count)?.parse().ok().filter(|digits| *digits <= WIDTH_MAX)?);
            rest = after.get(count..)?;
        }
        directive.conversion = rest.chars().next()?;
        let rest = rest.get(directive.conversion.len_utf8()..)?;
        Some((directive, rest))
    }

    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    /// The text of an argument; `None` if it does not fit.
    fn write(&self, value: &Value) -> Option<String> {
        let upper = self.conversion.is_ascii_uppercase();
        let text = match (self.conversion.to_ascii_lowercase(), value) {
            ('s', value) => self.cut(match value {
                Value::Null => "null".to_owned(),
                Value::Boolean(value) => value.to_string(),
                Value::Integer(value, _) => value.to_string(),
                Value::Double(value) => super::cast::text::double_text(*value),
                Value::Text(text) => text.clone(),
            }),
            ('b', value) => self.cut(match value {
                Value::Null => "false".to_owned(),
                Value::Boolean(value) => value.to_string(),
                _ => "true".to_owned(),
            }),
            ('d' | 'x' | 'o' | 'f' | 'e' | 'g' | 'c' | 'h', Value::Null) => {
                let text = self.cut("null".to_owned());
                return Some(self.blank_padded(if upper { text.to_uppercase() } else { text }));
            }
            ('h', value) => self.cut(format!("{:x}", hash(value))),
            ('c', Value::Text(text)) if text.chars().count() == 1 => text.clone(),
            ('c', Value::Integer(code, ..=32)) => char::from_u32(u32::try_from(*code).ok()?)?.to_string(),
            ('d', Value::Integer(value, _)) if !upper && self.precision.is_none() => {
                return self.signed(*value < 0, &self.grouped(&value.unsigned_abs().to_string()));
            }
            ('x', Value::Integer(value, bits)) if self.precision.is_none() => {
                let digits = format!("{:x}", value.cast_unsigned() & (u64::MAX >> (64 - bits)));
                if self.has('#') { format!("0x{digits}") } else { digits }
            }
            ('o', Value::Integer(value, bits)) if !upper && self.precision.is_none() => {
                let digits = format!("{:o}", value.cast_unsigned() & (u64::MAX >> (64 - bits)));
                if self.has('#') { format!("0{digits}") } else { digits }
            }
            ('f' | 'e' | 'g', Value::Double(value)) => return self.double(*value, upper),
            _ => return None,
        };
        Some(self.padded(if upper { text.to_uppercase() } else { text }))
    }

    fn cut(&self, text: String) -> String {
        match self.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text,
        }
    }

    fn double(&self, value: f64, upper: bool) -> Option<String> {
        if !value.is_finite() {
            let name = if value.is_nan() { "NaN" } else { "Infinity" };
            if value < 0.0 && self.has('(') {
                return Some(self.blank_padded(format!("({name})")));
            }
            let sign = if value < 0.0 {
                "-"
            } else if self.has('+') && !value.is_nan() {
                "+"
            } else {
                ""
            };
            return Some(self.blank_padded(format!("{sign}{name}")));
        }
        let digits = self.precision.unwrap_or(6);
        let size = value.abs();
        let text = match self.conversion.to_ascii_lowercase() {
            'f' => self.grouped(&rounded(size, digits)),
            'e' => scientific(size, digits),
            // the exponent decides after rounding to so many significant digits
            _ => {
                let digits = digits.max(1);
                let exponent = scientific(size, digits - 1).rsplit_once('e')?.1.parse::<i32>().ok()?;
                if size != 0.0 && !(-4..i32::try_from(digits).ok()?).contains(&exponent) {
                    scientific(size, digits - 1)
                } else {
                    let after = i32::try_from(digits).ok()? - 1 - exponent;
                    self.grouped(&rounded(size, usize::try_from(after).unwrap_or(0)))
                }
            }
        };
        let text = if upper { text.to_uppercase() } else { text };
        self.signed(value.is_sign_negative(), &text)
    }

    /// Thousands parted by commas, if asked for.
    fn grouped(&self, digits: &str) -> String {
        if !self.has(',') {
            return digits.to_owned();
        }
        let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
        let mut out = String::new();
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place) % 3 == 0 {
                out.push(',');
            }
            out.push(digit);
        }
        match fraction {
            Some(fraction) => format!("{out}.{fraction}"),
            None => out,
        }
    }

    /// Sign and zeros of a number.
    fn signed(&self, negative: bool, digits: &str) -> Option<String> {
        if self.has('-') && self.has('0') || (self.has('-') || self.has('0')) && self.width == 0 {
            return None;
        }
        let (before, after) = match negative {
            true if self.has('(') => ("(", ")"),
            true => ("-", ""),
            false if self.has('+') => ("+", ""),
            false if self.has(' ') => (" ", ""),
            false => ("", ""),
        };
        let missing = self.width.saturating_sub(before.len() + digits.len() + after.len());
        let zeros = if self.has('0') { "0".repeat(missing) } else { String::new() };
        Some(self.padded(format!("{before}{zeros}{digits}{after}")))
    }

    fn padded(&self, text: String) -> String {
        if self.has('0') { text } else { self.blank_padded(text) }
    }

    fn blank_padded(&self, text: String) -> String {
        let missing = self.width.saturating_sub(text.encode_utf16().count());
        let blanks = " ".repeat(missing);
        if self.has('-') { text + &blanks } else { blanks + &text }
    }
}

/// `hashCode` of the argument as Flink hands it over.
fn hash(value: &Value) -> i32 {
    let folded = |bits: i64| (bits ^ (bits.cast_unsigned() >> 32).cast_signed()) as i32;
    match value {
        Value::Null => 0,
        Value::Integer(value, 64) => folded(*value),
        Value::Integer(value, _) => *value as i32,
        Value::Double(value) => folded(value.to_bits().cast_signed()),
        Value::Boolean(value) => {
            if *value {
                1231
            } else {
                1237
            }
        }
        Value::Text(text) => bytes_hash(text.as_bytes()),
    }
}

/// So many digits after the point, of the shortest text rounded half up, as Java does.
fn rounded(size: f64, digits: usize) -> String {
    let shortest = format!("{size}");
    let (whole, fraction) = shortest.split_once('.').unwrap_or((&shortest, ""));
    if fraction.len() <= digits {
        let point = if digits > 0 { "." } else { "" };
        let zeros = "0".repeat(digits - fraction.len());
        return format!("{whole}{point}{fraction}{zeros}");
    }
    let up = fraction.as_bytes().get(digits).is_some_and(|digit| *digit >= b'5');
    let mut kept: Vec<u8> = whole.bytes().chain(fraction.bytes().take(digits)).collect();
    if up {
        let mut place = kept.len();
        loop {
            let Some(digit) = place.checked_sub(1).and_then(|at| kept.get_mut(at)) else {
                kept.insert(0, b'1');
                break;
            };
            place -= 1;
            if *digit < b'9' {
                *digit += 1;
                break;
            }
            *digit = b'0';
        }
    }
    let text = String::from_utf8(kept).unwrap_or_default();
    let (whole, fraction) = text.split_at_checked(text.len() - digits).unwrap_or((&text, ""));
    if digits > 0 { format!("{whole}.{fraction}") } else { whole.to_owned() }
}

/// `d.ddde±xx`.
fn scientific(size: f64, digits: usize) -> String {
    /// More digits than any DOUBLE has: all after them are zeros. A precision of a format has 16 bits.
    const DIGITS_MAX: usize = 1_100;
    let exact = digits.min(DIGITS_MAX);
    let text = format!("{size:.exact$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    let zeros = "0".repeat(digits - exact);
    format!("{mantissa}{zeros}e{sign}{exponent:0>2}")
}

/// The whole text; `None` if the format or an argument is wrong.
fn formatted(format: &str, count: usize, mut value: impl FnMut(usize) -> Result<Value>) -> Result<Option<String>> {
    let mut out = Bounded::new("PRINTF");
    let mut rest = format;
    let (mut ordinary, mut last) = (0, 0);
    while let Some((before, after)) = rest.split_once('%') {
        out.push(before)?;
        let Some((directive, after)) = Directive::parse(after) else { return Ok(None) };
        rest = after;
        match directive.conversion {
            '%' => out.push(&directive.padded("%".to_owned()))?,
            'n' => out.push("\n")?,
            _ => {
                let index = match directive.index {
                    Some(index) => index,
                    None if directive.again => last,
                    None => {
                        ordinary += 1;
                        ordinary
                    }
                };
                last = index;
                if index == 0 || index > count {
                    return Ok(None);
                }
                let Some(text) = directive.write(&value(index)?) else { return Ok(None) };
                out.push(&text)?;
            }
        }
    }
    out.push(rest)?;
    Ok(Some(out.finish()))
}

fn printf(call: &Call<'_>) -> Result<ArrayRef> {
    let formats = call.text(0)?;
    call.build_text(|row| match formats.at(row) {
        Some(format) => formatted(format, call.count() - 1, |index| value_at(call, index, row)),
        None => Ok(None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts that Flink 2.3 gave.
    #[test]
    fn conversions_as_java_has_them() {
        let one = |format: &str, value: fn() -> Value| formatted(format, 1, |_| Ok(value())).unwrap();
        for (format, value, text) in [
            ("%5.2f|", (|| Value::Double(2.71)) as fn() -> Value, Some(" 2.71|")),
            ("%05d", || Value::Integer(42, 32), Some("00042")),
            ("%x", || Value::Integer(-1, 32), Some("ffffffff")),
            ("%S", || Value::Text("aé".into()), Some("AÉ")),
            ("%d", || Value::Text("x".into()), None),
            ("%,d", || Value::Integer(1_234_567, 32), Some("1,234,567")),
            ("%e", || Value::Double(12345.678), Some("1.234568e+04")),
            ("%g", || Value::Double(0.00012), Some("0.000120000")),
            ("%g", || Value::Double(1e-5), Some("1.00000e-05")),
            ("%#x", || Value::Integer(255, 32), Some("0xff")),
            ("% d", || Value::Integer(5, 32), Some(" 5")),
            ("%s %s", || Value::Null, None),
            ("%.0f", || Value::Double(9.5), Some("10")),
            ("%-6s|", || Value::Text("ab".into()), Some("ab    |")),
            ("%b %%%n", || Value::Boolean(true), Some("true %\n")),
            ("%", || Value::Null, None),
            ("%(d", || Value::Integer(-5, 32), Some("(5)")),
            ("%.2f|%05d|%8.3s|", || Value::Null, None),
            ("%.2f|%<05d|%<8.3s|", || Value::Null, Some("nu| null|     nul|")),
            ("%s %<s %h", || Value::Text("abcdef".into()), None),
            ("%s %<h", || Value::Text("abcdef".into()), Some("abcdef 2b2b4415")),
            ("%(.1f", || Value::Double(f64::NEG_INFINITY), Some("(Infinity)")),
            ("%c", || Value::Integer(65, 64), None),
        ] {
            assert_eq!(one(format, value).as_deref(), text, "{format}");
        }
        for (text, java) in [
            ("2024-01-02 03:04:05.600000000", "2024-01-02T03:04:05.600"),
            ("2024-01-02 03:04:05.000100000", "2024-01-02T03:04:05.000100"),
            ("2024-01-02 03:04:00.000000000", "2024-01-02T03:04"),
        ] {
            assert_eq!(java_local_time(text), java);
        }
    }
}
