//! JSON values of known Flink type, in a form in which equal values are equal: numbers by value with all
//! their digits, times without trailing zeros, rows without their NULL fields.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The parts of a Flink type that change what equal means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Type {
    /// DOUBLE, FLOAT.
    Float,
    /// TIME, TIMESTAMP, TIMESTAMP_LTZ.
    Time,
    Row(Vec<(String, Type)>),
    Map(Box<Type>),
    Array(Box<Type>),
    /// Everything else.
    Exact,
}

impl Type {
    /// The type of its text; `None` if the text is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let tokens = tokens(text);
        let mut parser = TypeParser { tokens: &tokens, at: 0 };
        let parsed = parser.one()?;
        (parser.at == tokens.len()).then_some(parsed)
    }
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let mut token = String::new();
        if c == '`' {
            while let Some(c) = rest.next() {
                if c != '`' {
                    token.push(c);
                } else if rest.next_if_eq(&'`').is_some() {
                    token.push('`');
                } else {
                    break;
                }
            }
        } else if c.is_alphanumeric() || c == '_' {
            token.push(c);
            while let Some(c) = rest.next_if(|c| c.is_alphanumeric() || *c == '_') {
                token.push(c);
            }
        } else if "<>(),".contains(c) {
            token.push(c);
        } else {
            continue;
        }
        tokens.push(token);
    }
    tokens
}

struct TypeParser<'a> {
    tokens: &'a [String],
    at: usize,
}

impl TypeParser<'_> {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Option<String> {
        let token = self.tokens.get(self.at)?.clone();
        self.at += 1;
        Some(token)
    }

    fn one(&mut self) -> Option<Type> {
        let root = self.next()?.to_uppercase();
        if self.peek() == Some("(") {
            while self.next()? != ")" {}
        }
        let mut arguments = Vec::new();
        if self.peek() == Some("<") {
            self.at += 1;
            while self.peek()? != ">" {
                let name = if root == "ROW" { self.next()? } else { String::new() };
                arguments.push((name, self.one()?));
                if self.peek()? == "," {
                    self.at += 1;
                }
            }
            self.at += 1;
        }
        // NOT NULL, WITH LOCAL TIME ZONE, ROWTIME …
        while self.peek().is_some_and(|token| token != "," && token != ">") {
            self.at += 1;
        }
        let last = |arguments: Vec<(String, Type)>| arguments.into_iter().next_back().map(|(_, t)| Box::new(t));
        Some(match root.as_str() {
            "DOUBLE" | "FLOAT" => Type::Float,
            "ROW" => Type::Row(arguments),
            "MAP" => Type::Map(last(arguments)?),
            "ARRAY" => Type::Array(last(arguments)?),
            "MULTISET" => Type::Map(Box::new(Type::Exact)),
            time if time.starts_with("TIME") => Type::Time,
            _ => Type::Exact,
        })
    }
}

/// A value; see the module for what is taken out of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// Digits without leading and trailing zeros, and the power of ten behind the last digit.
    Number {
        negative: bool,
        digits: String,
        exponent: i64,
    },
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

/// Differences this small are none.
const ABSOLUTE_TOLERANCE: f64 = 1e-9;

