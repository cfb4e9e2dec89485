//! Values to JSON: JSON_OBJECT, JSON_ARRAY, JSON_STRING, and what the aggregates of the same names collect.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datafusion::error::Result;

use super::document::big_decimal;
use super::{Json, behaviour, parse};
use crate::error::Error;
use crate::functions::cast::number::{Number, number_at};
use crate::functions::cast::text::{date_text, decimal_text, double_text};
use crate::functions::collection::lists::bounds;
use crate::functions::scalar::{At, Call, Types};
use crate::functions::time::calendar::Date;
use crate::functions::time::value::moment_at;
use crate::table::map::{entry_fields, keys};
use crate::time::zone::Zone;

/// Whether Flink writes a type as JSON: not DATE, TIME and INTERVAL, and no map with keys other than text.
pub(in crate::functions) fn jsonable(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) => jsonable(item.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| jsonable(field.data_type())),
        DataType::Map(..) => entry_fields(data_type)
            .is_some_and(|(key, value)| *key.data_type() == DataType::Utf8 && jsonable(value.data_type())),
        DataType::Null | DataType::Boolean | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Binary | DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => true,
        DataType::Timestamp(..) => true,
        other => other.is_signed_integer(),
    }
}

/// The value at a row.
///
/// # Errors
/// `Sql` for a type without JSON.
pub(in crate::functions) fn to_json(array: &ArrayRef, row: usize, zone: &Zone) -> Result<Json> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return Ok(Json::Null);
    }
    let number = |text: String| big_decimal(&text).map_or(Json::Text(text), Json::Decimal);
    Ok(match array.data_type() {
        DataType::Utf8 => Json::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::LargeUtf8 => Json::Text(array.as_string::<i64>().value(row).to_owned()),
        DataType::Utf8View => Json::Text(array.as_string_view().value(row).to_owned()),
        DataType::Binary => Json::Text(STANDARD.encode(array.as_binary::<i32>().value(row))),
        DataType::Boolean => Json::Boolean(array.as_boolean().value(row)),
        // a FLOAT is written with all the digits it has as a DOUBLE
        DataType::Float32 => number(double_text(f64::from(array.as_primitive::<Float32Type>().value(row)))),
        DataType::Float64 => number(double_text(array.as_primitive::<Float64Type>().value(row))),
        DataType::Decimal128(_, scale) => {
            number(decimal_text(array.as_primitive::<Decimal128Type>().value(row), *scale))
        }
        DataType::Timestamp(_, tz) => {
            let moment = moment_at(array, row, zone)?;
            let instant = tz.is_some();
            Json::Text(moment.map(|m| if instant { utc(m.ms, m.nanos) } else { clock(m.local()) }).unwrap_or_default())
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let items = bounds(list.offsets(), row).map(|item| to_json(list.values(), item, zone));
            Json::Array(items.collect::<Result<_>>()?)
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let keys: &StringArray = keys(map).as_string();
            let entry = |at: usize| match keys.at(at) {
                Some(key) => Ok((key.to_owned(), to_json(map.values(), at, zone)?)),
                None => Err(Error::data("a key of a map is NULL, which JSON cannot hold")
                    .hint("use COALESCE(key, 'none') for the key")
                    .into()),
            };
            Json::Object(bounds(map.offsets(), row).map(entry).collect::<Result<_>>()?)
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns().iter();
            let field = |(field, column): (&Arc<arrow::datatypes::Field>, &ArrayRef)| {
                Ok((field.name().clone(), to_json(column, row, zone)?))
            };
            Json::Object(fields.iter().zip(columns).map(field).collect::<Result<_>>()?)
        }
        other => match number_at(array, row) {
            Some(Number::Integer(value)) => Json::Integer(value.to_string()),
            _ => return Err(Error::sql(format!("a value of type \"{other}\" cannot be converted into JSON")).into()),
        },
    })
}

