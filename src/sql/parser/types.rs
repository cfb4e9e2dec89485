//! Flink's types: their grammar, and the Arrow type that carries each. The only place that knows both.
//!
//! | Flink | Arrow |
//! |---|---|
//! | `TIMESTAMP(p)`, `TIMESTAMP_LTZ(p)` | `Timestamp` in ms (p ≤ 3), µs (p ≤ 6) or ns, without zone or in `UTC` |
//! | `TIME(p)` | `Time32` in ms: Flink keeps no more at run time |
//! | `DECIMAL(p, s)` | `Decimal128` |
//! | `CHAR`, `VARCHAR`, `STRING`; `BINARY`, `VARBINARY`, `BYTES` | `Utf8`; `Binary`: a length is part of the text of the type only |
//! | `MAP<k, v>` | `Map`, with keys as `table::map` makes them |
//! | `MULTISET<t>` | `Map` from `t` to how often it occurs, as `table::map` marks it |

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::ast::SqlType;
use super::cursor::Cursor;
use super::{lexer, names, refusals};
use crate::error::{Error, Result, Span};
use crate::limits;
use crate::table::map::{map_type, multiset_type};

/// Longest text or binary: Flink's `STRING` is `VARCHAR` of it.
const LENGTH_MAX: u32 = i32::MAX as u32;

/// Names of types as people know them elsewhere, and Flink's.
const FOREIGN: [(&str, &str); 19] = [
    ("TEXT", "STRING"),
    ("VARCHAR2", "STRING"),
    ("NVARCHAR", "STRING"),
    ("JSON", "STRING"),
    ("UUID", "STRING"),
    ("LONG", "BIGINT"),
    ("INT64", "BIGINT"),
    ("INT32", "INT"),
    ("INT8", "TINYINT"),
    ("INT16", "SMALLINT"),
    ("BOOL", "BOOLEAN"),
    ("FLOAT32", "FLOAT"),
    ("FLOAT64", "DOUBLE"),
    ("REAL", "FLOAT"),
    ("DATETIME", "TIMESTAMP(3)"),
    ("TIMESTAMPTZ", "TIMESTAMP_LTZ(3)"),
    ("BLOB", "BYTES"),
    ("STRUCT", "ROW"),
    ("LIST", "ARRAY"),
];

const NAMES: [&str; 26] = [
    "TINYINT",
    "SMALLINT",
    "INT",
    "INTEGER",
    "BIGINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
    "DEC",
    "NUMERIC",
    "BOOLEAN",
    "CHAR",
    "VARCHAR",
    "STRING",
    "BINARY",
    "VARBINARY",
    "BYTES",
    "DATE",
    "TIME",
    "TIMESTAMP",
    "TIMESTAMP_LTZ",
    "ARRAY",
    "MAP",
    "MULTISET",
    "ROW",
    "INTERVAL",
];

/// The Arrow type of a type in sqlparser's AST, such as the target of a CAST.
///
/// # Errors
/// `Sql` if it is no type of Flink, or one that is not supported. The error carries no span.
pub fn arrow_type_of(data_type: &ast::DataType) -> Result<SqlType> {
    let text = data_type.to_string();
    let lexed = lexer::tokenize(&text);
    let without_span = |error: &Error| {
        let plain = Error::new(error.kind(), error.message());
        match error.hint_text() {
            Some(hint) => plain.hint(hint),
            None => plain,
        }
    };
    if let Some((_, error)) = lexed.errors.first() {
        return Err(without_span(error));
    }
    let mut cursor = Cursor::new(&text, &lexed.tokens, &lexed.bytes);
    parse_type(&mut cursor).and_then(|t| cursor.expect_end().map(|()| t)).map_err(|error| without_span(&error))
}

/// Reads a type and its `NOT NULL`, if one is written.
pub(super) fn parse_type(cursor: &mut Cursor<'_>) -> Result<SqlType> {
    parse_nested(cursor, limits::SQL_DEPTH_MAX)
}