impl Value {
    /// The value of a JSON text.
    pub(super) fn read(json: &RawValue, data_type: &Type) -> Result<Self, String> {
        let text = json.get();
        let wrong = |e: serde_json::Error| format!("\"{text}\": {e}");
        Ok(match text.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't' | b'f') => Self::Bool(text == "true"),
            Some(b'"') => Self::text(serde_json::from_str(text).map_err(wrong)?, data_type),
            Some(b'[') => {
                let items: Vec<Box<RawValue>> = serde_json::from_str(text).map_err(wrong)?;
                let item_type = if let Type::Array(item) = data_type { item } else { &Type::Exact };
                Self::List(items.iter().map(|item| Self::read(item, item_type)).collect::<Result<_, _>>()?)
            }
            Some(b'{') => {
                let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).map_err(wrong)?;
                Self::object(&fields, data_type)?
            }
            _ if *data_type == Type::Float => Self::Float(text.parse().map_err(|e| format!("\"{text}\": {e}"))?),
            _ => Self::number(text)?,
        })
    }

    fn text(text: String, data_type: &Type) -> Self {
        match (data_type, text.as_str()) {
            (Type::Float, "NaN") => Self::Float(f64::NAN),
            (Type::Float, "Infinity") => Self::Float(f64::INFINITY),
            (Type::Float, "-Infinity") => Self::Float(f64::NEG_INFINITY),
            (Type::Time, time) => Self::Text(without_trailing_zeros(time)),
            _ => Self::Text(text),
        }
    }

    /// In a row a missing field equals NULL, in a map it does not.
    fn object(fields: &BTreeMap<String, Box<RawValue>>, data_type: &Type) -> Result<Self, String> {
        let mut object = Vec::with_capacity(fields.len());
        for (name, json) in fields {
            let field_type = match data_type {
                Type::Row(fields) => fields.iter().find(|(field, _)| field == name).map(|(_, t)| t),
                Type::Map(item) => Some(item.as_ref()),
                _ => None,
            };
            let value = Self::read(json, field_type.unwrap_or(&Type::Exact))?;
            if value != Self::Null || !matches!(data_type, Type::Row(_)) {
                object.push((name.clone(), value));
            }
        }
        Ok(Self::Object(object))
    }

    fn number(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no number");
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i64 = exponent.parse().map_err(|_| wrong())?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let negative = whole.starts_with('-');
        let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let digits = digits.trim_start_matches('0');
        let trimmed = digits.trim_end_matches('0');
        let zeros = i64::try_from(digits.len() - trimmed.len()).map_err(|_| wrong())?;
        let places = i64::try_from(fraction.len()).map_err(|_| wrong())?;
        if trimmed.is_empty() {
            return Ok(Self::Number { negative: false, digits: String::new(), exponent: 0 });
        }
        let exponent = exponent.saturating_sub(places).saturating_add(zeros);
        Ok(Self::Number { negative, digits: trimmed.to_owned(), exponent })
    }

    /// Whether a tolerance plays a part in comparing it.
    pub(super) fn has_float(&self) -> bool {
        match self {
            Self::Float(_) => true,
            Self::List(items) => items.iter().any(Self::has_float),
            Self::Object(fields) => fields.iter().any(|(_, value)| value.has_float()),
            Self::Null | Self::Bool(_) | Self::Number { .. } | Self::Text(_) => false,
        }
    }

    /// Whether two values are the same, doubles up to `tolerance` (relative).
    pub(super) fn close(&self, other: &Self, tolerance: f64) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => {
                a == b
                    || a.is_nan() && b.is_nan()
                    || (a - b).abs() <= (tolerance * a.abs().max(b.abs())).max(ABSOLUTE_TOLERANCE)
                        && a.is_finite()
                        && b.is_finite()
            }
            (Self::List(a), Self::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.close(b, tolerance)),
            (Self::Object(a), Self::Object(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|((m, a), (n, b))| m == n && a.close(b, tolerance))
            }
            _ => self == other,
        }
    }
}

/// `10:00:00.120` is `10:00:00.12`, `10:00:00.000Z` is `10:00:00Z`.
fn without_trailing_zeros(time: &str) -> String {
    let (body, zone) = time.strip_suffix('Z').map_or((time, ""), |body| (body, "Z"));
    match body.rsplit_once('.') {
        Some((_, fraction)) if fraction.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{}{zone}", body.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str, data_type: &str) -> Value {
        let json = RawValue::from_string(json.to_owned()).expect("JSON");
        Value::read(&json, &Type::parse(data_type).expect("a type")).expect("a value")
    }

    #[test]
    fn numbers_are_compared_by_value_and_to_the_last_digit() {
        assert_eq!(value("1E+2", "DECIMAL(5, 2)"), value("100.00", "DECIMAL(5, 2)"));
        assert_eq!(value("-0.0", "DECIMAL(5, 2)"), value("0", "INT"));
        let long = "12345678901234567890123456789012345678";
        assert_ne!(value(long, "DECIMAL(38, 0)"), value(&long.replace("78", "79"), "DECIMAL(38, 0)"));
        assert_ne!(value("\"1\"", "STRING"), value("1", "INT"));
    }

    #[test]
    fn doubles_have_a_tolerance_and_names() {
        let close = |a: &str, b: &str| value(a, "DOUBLE").close(&value(b, "DOUBLE"), 1e-9);
        assert!(close("1.0000000001e10", "1.00000000015e10"));
        assert!(!close("1.0001", "1.0002"));
        assert!(close("\"NaN\"", "\"NaN\"") && close("\"Infinity\"", "\"Infinity\""));
        assert!(!close("\"Infinity\"", "\"-Infinity\"") && !close("\"Infinity\"", "1e308"));
    }

    #[test]
    fn nested_values_follow_their_types() {
        let row = "ROW<`a b` DOUBLE, t ARRAY<TIMESTAMP(3) NOT NULL>> NOT NULL";
        let left = value(r#"{"a b": 1.5, "t": ["2024-01-01 10:00:00.120"], "none": null}"#, row);
        let right = value(r#"{"t": ["2024-01-01 10:00:00.12"], "a b": 1.50}"#, row);
        assert!(left.close(&right, 0.0), "{left:?}");
        assert!(left.has_float());
        let map = "MAP<STRING, INT>";
        assert_ne!(value(r#"{"k": null}"#, map), value("{}", map), "a key of a map with NULL is there");
        assert_eq!(value(r#""10:00:00.000Z""#, "TIMESTAMP_LTZ(3)"), value(r#""10:00:00Z""#, "TIMESTAMP_LTZ(3)"));
    }

    #[test]
    fn what_is_no_type_is_none() {
        for text in ["", "MAP<", "ROW<a", "ARRAY<INT", "MAP"] {
            assert_eq!(Type::parse(text), None, "{text}");
        }
    }
}
