//! JSON documents as Flink sees them: numbers keep their digits (`1.50`, `1E+3`), of equal names the last one counts,
//! and text is written with names in alphabetical order. What follows the first value of a text is ignored.

use std::collections::{BTreeMap, HashMap};

use crate::limits::{JSON_DEPTH_MAX, JSON_NUMBER_BYTES_MAX};

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::functions) enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number, as it is written.
    Integer(String),
    /// A number with a fraction or an exponent, as Java's `BigDecimal` writes it.
    Decimal(String),
    /// A string.
    Text(String),
    /// An array.
    Array(Vec<Json>),
    /// An object, in the order it was read.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Neither array nor object.
    pub(super) fn is_scalar(&self) -> bool {
        !matches!(self, Self::Array(_) | Self::Object(_))
    }

    /// The text of a scalar, strings without quotes; `None` for `null`, arrays and objects.
    pub(super) fn scalar_text(&self) -> Option<String> {
        match self {
            Self::Boolean(value) => Some(value.to_string()),
            Self::Integer(digits) | Self::Decimal(digits) => Some(digits.clone()),
            Self::Text(text) => Some(text.clone()),
            Self::Null | Self::Array(_) | Self::Object(_) => None,
        }
    }

    /// As text, names in alphabetical order.
    pub(in crate::functions) fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Integer(digits) | Self::Decimal(digits) => out.push_str(digits),
            Self::Text(text) => write_string(text, out),
            Self::Array(items) => {
                out.push('[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                let sorted: BTreeMap<Vec<u16>, (&str, &Self)> = fields
                    .iter()
                    .map(|(name, value)| (name.encode_utf16().collect(), (name.as_str(), value)))
                    .collect();
                out.push('{');
                for (place, (name, value)) in sorted.values().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    write_string(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// Appends a string with the escapes JSON demands.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The digits of a decimal number as Java's `BigDecimal.toString` writes them; `None` if it is no number.
///
/// # Source  Java SE 17, `java.math.BigDecimal#toString`
pub(in crate::functions) fn big_decimal(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let trimmed = all.trim_start_matches('0');
    let digits = if trimmed.is_empty() { "0" } else { trimmed };
    let sign = if digits == "0" { "" } else { sign };
    let scale = i64::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    let count = i64::try_from(digits.len()).ok()?;
    let adjusted = count.checked_sub(scale)?.checked_sub(1)?;
    if scale >= 0 && adjusted >= -6 {
        let scale = usize::try_from(scale).ok()?;
        // a width of a format has 16 bits
        let zeros = "0".repeat((scale + 1).saturating_sub(digits.len()));
        let padded = format!("{zeros}{digits}");
        let (whole, fraction) = padded.split_at_checked(padded.len() - scale)?;
        return Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") });
    }
    let (first, rest) = digits.split_at_checked(1)?;
    let mantissa = if rest.is_empty() { first.to_owned() } else { format!("{first}.{rest}") };
    let plus = if adjusted > 0 { "+" } else { "" };
    Some(if adjusted == 0 { format!("{sign}{mantissa}") } else { format!("{sign}{mantissa}E{plus}{adjusted}") })
}

/// The first value of a text; `None` if it is no JSON.
pub(in crate::functions) fn parse(text: &str) -> Option<Json> {
    Reader { text, at: 0 }.value(JSON_DEPTH_MAX)
}

/// Where the names of an object are among its fields: an index once there are many.
#[derive(Default)]
struct Names(HashMap<String, usize>);

impl Names {
    fn place(&mut self, fields: &[(String, Json)], name: &str) -> Option<usize> {
        /// So many are compared faster than hashed.
        const FEW: usize = 16;
        if fields.len() <= FEW {
            return fields.iter().position(|(other, _)| other == name);
        }
        let known = self.0.len();
        self.0.extend(fields.iter().enumerate().skip(known).map(|(place, (name, _))| (name.clone(), place)));
        self.0.get(name).copied()
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no white space.
    fn next_token(&mut self) -> Option<u8> {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.peek()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        if self.next_token()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        let depth = depth.checked_sub(1)?;
        match self.next_token()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Json::Text),
            b't' => self.word("true", Json::Boolean(true)),
            b'f' => self.word("false", Json::Boolean(false)),
            b'n' => self.word("null", Json::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Option<Json> {
        let rest = self.text.get(self.at..)?.strip_prefix(word)?;
        if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            return None;
        }
        self.at += word.len();
        Some(value)
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - from
    }

    fn number(&mut self) -> Option<Json> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let zero = self.peek() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || (zero && whole > 1) {
            return None;
        }
        let mut decimal = false;
        if self.peek() == Some(b'.') {
            self.at += 1;
            decimal = true;
            if self.digits() == 0 {
                return None;
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            decimal = true;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return None;
            }
        }
        // a number ends where something else of JSON begins
        if !matches!(self.peek(), None | Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b']' | b'}')) {
            return None;
        }
        let text = self.text.get(from..self.at)?;
        if text.len() > JSON_NUMBER_BYTES_MAX {
            return None;
        }
        if decimal {
            return big_decimal(text).map(Json::Decimal);
        }
        Some(Json::Integer(if text == "-0" { "0".to_owned() } else { text.to_owned() }))
    }

    fn array(&mut self, depth: usize) -> Option<Json> {
        self.take(b'[')?;
        let mut items = Vec::new();
        if self.next_token()? == b']' {
            self.at += 1;
            return Some(Json::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            match self.next_token()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Some(Json::Array(items));
                }
                _ => return None,
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        self.take(b'{')?;
        let mut fields: Vec<(String, Json)> = Vec::new();
        let mut names = Names::default();
        if self.next_token()? == b'}' {
            self.at += 1;
            return Some(Json::Object(fields));
        }
        loop {
            self.next_token().filter(|byte| *byte == b'"')?;
            let name = self.string()?;
            self.take(b':')?;
            let value = self.value(depth)?;
            match names.place(&fields, &name).and_then(|place| fields.get_mut(place)) {
                Some((_, old)) => *old = value,
                None => fields.push((name, value)),
            }
            match self.next_token()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some(Json::Object(fields));
                }
                _ => return None,
            }
        }
    }

    /// The string at the cursor, which stands on its quote.
    fn string(&mut self) -> Option<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = self.text.get(self.at..)?;
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ')?;
            out.push_str(rest.get(..plain)?);
            self.at += plain + 1;
            match rest.as_bytes().get(plain)? {
                b'"' => return Some(out),
                b'\\' => self.escape(&mut out)?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Option<()> {
        let byte = self.peek()?;
        self.at += 1;
        out.push(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.hex()?;
                let pair = matches!(high, 0xd800..0xdc00) && self.text.get(self.at..)?.starts_with("\\u");
                if !pair {
                    // half of a pair stands for no character
                    char::from_u32(high).unwrap_or('\u{fffd}')
                } else {
                    self.at += 2;
                    let low = self.hex()?;
                    let code =
                        0x10000 + ((high - 0xd800) << 10) + low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                    char::from_u32(code)?
                }
            }
            _ => return None,
        });
        Some(())
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at.checked_add(4)?)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits_as_java_writes_them() {
        for (text, written) in [
            ("1.50", "1.50"),
            ("1e3", "1E+3"),
            ("1e2", "1E+2"),
            ("0.1e-7", "1E-8"),
            ("0.0000001", "1E-7"),
            ("0.000001", "0.000001"),
            ("-12.5E1", "-125"),
            ("-0.0", "0.0"),
            ("1.0E20", "1.0E+20"),
            ("1.23456789125E8", "123456789.125"),
        ] {
            assert_eq!(big_decimal(text).as_deref(), Some(written), "{text}");
        }
        assert_eq!(big_decimal("NaN"), None);
        assert_eq!(parse("12345678901234567890"), Some(Json::Integer("12345678901234567890".into())));
    }

    #[test]
    fn documents_are_read_strictly_up_to_the_end_of_the_first_value() {
        for text in
            ["", " ", "{bad", "{a:1}", "{\"a\":1,}", "[1,]", "01", "NaN", "1.", "\"a", "\"\\q\"", "\"\t\"", "nul"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("1 2"), Some(Json::Integer("1".into())));
        let object =
            parse("{\"b\":[1, null ,\"\\ud83d\\ude00\\n\"], \"a\":1,\"a\":2} trailing").map(|json| json.text());
        assert_eq!(object.as_deref(), Some("{\"a\":2,\"b\":[1,null,\"😀\\n\"]}"));
        assert_eq!(parse(&"[".repeat(100_000)), None, "nesting is bounded");
        for begin in ["0.", "1.", "", "-", "1e", "0.0e-"] {
            let number = format!("{begin}{}", "1".repeat(1_001 - begin.len()));
            assert_eq!(parse(&format!("[{number}]")), None, "numbers are bounded: {begin}");
        }
        let longest = format!("0.{}1", "0".repeat(997));
        assert_eq!(parse(&longest), Some(Json::Decimal("1E-998".into())));
        // what is no document has no bound of its own
        let digits = "7".repeat(70_000);
        assert_eq!(big_decimal(&format!("0.{digits}")), Some(format!("0.{digits}")));
    }
}