fn parse_nested(cursor: &mut Cursor<'_>, depth: usize) -> Result<SqlType> {
    let mut depth = inner_depth(cursor, depth)?;
    let mut parsed = base_type(cursor, depth)?;
    loop {
        parsed.nullable = nullability(cursor)?;
        let wrap: fn(&SqlType) -> SqlType = if cursor.at_keyword("ARRAY") {
            array
        } else if cursor.at_keyword("MULTISET") {
            multiset
        } else {
            return Ok(parsed);
        };
        depth = inner_depth(cursor, depth)?;
        cursor.advance();
        parsed = wrap(&parsed);
    }
}

/// How many types may still be inside the one at the cursor.
fn inner_depth(cursor: &Cursor<'_>, depth: usize) -> Result<usize> {
    let max = limits::SQL_DEPTH_MAX;
    let error = || Error::sql(format!("more than {max} types inside each other")).at(cursor.span());
    depth.checked_sub(1).ok_or_else(error)
}

/// `NOT NULL` or `NULL` behind a type; nullable if nothing is written.
pub(super) fn nullability(cursor: &mut Cursor<'_>) -> Result<bool> {
    if cursor.take_keyword("NOT") {
        cursor.expect_keywords(&["NULL"])?;
        return Ok(false);
    }
    cursor.take_keyword("NULL");
    Ok(true)
}

fn base_type(cursor: &mut Cursor<'_>, depth: usize) -> Result<SqlType> {
    let start = cursor.index();
    let Some(Token::Word(word)) = cursor.peek().filter(|_| !at_quoted(cursor)) else {
        return Err(cursor.expected("a type"));
    };
    let name = word.value.to_ascii_uppercase();
    cursor.advance();
    match name.as_str() {
        "TINYINT" => Ok(plain(&name, DataType::Int8)),
        "SMALLINT" => Ok(plain(&name, DataType::Int16)),
        "INT" | "INTEGER" => Ok(plain("INT", DataType::Int32)),
        "BIGINT" => Ok(plain(&name, DataType::Int64)),
        "FLOAT" => Ok(plain(&name, DataType::Float32)),
        "DOUBLE" => {
            cursor.take_keyword("PRECISION");
            Ok(plain(&name, DataType::Float64))
        }
        "BOOLEAN" => Ok(plain(&name, DataType::Boolean)),
        "STRING" => Ok(plain(&name, DataType::Utf8)),
        "BYTES" => Ok(plain(&name, DataType::Binary)),
        "DATE" => Ok(plain(&name, DataType::Date32)),
        "DECIMAL" | "DEC" | "NUMERIC" => decimal(cursor),
        "CHAR" | "CHARACTER" if cursor.take_keyword("VARYING") => sized(cursor, "VARCHAR", DataType::Utf8),
        "CHARACTER" => sized(cursor, "CHAR", DataType::Utf8),
        "BINARY" if cursor.take_keyword("VARYING") => sized(cursor, "VARBINARY", DataType::Binary),
        "CHAR" | "VARCHAR" => sized(cursor, &name, DataType::Utf8),
        "BINARY" | "VARBINARY" => sized(cursor, &name, DataType::Binary),
        "TIME" => time(cursor),
        "TIMESTAMP" => timestamp(cursor),
        "TIMESTAMP_LTZ" => Ok(timestamp_type(precision(cursor, "TIMESTAMP_LTZ", 6)?, true)),
        "ARRAY" => Ok(array(&element(cursor, depth)?)),
        "MULTISET" => Ok(multiset(&element(cursor, depth)?)),
        "MAP" => map(cursor, depth),
        "ROW" => row(cursor, depth),
        _ => Err(unknown(&name, cursor.span_from(start))),
    }
}

fn at_quoted(cursor: &Cursor<'_>) -> bool {
    matches!(cursor.peek(), Some(Token::Word(word)) if word.quote_style.is_some())
}

