//! JSON text, checked and cut into pieces without building anything.
//!
//! [`Scanner::value`] checks one value to its last byte without recursion and returns where it stands.
//! What it accepts is RFC 8259, and control characters in strings (as Flink does).
//! The caller has checked that the text is UTF-8.

use crate::limits::JSON_DEPTH_MAX;

// The kinds of open containers are kept in the bits of a u128.
const _: () = assert!(JSON_DEPTH_MAX < 128, "one bit per open container");

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    True,
    False,
    /// A number without point and exponent.
    Whole,
    /// A number with point or exponent.
    Float,
    /// A string without escapes; the span is what stands between the quotes.
    Text,
    /// A string with escapes; likewise.
    EscapedText,
    Object,
    Array,
}

/// Where a value stands, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    /// The value's text.
    pub(super) fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// Why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: &'static str,
    /// Byte where it shows.
    pub(super) at: usize,
    pub(super) what: &'static str,
}

pub(super) const SYNTAX: &str = "JSON_SYNTAX";
pub(super) const TRUNCATED: &str = "JSON_TRUNCATED";
pub(super) const ENCODING: &str = "JSON_UTF8";
pub(super) const DEPTH: &str = "JSON_DEPTH";

/// Walks over a text from front to back.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Starts at byte `at`.
    pub(super) fn new(text: &'a str, at: usize) -> Self {
        Self { bytes: text.as_bytes(), at }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    #[cold]
    fn fault(&self, code: &'static str, what: &'static str) -> Fault {
        let truncated = self.at >= self.bytes.len() && code == SYNTAX;
        let (code, what) = if truncated { (TRUNCATED, "the text ends too early") } else { (code, what) };
        Fault { code, at: self.at, what }
    }

    /// The next byte that is no blank, not taken.
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(self.fault(SYNTAX, what));
        }
        self.at += 1;
        Ok(())
    }

    /// Takes the opening of a container.
    pub(super) fn open(&mut self) {
        self.at += 1;
    }

    /// Before a member or element: takes the comma (unless it is the `first`), or the `end` and returns false.
    pub(super) fn more(&mut self, end: u8, first: bool) -> Result<bool, Fault> {
        match self.peek() {
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            _ if first => Ok(true),
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(self.fault(SYNTAX, "a comma or the end of the object or array is missing")),
        }
    }

    /// Takes `"key" :` if exactly the bytes of `key` stand next.
    pub(super) fn take_key(&mut self, key: &[u8]) -> Result<bool, Fault> {
        let start = if self.peek() == Some(b'"') { self.at + 1 } else { return Ok(false) };
        let end = start + key.len();
        if self.bytes.get(start..end) != Some(key) || self.bytes.get(end) != Some(&b'"') {
            return Ok(false);
        }
        self.at = end + 1;
        self.expect(b':', "a colon is missing after a field name")?;
        Ok(true)
    }

    /// Takes `"key" :`.
    pub(super) fn key(&mut self) -> Result<Span, Fault> {
        self.expect(b'"', "a field name in double quotes is missing")?;
        let key = self.string()?;
        self.expect(b':', "a colon is missing after a field name")?;
        Ok(key)
    }

    /// Takes one whole value that stands inside `depth` containers.
    pub(super) fn value(&mut self, depth: usize) -> Result<Span, Fault> {
        let Some(first) = self.peek() else { return Err(self.fault(SYNTAX, "")) };
        let start = self.at;
        let kind = match first {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            _ => return self.scalar(first),
        };
        self.containers(depth)?;
        Ok(Span { kind, start, end: self.at })
    }

    /// Takes a container with all that is in it. Bit 0 of `objects` says whether the innermost one is an object.
    fn containers(&mut self, depth: usize) -> Result<(), Fault> {
        let mut objects = 0u128;
        let mut open = 0usize;
        loop {
            let mut first = false;
            // Where a value stands next.
            match self.peek() {
                Some(byte @ (b'{' | b'[')) => {
                    open += 1;
                    if depth + open > JSON_DEPTH_MAX {
                        return Err(self.fault(DEPTH, "values are nested too deeply"));
                    }
                    objects = (objects << 1) | u128::from(byte == b'{');
                    self.at += 1;
                    first = true;
                }
                Some(byte) => {
                    self.scalar(byte)?;
                }
                None => return Err(self.fault(SYNTAX, "")),
            }
            // Close what ends here; stop when the outermost has.
            while !self.more(if objects & 1 == 1 { b'}' } else { b']' }, first)? {
                objects >>= 1;
                open -= 1;
                first = false;
                if open == 0 {
                    return Ok(());
                }
            }
            if objects & 1 == 1 {
                self.key()?;
            }
        }
    }

    fn scalar(&mut self, first: u8) -> Result<Span, Fault> {
        let start = self.at;
        let kind = match first {
            b'"' => {
                self.at += 1;
                return self.string();
            }
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.literal(b"true", Kind::True)?,
            b'f' => self.literal(b"false", Kind::False)?,
            b'n' => self.literal(b"null", Kind::Null)?,
            _ => return Err(self.fault(SYNTAX, "no value stands here")),
        };
        Ok(Span { kind, start, end: self.at })
    }

    fn literal(&mut self, word: &[u8], kind: Kind) -> Result<Kind, Fault> {
        for byte in word {
            if self.bytes.get(self.at) != Some(byte) {
                return Err(self.fault(SYNTAX, "no value stands here"));
            }
            self.at += 1;
        }
        Ok(kind)
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start { Err(self.fault(SYNTAX, "a digit is missing in a number")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Kind, Fault> {
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        let zero = self.bytes.get(self.at) == Some(&b'0');
        let start = self.at;
        self.digits()?;
        if zero && self.at > start + 1 {
            return Err(self.fault(SYNTAX, "a number starts with a zero"));
        }
        let mut kind = Kind::Whole;
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
            kind = Kind::Float;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
            kind = Kind::Float;
        }
        Ok(kind)
    }

    /// Takes a string after its opening quote.
    fn string(&mut self) -> Result<Span, Fault> {
        let start = self.at;
        let mut kind = Kind::Text;
        loop {
            self.at = quote_or_backslash(self.bytes, self.at);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Span { kind, start, end: self.at - 1 });
                }
                Some(_) => {
                    kind = Kind::EscapedText;
                    self.at += 1;
                    self.escape()?;
                }
                None => return Err(self.fault(SYNTAX, "")),
            }
        }
    }

    /// Takes an escape after its backslash; the halves of a surrogate pair only together.
    fn escape(&mut self) -> Result<(), Fault> {
        match self.bytes.get(self.at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                let unit = self.code_unit()?;
                if is_low_surrogate(unit) {
                    return Err(self.fault(ENCODING, "half a surrogate pair stands alone"));
                }
                if is_high_surrogate(unit) {
                    for byte in br"\u" {
                        if self.bytes.get(self.at) != Some(byte) {
                            let code = if self.at >= self.bytes.len() { SYNTAX } else { ENCODING };
                            return Err(self.fault(code, "half a surrogate pair stands alone"));
                        }
                        self.at += 1;
                    }
                    if !is_low_surrogate(self.code_unit()?) {
                        return Err(self.fault(ENCODING, "half a surrogate pair stands alone"));
                    }
                }
            }
            _ => return Err(self.fault(SYNTAX, "no escape has this letter")),
        }
        Ok(())
    }

    fn code_unit(&mut self) -> Result<u32, Fault> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.bytes.get(self.at).and_then(|b| char::from(*b).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.fault(SYNTAX, "an escape needs four hexadecimal digits"));
            };
            unit = unit << 4 | digit;
            self.at += 1;
        }
        Ok(unit)
    }
}

