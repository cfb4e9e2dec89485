//! JSON_VALUE, JSON_QUERY, JSON_EXISTS and IS JSON.
//!
//! # Source  Apache Calcite, `JsonFunctions`, as Flink 2.3 answers

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int32Array, ListBuilder, StringArray, StringBuilder};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Field};
use datafusion::error::{DataFusionError, Result};

use super::path::{Found, Mode};
use super::{Json, Lookup, behaviour, parse};
use crate::error::Error;
use crate::functions::cast::convert;
use crate::functions::scalar::{At, Call};

/// What a function answers for one row.
enum Answer {
    Null,
    Value(Json),
    Empty,
    Failed(String),
}

fn failed(function: &str, why: &str) -> DataFusionError {
    Error::data(format!("{function} failed: {why}")).hint("NULL ON ERROR gives NULL instead").into()
}

fn empty(function: &str) -> DataFusionError {
    Error::data(format!("{function} found nothing")).hint("NULL ON EMPTY gives NULL instead").into()
}

/// JSON_VALUE.
pub(super) fn value(call: &Call<'_>) -> Result<ArrayRef> {
    let mut lookup = Lookup::new(call)?;
    let (on_empty, on_error) = (behaviour(call, 2)?, behaviour(call, 4)?);
    let mut values = Vec::with_capacity(call.rows);
    // of each row: values, defaults of ON EMPTY, defaults of ON ERROR
    let mut sources = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let answer = match lookup.row(row)? {
            None => Answer::Null,
            Some((_, Found::Failed(why))) => Answer::Failed(why),
            Some((_, Found::Null)) => Answer::Failed("the value is null".to_owned()),
            Some((_, Found::Nothing)) => Answer::Empty,
            Some((_, Found::Value(value))) if value.is_scalar() => Answer::Value(value),
            Some((Mode::Lax, _)) => Answer::Empty,
            Some((Mode::Strict, _)) => Answer::Failed("the path leads to an array or object".to_owned()),
        };
        let (value, source) = match answer {
            Answer::Value(value) => (Some(value), 0),
            Answer::Null => (None, 0),
            Answer::Empty if on_empty == "ERROR" => return Err(empty("JSON_VALUE")),
            Answer::Failed(why) if on_error == "ERROR" => return Err(failed("JSON_VALUE", &why)),
            Answer::Empty => (None, 1),
            Answer::Failed(_) => (None, 2),
        };
        values.push(value);
        sources.push((source, row));
    }
    let values = typed(&values, call.return_type)?;
    if sources.iter().all(|(source, _)| *source == 0) {
        return Ok(values);
    }
    let defaults =
        [convert(call.any(3)?, call.return_type, call.zone)?, convert(call.any(5)?, call.return_type, call.zone)?];
    Ok(interleave(&[values.as_ref(), defaults[0].as_ref(), defaults[1].as_ref()], &sources)?)
}

/// Scalars as a column of the type after RETURNING.
fn typed(values: &[Option<Json>], to: &DataType) -> Result<ArrayRef> {
    let wrong = |value: &Json, name: &str| -> DataFusionError {
        Error::data(format!("JSON_VALUE … RETURNING {name} found {}", value.text()))
            .hint("leave RETURNING out and use TRY_CAST")
            .into()
    };
    let each = values.iter().map(Option::as_ref);
    Ok(match to {
        DataType::Int32 => {
            let int = |value: &Json| match value {
                Json::Integer(digits) => digits.parse::<i32>().map_err(|_| wrong(value, "INT")),
                other => Err(wrong(other, "INT")),
            };
            Arc::new(each.map(|value| value.map(int).transpose()).collect::<Result<Int32Array>>()?)
        }
        DataType::Float64 => {
            let double = |value: &Json| match value {
                Json::Decimal(digits) | Json::Integer(digits) => {
                    digits.parse::<f64>().map_err(|_| wrong(value, "DOUBLE"))
                }
                other => Err(wrong(other, "DOUBLE")),
            };
            Arc::new(each.map(|value| value.map(double).transpose()).collect::<Result<Float64Array>>()?)
        }
        DataType::Boolean => {
            let boolean = |value: &Json| match value {
                Json::Boolean(value) => Ok(*value),
                other => Err(wrong(other, "BOOLEAN")),
            };
            Arc::new(each.map(|value| value.map(boolean).transpose()).collect::<Result<BooleanArray>>()?)
        }
        _ => Arc::new(each.map(|value| value.and_then(Json::scalar_text)).collect::<StringArray>()),
    })
}