fn unknown(name: &str, span: Span) -> Error {
    match name {
        "INTERVAL" => refusals::unsupported("type \"INTERVAL\"", span).hint("use BIGINT with milliseconds"),
        "RAW" | "VARIANT" | "STRUCTURED" | "NULL" | "DESCRIPTOR" => {
            refusals::unsupported(&format!("type \"{name}\""), span).hint("use STRING or BYTES")
        }
        _ => {
            let error = Error::sql(format!("type \"{name}\" does not exist")).at(span);
            match FOREIGN.iter().find(|(foreign, _)| *foreign == name) {
                Some((_, flink)) => error.hint(format!("use {flink}")),
                None => error.nearest(name, NAMES),
            }
        }
    }
}

fn plain(text: &str, data_type: DataType) -> SqlType {
    SqlType { data_type, text: text.to_owned(), nullable: true }
}

/// `(n)` with `n` in `min..=max`; `None` if there are no parentheses.
fn argument(cursor: &mut Cursor<'_>, what: &str, (min, max): (u32, u32), hint: &str) -> Result<Option<u32>> {
    if !cursor.take(&Token::LParen) {
        return Ok(None);
    }
    let value = number(cursor, what, (min, max), hint)?;
    cursor.expect(&Token::RParen)?;
    Ok(Some(value))
}

fn number(cursor: &mut Cursor<'_>, what: &str, (min, max): (u32, u32), hint: &str) -> Result<u32> {
    let Some(Token::Number(text, _)) = cursor.peek() else {
        return Err(cursor.expected("a number"));
    };
    let value = text.parse::<u32>().ok().filter(|n| (min..=max).contains(n));
    let error =
        || Error::sql(format!("{what} must be between {min} and {max}, not {text}")).at(cursor.span()).hint(hint);
    let value = value.ok_or_else(error)?;
    cursor.advance();
    Ok(value)
}

/// The digits of the fraction of a second of type `name`.
fn precision(cursor: &mut Cursor<'_>, name: &str, default: u32) -> Result<u32> {
    let hint =
        format!("it is the number of digits of a second's fraction: {name}(3) has milliseconds, {name}(9) nanoseconds");
    Ok(argument(cursor, &format!("the precision of {name}"), (0, 9), &hint)?.unwrap_or(default))
}

fn decimal(cursor: &mut Cursor<'_>) -> Result<SqlType> {
    let (mut precision, mut scale) = (10, 0);
    if cursor.take(&Token::LParen) {
        precision = number(
            cursor,
            "the precision of a DECIMAL",
            (1, 38),
            "a DECIMAL has 38 digits at most, those behind the point among them; DOUBLE takes larger numbers",
        )?;
        if cursor.take(&Token::Comma) {
            scale = number(
                cursor,
                "the scale of a DECIMAL",
                (0, precision),
                "the first number counts all digits, the second those behind the point: DECIMAL(10, 2)",
            )?;
        }
        cursor.expect(&Token::RParen)?;
    }
    // both are at most 38
    let (p, s) = (u8::try_from(precision).unwrap_or(38), i8::try_from(scale).unwrap_or(38));
    Ok(plain(&format!("DECIMAL({precision}, {scale})"), DataType::Decimal128(p, s)))
}

fn sized(cursor: &mut Cursor<'_>, name: &str, data_type: DataType) -> Result<SqlType> {
    let varying = name.starts_with("VAR");
    let unbounded = if name.ends_with("BINARY") { "BYTES" } else { "STRING" };
    let hint = format!("write {unbounded} for any length");
    let length = argument(cursor, &format!("the length of {name}"), (1, LENGTH_MAX), &hint)?.unwrap_or(if varying {
        LENGTH_MAX
    } else {
        1
    });
    let text = match (name, length) {
        ("VARCHAR", LENGTH_MAX) => "STRING".to_owned(),
        ("VARBINARY", LENGTH_MAX) => "BYTES".to_owned(),
        _ => format!("{name}({length})"),
    };
    Ok(plain(&text, data_type))
}

