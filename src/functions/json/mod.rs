//! JSON functions. The parser turns their syntax (`DEFAULT x ON EMPTY`, `WITH WRAPPER`, `KEY k VALUE v`) into calls
//! with plain arguments, in the order each entry names; behaviours are constant texts.
//!
//! Invariant: a path that is the same in neighbouring rows is read once; a document is read once per row and call.

mod construct;
mod document;
mod path;
mod query;
mod quote;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;

pub(in crate::functions) use construct::{item, jsonable};
pub(in crate::functions) use document::{Json, parse};
pub(super) use path::check as check_path;

use self::path::{Found, Mode, Path};
use super::collection::types::item_of;
use super::scalar::Takes::{Any, Text};
use super::scalar::{At, Call, Entry, Nature, Types};

const fn entry(
    name: &'static str,
    usage: &'static str,
    returns: fn(&Types<'_>) -> Option<DataType>,
    kernel: fn(&Call<'_>) -> Result<ArrayRef>,
    doc: &'static str,
) -> Entry {
    Entry {
        name,
        aliases: &[],
        usage,
        takes: &[Text],
        optional: &[],
        repeated: None,
        nature: Nature::FailsByRow,
        returns,
        kernel,
        doc,
    }
}

/// The functions of this folder.
pub(super) const ENTRIES: &[Entry] = &[
    // document, path, ON EMPTY, its value, ON ERROR, its value, a NULL of the type to return
    Entry {
        takes: &[Text, Text, Text, Any, Text, Any, Any],
        ..entry(
            "json_value",
            "JSON_VALUE(text, path [RETURNING type] [NULL | ERROR | DEFAULT value ON EMPTY] [NULL | ERROR | DEFAULT value ON ERROR])",
            |types| {
                let returned = types.get(6)?;
                let known = [DataType::Utf8, DataType::Boolean, DataType::Int32, DataType::Float64];
                known.contains(&returned).then_some(returned)
            },
            query::value,
            "The scalar at a path, as STRING, BOOLEAN, INT or DOUBLE. Without a mode a path is strict: what it does not \
             find is an error, which gives NULL unless ON ERROR says otherwise.",
        )
    },
    // document, path, wrapper, ON EMPTY, ON ERROR, a NULL of the type to return
    Entry {
        takes: &[Text, Text, Text, Text, Text, Any],
        ..entry(
            "json_query",
            "JSON_QUERY(text, path [RETURNING type] [WITHOUT | WITH [CONDITIONAL] WRAPPER] [NULL | ERROR | EMPTY ARRAY | EMPTY OBJECT ON EMPTY] [… ON ERROR])",
            |types| {
                let returned = types.get(5)?;
                let texts = item_of(&returned).is_some_and(|item| *item == DataType::Utf8);
                (texts || returned == DataType::Utf8).then_some(returned)
            },
            query::query,
            "The array or object at a path, as text with names in alphabetical order, or as ARRAY<STRING>.",
        )
    },
    // document, path, ON ERROR
    Entry {
        takes: &[Text, Text, Text],
        ..entry(
            "json_exists",
            "JSON_EXISTS(text, path [TRUE | FALSE | UNKNOWN | ERROR ON ERROR])",
            |_| Some(DataType::Boolean),
            query::exists,
            "Whether a path leads to a value that is not null.",
        )
    },
    // text, kind
    Entry {
        takes: &[Text, Text],
        ..entry(
            "__is_json",
            "text IS [NOT] JSON [VALUE | SCALAR | ARRAY | OBJECT]",
            |_| Some(DataType::Boolean),
            query::is_json,
            "Whether a text is JSON, of some kind; FALSE for NULL.",
        )
    },
    // what becomes of NULLs and a letter per value: v for values, r for text that is JSON already
    Entry {
        repeated: Some(Any),
        ..entry(
            "json_object",
            "JSON_OBJECT([KEY] name VALUE value, … [NULL | ABSENT ON NULL])",
            construct::object_type,
            construct::object,
            "An object as text, with names in alphabetical order; NULLs are kept unless ABSENT ON NULL is written.",
        )
    },
    Entry {
        repeated: Some(Any),
        ..entry(
            "json_array",
            "JSON_ARRAY(value, … [NULL | ABSENT ON NULL])",
            construct::array_type,
            construct::array,
            "An array as text; NULLs are left out unless NULL ON NULL is written.",
        )
    },
    Entry {
        takes: &[Any],
        ..entry(
            "json_string",
            "JSON_STRING(value)",
            |types| jsonable(&types.get(0)?).then_some(DataType::Utf8),
            construct::string,
            "The JSON text of a value; NULL for NULL.",
        )
    },
    entry(
        "json_quote",
        "JSON_QUOTE(text)",
        |_| Some(DataType::Utf8),
        quote::quote,
        "The text as a JSON string, with quotes and escapes.",
    ),
    entry(
        "json_unquote",
        "JSON_UNQUOTE(text)",
        |_| Some(DataType::Utf8),
        quote::unquote,
        "What a JSON string stands for; a text that is none is given back as it is.",
    ),
];

/// Documents and the paths to follow in them.
struct Lookup<'a> {
    documents: &'a StringArray,
    paths: &'a StringArray,
    last: Option<(&'a str, Path)>,
}

impl<'a> Lookup<'a> {
    fn new(call: &Call<'a>) -> Result<Self> {
        let text = |index: usize| -> Result<&'a StringArray> {
            let column = call.arguments.get(index).and_then(|c| c.as_any().downcast_ref());
            column.ok_or_else(|| crate::error::Error::internal("a JSON function without text").into())
        };
        Ok(Self { documents: text(0)?, paths: text(1)?, last: None })
    }

    /// What the path of a row finds; `None` if document or path are NULL.
    fn row(&mut self, row: usize) -> Result<Option<(Mode, Found)>> {
        let (Some(document), Some(path)) = (self.documents.at(row), self.paths.at(row)) else { return Ok(None) };
        if self.last.as_ref().is_none_or(|(last, _)| *last != path) {
            self.last = Some((path, Path::parse(path)?));
        }
        let Some((_, path)) = &self.last else { return Ok(None) };
        let found = match parse(document) {
            Some(Json::Null) => Found::Failed("the document is null".to_owned()),
            Some(document) => path.follow(&document),
            None if path.mode == Mode::Lax => Found::Nothing,
            None => Found::Failed("the text is no JSON".to_owned()),
        };
        // in strict mode a null is nothing, and nothing is an error
        let found = match (found, path.mode) {
            (Found::Value(Json::Null), Mode::Lax) => Found::Nothing,
            (Found::Value(Json::Null), Mode::Strict) => Found::Null,
            (found, _) => found,
        };
        Ok(Some((path.mode, found)))
    }
}

/// The constant text of an argument that says how a function behaves.
fn behaviour<'a>(call: &'a Call<'_>, index: usize) -> Result<&'a str> {
    Ok(call.text(index)?.at(0).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use crate::functions::tests::{check, check_error};

    #[test]
    fn values_and_behaviours() {
        let value = |document: &str, path: &str| {
            format!("JSON_VALUE('{document}', '{path}', 'DEFAULT', 'e', 'DEFAULT', 'r', arrow_cast(NULL, 'Utf8'))")
        };
        for (document, path, want) in [
            (r#"{"a":1.50}"#, "$.a", "1.50"),
            (r#"{"a":1e3}"#, "$.a", "1E+3"),
            (r#"{"a":true}"#, "$.a", "true"),
            (r#"{"a":null}"#, "lax $.a", "e"),
            (r#"{"a":null}"#, "$.a", "r"),
            (r#"{"a":[1]}"#, "lax $.a", "e"),
            (r#"{"a":[1]}"#, "strict $.a", "r"),
            ("{bad", "lax $.a", "e"),
            ("{bad", "$.a", "r"),
            ("null", "lax $.a", "r"),
            (r#"{"a":1} trailing"#, "$.a", "1"),
        ] {
            check("UTC", &[(&value(document, path), want)]);
        }
        let typed = |document: &str, sql_type: &str| {
            format!("JSON_VALUE('{document}', '$.a', 'NULL', NULL, 'NULL', NULL, CAST(NULL AS {sql_type}))")
        };
        check(
            "UTC",
            &[
                (&typed(r#"{"a":12}"#, "INT"), "12"),
                (&typed(r#"{"a":1.5}"#, "DOUBLE"), "1.5"),
                (&typed(r#"{"a":false}"#, "BOOLEAN"), "FALSE"),
                ("JSON_VALUE(NULLIF(s, s), '$.a', 'DEFAULT', 'e', 'DEFAULT', 'r', arrow_cast(NULL, 'Utf8'))", "NULL"),
            ],
        );
        check_error(&typed(r#"{"a":"12"}"#, "INT"), "RETURNING INT found \"12\"");
        check_error(&typed(r#"{"a":1}"#, "DATE"), "does not take");
        check_error(&value("{}", "$.a[?(@.b)]"), "a filter, which is not supported");
    }

    #[test]
    fn queries_wrap_and_predicates_answer() {
        let query = |document: &str, path: &str, wrapper: &str| {
            format!(
                "JSON_QUERY('{document}', '{path}', '{wrapper}', 'EMPTY ARRAY', 'EMPTY OBJECT', arrow_cast(NULL, 'Utf8'))"
            )
        };
        for (document, path, wrapper, want) in [
            (r#"{"a":{"z":1,"b":[1.50,null,"x"]}}"#, "$.a", "WITHOUT", r#"{"b":[1.50,null,"x"],"z":1}"#),
            (r#"{"a":1}"#, "$.a", "WITHOUT", "{}"),
            (r#"{"a":1}"#, "lax $.a", "WITHOUT", "[]"),
            (r#"{"a":1}"#, "$.a", "UNCONDITIONAL", "[1]"),
            (r#"{"a":[1]}"#, "$.a", "CONDITIONAL", "[1]"),
            (r#"{"a":[1]}"#, "$.a", "UNCONDITIONAL", "[[1]]"),
            (r#"{"a":null}"#, "lax $.a", "UNCONDITIONAL", "[]"),
            (r#"{"a":null}"#, "strict $.a", "UNCONDITIONAL", "{}"),
        ] {
            check("UTC", &[(&query(document, path, wrapper), want)]);
        }
        check(
            "UTC",
            &[
                (r#"JSON_EXISTS('{"a":null}', '$.a', 'ERROR')"#, "FALSE"),
                (r#"JSON_EXISTS('{"a":[]}', 'lax $.a[*]', 'FALSE')"#, "TRUE"),
                (r#"JSON_EXISTS('{"a":1}', '$.b', 'UNKNOWN')"#, "NULL"),
                (r#"JSON_EXISTS('{"a":1}', '$.b', 'TRUE')"#, "TRUE"),
                ("__is_json('[1]', 'ARRAY')", "TRUE"),
                ("__is_json('1', 'SCALAR')", "TRUE"),
                ("__is_json('1', 'OBJECT')", "FALSE"),
                ("__is_json(NULLIF(s, s), 'VALUE')", "FALSE"),
            ],
        );
        check_error(r#"JSON_EXISTS('{"a":1}', '$.b', 'ERROR')"#, "JSON_EXISTS failed: no results");
    }

    #[test]
    fn values_become_json_and_text_is_quoted() {
        check(
            "America/New_York",
            &[
                ("JSON_OBJECT('NULL:vv', 'b', n, 'a', s)", r#"{"a":"Pump-Station 7","b":-2}"#),
                ("JSON_OBJECT('ABSENT:v', 'b', NULLIF(n, n))", "{}"),
                (r#"JSON_OBJECT('NULL:rv', 'j', '{"x": [1, 2]}', 'q', '[1]')"#, r#"{"j":{"x":[1,2]},"q":"[1]"}"#),
                ("JSON_ARRAY('ABSENT:vvv', n, NULLIF(n, n), TRUE)", "[-2,true]"),
                ("JSON_ARRAY('NULL:vv', NULL, 1)", "[null,1]"),
                (
                    "JSON_STRING(row(n, s, ARRAY[x, NULL]))",
                    r#"{"EXPR$0":-2,"EXPR$1":"Pump-Station 7","EXPR$2":[2.345,null]}"#,
                ),
                ("JSON_STRING(ts)", r#""2024-02-29T23:59:59.999""#),
                ("JSON_STRING(ltz)", r#""2024-02-29T23:59:59.999Z""#),
                ("JSON_STRING(arrow_cast(1e7, 'Float64'))", "1.0E+7"),
                ("JSON_STRING(arrow_cast('0102ff', 'Binary'))", r#""MDEwMmZm""#),
                ("JSON_STRING(NULLIF(n, n))", "NULL"),
                ("JSON_QUOTE('a\"/ä€')", r#""a\"\/\u00e4\u20ac""#),
                (r#"JSON_UNQUOTE('"a\"b\u00e4"')"#, "a\"bä"),
                (r#"JSON_UNQUOTE('"a\qb"')"#, r#""a\qb""#),
                ("JSON_UNQUOTE('abc')", "abc"),
            ],
        );
        check_error("JSON_STRING(CAST(ts AS DATE))", "does not take");
        check_error("JSON_OBJECT('NULL:r', 'j', 'bad')", "no JSON");
    }
}