/// What `EMPTY ARRAY` and the like stand for.
fn instead(behaviour: &str) -> Option<Json> {
    match behaviour {
        "EMPTY ARRAY" => Some(Json::Array(Vec::new())),
        "EMPTY OBJECT" => Some(Json::Object(Vec::new())),
        _ => None,
    }
}

/// JSON_QUERY.
pub(super) fn query(call: &Call<'_>) -> Result<ArrayRef> {
    let mut lookup = Lookup::new(call)?;
    let (wrapper, on_empty, on_error) = (behaviour(call, 2)?, behaviour(call, 3)?, behaviour(call, 4)?);
    let mut values = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let answer = match lookup.row(row)? {
            None => Answer::Null,
            Some((_, Found::Failed(why))) => Answer::Failed(why),
            Some((_, Found::Null)) => Answer::Failed("the value is null".to_owned()),
            Some((_, Found::Nothing)) => Answer::Empty,
            Some((mode, Found::Value(value))) => {
                let bare = wrapper == "WITHOUT" || (wrapper == "CONDITIONAL" && matches!(value, Json::Array(_)));
                let value = if bare { value } else { Json::Array(vec![value]) };
                match mode {
                    _ if !value.is_scalar() => Answer::Value(value),
                    Mode::Lax => Answer::Empty,
                    Mode::Strict => Answer::Failed(format!("the path leads to {}, no array or object", value.text())),
                }
            }
        };
        values.push(match answer {
            Answer::Value(value) => Some(value),
            Answer::Null => None,
            Answer::Empty if on_empty == "ERROR" => return Err(empty("JSON_QUERY")),
            Answer::Failed(why) if on_error == "ERROR" => return Err(failed("JSON_QUERY", &why)),
            Answer::Empty => instead(on_empty),
            Answer::Failed(_) => instead(on_error),
        });
    }
    if *call.return_type == DataType::Utf8 {
        return call.build_text(|row| Ok(values.get(row).and_then(Option::as_ref).map(Json::text)));
    }
    let mut lists = ListBuilder::new(StringBuilder::new()).with_field(Field::new("item", DataType::Utf8, true));
    for value in values {
        let Some(Json::Array(items)) = value else {
            lists.append_null();
            continue;
        };
        for item in &items {
            let text = if item.is_scalar() { item.scalar_text() } else { Some(item.text()) };
            lists.values().append_option(text);
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

/// JSON_EXISTS.
pub(super) fn exists(call: &Call<'_>) -> Result<ArrayRef> {
    let mut lookup = Lookup::new(call)?;
    let on_error = behaviour(call, 2)?;
    let answer = |row: usize| -> Result<Option<bool>> {
        Ok(match lookup.row(row)? {
            None => None,
            Some((_, Found::Value(_))) => Some(true),
            // a null is there, and counts as nothing
            Some((_, Found::Nothing | Found::Null)) => Some(false),
            Some((_, Found::Failed(why))) => match on_error {
                "TRUE" => Some(true),
                "UNKNOWN" => None,
                "ERROR" => return Err(failed("JSON_EXISTS", &why)),
                _ => Some(false),
            },
        })
    };
    Ok(Arc::new((0..call.rows).map(answer).collect::<Result<BooleanArray>>()?))
}

/// IS JSON.
pub(super) fn is_json(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, kind) = (call.text(0)?, behaviour(call, 1)?);
    let answer = |row: usize| {
        let Some(value) = texts.at(row).and_then(parse) else { return Some(false) };
        Some(match kind {
            "SCALAR" => value.is_scalar(),
            "ARRAY" => matches!(value, Json::Array(_)),
            "OBJECT" => matches!(value, Json::Object(_)),
            _ => true,
        })
    };
    Ok(Arc::new((0..call.rows).map(answer).collect::<BooleanArray>()))
}