fn is_high_surrogate(unit: u32) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_low_surrogate(unit: u32) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

/// Place of the next `"` or `\` from `at` on, or the end; eight bytes at a time.
///
/// # Source
/// The zero-byte test of A. Mycroft, 1987: exact for the lowest such byte, which is the one asked for.
fn quote_or_backslash(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    let zero_byte = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    while let Some(eight) = bytes.get(at..at + 8).and_then(|b| <[u8; 8]>::try_from(b).ok()) {
        let word = u64::from_le_bytes(eight);
        let found = zero_byte(word ^ (ONES * b'"' as u64)) | zero_byte(word ^ (ONES * b'\\' as u64));
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|b| !matches!(b, b'"' | b'\\')) {
        at += 1;
    }
    at
}

/// Appends the characters that a checked string with escapes stands for.
pub(super) fn unescape(raw: &str, out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.extend_from_slice(plain.as_bytes());
        let (letter, after) = escaped.split_at_checked(1).unwrap_or((escaped, ""));
        rest = after;
        let byte = match letter {
            "b" => 0x08,
            "f" => 0x0c,
            "n" => b'\n',
            "r" => b'\r',
            "t" => b'\t',
            "u" => {
                let (character, after) = unescape_unicode(after);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
                continue;
            }
            other => other.bytes().next().unwrap_or(b'\\'),
        };
        out.push(byte);
    }
    out.extend_from_slice(rest.as_bytes());
}