fn time(cursor: &mut Cursor<'_>) -> Result<SqlType> {
    let precision = precision(cursor, "TIME", 0)?;
    cursor.take_keywords(&["WITHOUT", "TIME", "ZONE"]);
    Ok(plain(&format!("TIME({precision})"), DataType::Time32(TimeUnit::Millisecond)))
}

fn timestamp(cursor: &mut Cursor<'_>) -> Result<SqlType> {
    let precision = precision(cursor, "TIMESTAMP", 6)?;
    let start = cursor.index();
    if cursor.take_keywords(&["WITH", "TIME", "ZONE"]) {
        return Err(refusals::unsupported("type \"TIMESTAMP WITH TIME ZONE\"", cursor.span_from(start))
            .hint(format!("use TIMESTAMP_LTZ({precision})")));
    }
    let local = cursor.take_keywords(&["WITH", "LOCAL", "TIME", "ZONE"]);
    cursor.take_keywords(&["WITHOUT", "TIME", "ZONE"]);
    Ok(timestamp_type(precision, local))
}

fn timestamp_type(precision: u32, local: bool) -> SqlType {
    let unit = match precision {
        0..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    };
    match local {
        true => plain(&format!("TIMESTAMP_LTZ({precision})"), DataType::Timestamp(unit, Some("UTC".into()))),
        false => plain(&format!("TIMESTAMP({precision})"), DataType::Timestamp(unit, None)),
    }
}

/// The type's text with its `NOT NULL`, as it stands inside another type.
fn inner_text(inner: &SqlType) -> String {
    let not_null = if inner.nullable { "" } else { " NOT NULL" };
    format!("{}{not_null}", inner.text)
}

/// `<type>`.
fn element(cursor: &mut Cursor<'_>, depth: usize) -> Result<SqlType> {
    cursor.expect(&Token::Lt)?;
    let element = parse_nested(cursor, depth)?;
    cursor.expect(&Token::Gt)?;
    Ok(element)
}

fn array(element: &SqlType) -> SqlType {
    let field = Field::new("item", element.data_type.clone(), element.nullable);
    plain(&format!("ARRAY<{}>", inner_text(element)), DataType::List(Arc::new(field)))
}

fn multiset(element: &SqlType) -> SqlType {
    plain(&format!("MULTISET<{}>", inner_text(element)), multiset_type(element.data_type.clone()))
}

fn map(cursor: &mut Cursor<'_>, depth: usize) -> Result<SqlType> {
    cursor.expect(&Token::Lt)?;
    let key = parse_nested(cursor, depth)?;
    cursor.expect(&Token::Comma)?;
    let value = parse_nested(cursor, depth)?;
    cursor.expect(&Token::Gt)?;
    let text = format!("MAP<{}, {}>", inner_text(&key), inner_text(&value));
    let data_type = map_type(key.data_type, value.data_type, value.nullable);
    Ok(plain(&text, data_type))
}

fn row(cursor: &mut Cursor<'_>, depth: usize) -> Result<SqlType> {
    let close = match cursor.take(&Token::Lt) {
        true => Token::Gt,
        false => {
            cursor.expect(&Token::LParen).map_err(|_| cursor.expected("\"<\""))?;
            Token::RParen
        }
    };
    let (mut fields, mut texts, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    loop {
        let name = names::new_name(cursor, "a field name")?;
        if !seen.insert(name.value.clone()) {
            return Err(Error::sql(format!("field \"{}\" is declared twice", name.value)).at(name.span));
        }
        let field = parse_nested(cursor, depth)?;
        texts.push(format!("{} {}", names::quoted(&name.value), inner_text(&field)));
        fields.push(Field::new(name.value, field.data_type, field.nullable));
        if matches!(cursor.peek(), Some(Token::SingleQuotedString(_))) {
            cursor.advance();
        }
        if !cursor.take(&Token::Comma) {
            break;
        }
    }
    cursor.expect(&close)?;
    Ok(plain(&format!("ROW<{}>", texts.join(", ")), DataType::Struct(Fields::from(fields))))
}