fn utc(ms: i64, nanos: i64) -> String {
    let day_ms = 86_400_000;
    format!("{}Z", clock((ms.div_euclid(day_ms), ms.rem_euclid(day_ms) * 1_000_000 + nanos)))
}

/// Days since 1970 and nanoseconds of the day as `yyyy-MM-ddTHH:mm:ss[.fraction]`.
fn clock((days, day_ns): (i64, i64)) -> String {
    let seconds = day_ns / 1_000_000_000;
    let fraction = format!("{:09}", day_ns % 1_000_000_000);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let date = date_text(Date::from_days(days));
    format!("{date}T{:02}:{:02}:{:02}{point}{fraction}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Types behind the first argument: name and value in turn.
pub(super) fn object_type(types: &Types<'_>) -> Option<DataType> {
    let pairs = types.types.get(1..)?;
    let names = pairs.iter().step_by(2).all(|name| name.is_string());
    let values = pairs.iter().skip(1).step_by(2).all(jsonable);
    (names && values && pairs.len().is_multiple_of(2)).then_some(DataType::Utf8)
}

/// Types behind the first argument: values.
pub(super) fn array_type(types: &Types<'_>) -> Option<DataType> {
    types.types.get(1..)?.iter().all(jsonable).then_some(DataType::Utf8)
}

/// Whether NULLs are left out, and for each value whether it is JSON text already.
fn options(call: &Call<'_>) -> Result<(bool, Vec<bool>)> {
    let (nulls, kinds) = behaviour(call, 0)?.split_once(':').unwrap_or_default();
    Ok((nulls == "ABSENT", kinds.bytes().map(|kind| kind == b'r').collect()))
}

/// The value at a row, or `None` if it is NULL and those are left out.
pub(in crate::functions) fn item(
    column: &ArrayRef,
    row: usize,
    raw: bool,
    absent: bool,
    zone: &Zone,
) -> Result<Option<Json>> {
    if column.is_null(row) || *column.data_type() == DataType::Null {
        return Ok((!absent).then_some(Json::Null));
    }
    let value = to_json(column, row, zone)?;
    match value {
        Json::Text(text) if raw => match parse(&text) {
            Some(json) => Ok(Some(json)),
            None => Err(Error::data(format!("JSON(…) of a text that is no JSON: \"{text}\"")).into()),
        },
        value => Ok(Some(value)),
    }
}

/// JSON_OBJECT.
pub(super) fn object(call: &Call<'_>) -> Result<ArrayRef> {
    let (absent, raw) = options(call)?;
    call.build_text(|row| {
        let mut fields: Vec<(String, Json)> = Vec::with_capacity(raw.len());
        for (pair, raw) in raw.iter().enumerate() {
            let Json::Text(name) = to_json(call.any(1 + 2 * pair)?, row, call.zone)? else {
                return Err(Error::data("a name of JSON_OBJECT is NULL").into());
            };
            if let Some(value) = item(call.any(2 + 2 * pair)?, row, *raw, absent, call.zone)? {
                fields.push((name, value));
            }
        }
        Ok(Some(Json::Object(fields).text()))
    })
}

/// JSON_ARRAY.
pub(super) fn array(call: &Call<'_>) -> Result<ArrayRef> {
    let (absent, raw) = options(call)?;
    call.build_text(|row| {
        let mut items = Vec::with_capacity(raw.len());
        for (place, raw) in raw.iter().enumerate() {
            items.extend(item(call.any(1 + place)?, row, *raw, absent, call.zone)?);
        }
        Ok(Some(Json::Array(items).text()))
    })
}

/// JSON_STRING.
pub(super) fn string(call: &Call<'_>) -> Result<ArrayRef> {
    let column = call.any(0)?;
    call.build_text(|row| match to_json(column, row, call.zone)? {
        Json::Null => Ok(None),
        value => Ok(Some(value.text())),
    })
}