/// The character of `XXXX` or `XXXX\uXXXX`, and what follows.
fn unescape_unicode(text: &str) -> (char, &str) {
    let unit = |text: &str| text.get(..4).and_then(|d| u32::from_str_radix(d, 16).ok()).unwrap_or(0xfffd);
    let first = unit(text);
    let rest = text.get(4..).unwrap_or_default();
    if !is_high_surrogate(first) {
        return (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), rest);
    }
    let second = unit(rest.get(2..).unwrap_or_default());
    let code = 0x10000 + ((first - 0xd800) << 10) + second.wrapping_sub(0xdc00);
    (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), rest.get(6..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes the whole text as one value.
    fn scan(text: &str) -> Result<Span, Fault> {
        let mut scanner = Scanner::new(text, 0);
        let span = scanner.value(0)?;
        match scanner.peek() {
            None => Ok(span),
            Some(_) => Err(Fault { code: "JSON_TRAILING", at: scanner.at(), what: "" }),
        }
    }

    #[test]
    fn accepts_what_serde_json_accepts() {
        for text in [
            "{}",
            "[]",
            " [1 , 2.5e-3 ,-0, {\"a\":[[]]} ] ",
            r#""\u00e9\ud83d\ude00\n""#,
            "0",
            "-0.0E+1",
            "[1,]",
            "[,1]",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "01",
            "1.",
            ".5",
            "1e",
            "-",
            "+1",
            "tru",
            "nul",
            "NaN",
            "'a'",
            "\"\\x\"",
            "\"\\u12g4\"",
            "[1 2]",
            "{\"a\":1 \"b\":2}",
            "]",
            "}",
            "[}",
            "{]",
            "",
            " ",
            "{\"a\":}",
            "[[]",
            "{\"a\":{}",
            "\"",
            "truee",
            "[true,false,null]",
            "{\"a\":\"b\\",
            "[1]]",
            "{}{}",
            "1 2",
            "\u{feff}{}",
            "//c\n1",
        ] {
            let serde = serde_json::from_str::<serde_json::Value>(text);
            assert_eq!(scan(text).is_ok(), serde.is_ok(), "{text:?}: {:?}", scan(text));
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(scan(&nested(JSON_DEPTH_MAX)).is_ok());
        assert_eq!(scan(&nested(JSON_DEPTH_MAX + 1)).unwrap_err().code, DEPTH);
        assert_eq!(scan(&"{\"a\":".repeat(100_000)).unwrap_err().code, DEPTH);
    }

    #[test]
    fn every_cut_of_a_text_is_truncated() {
        let text = r#"{"a":[1.5e3,true,"x\"\u00e9\ud83d\ude00"],"b":{"c":null}}"#;
        for end in 0..text.len() {
            assert_eq!(scan(&text[..end]).unwrap_err().code, TRUNCATED, "{}", &text[..end]);
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|v| Value::Object(v.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn all_of_json_is_accepted(value in json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let text = text.unwrap();
            let span = scan(&text).unwrap();
            prop_assert!(span.end <= text.len());
            if let serde_json::Value::String(expected) = &value {
                let mut out = Vec::new();
                unescape(span.of(&text), &mut out);
                prop_assert_eq!(out, expected.as_bytes());
            }
        }

        #[test]
        fn json_like_noise_is_judged_as_serde_json_does(text in r#"[\[\]{},:"\\ntrue0-9.eE+ -]{0,12}"#) {
            let serde = serde_json::from_str::<serde_json::Value>(&text);
            // 1e999 is JSON, though no double
            let too_large = serde.as_ref().is_err_and(|e| e.to_string().contains("out of range"));
            prop_assert!(too_large || scan(&text).is_ok() == serde.is_ok(), "{:?} {:?} {:?}", text, scan(&text), serde);
        }
    }
}
