//! The aggregates that collect, made of what they are called with: LISTAGG, ARRAY_AGG, COLLECT, JSON_OBJECTAGG,
//! JSON_ARRAYAGG, and DISTINCT of all others.

use std::sync::Arc;

use arrow::datatypes::DataType;

use super::collect::{Collected, Collecting, Kind};
use super::{Given, Make};
use crate::functions::json::jsonable;

fn collected(kind: Kind, first: usize, types: &[DataType], distinct: bool) -> Option<Box<dyn Make>> {
    let types = types.get(first..)?.to_vec();
    let inputs = first..first + types.len();
    Some(Box::new(Collected(Arc::new(Collecting::new(kind, inputs, types, distinct)))))
}

/// `plain` over the distinct values of its argument.
pub(super) fn distinct(plain: Box<dyn Make>, argument: &DataType) -> Box<dyn Make> {
    let types = vec![argument.clone()];
    Box::new(Collected(Arc::new(Collecting::new(Kind::Distinct(plain), 0..1, types, true))))
}

/// LISTAGG.
pub(super) fn make_text(given: &Given<'_>) -> Option<Box<dyn Make>> {
    let text = match given.types {
        [text] | [text, DataType::Utf8] => text,
        _ => return None,
    };
    let separator = given.constant(1).unwrap_or(",").to_owned();
    let types = std::slice::from_ref(text);
    (*text == DataType::Utf8).then(|| collected(Kind::Text { separator }, 0, types, given.distinct)).flatten()
}

/// ARRAY_AGG.
pub(super) fn make_array(given: &Given<'_>) -> Option<Box<dyn Make>> {
    let [_] = given.types else { return None };
    collected(Kind::Array { nulls: !given.ignore_nulls }, 0, given.types, given.distinct)
}

/// COLLECT.
pub(super) fn make_multiset(given: &Given<'_>) -> Option<Box<dyn Make>> {
    let [_] = given.types else { return None };
    collected(Kind::Multiset, 0, given.types, given.distinct)
}

/// What becomes of NULLs, and whether values are JSON already: the first argument, which the parser writes.
fn options(given: &Given<'_>) -> (bool, bool) {
    let (nulls, kinds) = given.constant(0).and_then(|text| text.split_once(':')).unwrap_or(("NULL", "v"));
    (nulls == "NULL", kinds == "r")
}

/// JSON_ARRAYAGG.
pub(super) fn make_json_array(given: &Given<'_>) -> Option<Box<dyn Make>> {
    let [_, value] = given.types else { return None };
    let (nulls, raw) = options(given);
    jsonable(value).then(|| collected(Kind::JsonArray { nulls, raw }, 1, given.types, given.distinct)).flatten()
}

/// JSON_OBJECTAGG.
pub(super) fn make_json_object(given: &Given<'_>) -> Option<Box<dyn Make>> {
    let [_, DataType::Utf8, value] = given.types else { return None };
    let (nulls, raw) = options(given);
    jsonable(value).then(|| collected(Kind::JsonObject { nulls, raw }, 1, given.types, false)).flatten()
}
