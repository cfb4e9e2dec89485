//! Comparisons of DOUBLEs, which Java makes in two ways: `double_…` as its operators do (NaN equals nothing, -0.0 is
//! 0.0), `total_…` as `Double.compare` does (NaN is the largest and equals itself, -0.0 is below 0.0). Flink uses the
//! second where one side is a DECIMAL. The planner writes these functions for operators.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::DataType;
use datafusion::error::Result;

use super::scalar::Takes::Double;
use super::scalar::{Call, Entry, entry};

macro_rules! compare {
    ($name:literal, $usage:literal, $test:expr) => {
        Entry {
            takes: &[Double, Double],
            returns: |_| Some(DataType::Boolean),
            ..entry($name, $usage, |call| each(call, $test), "Whether two DOUBLEs compare so.")
        }
    };
}

macro_rules! distinct {
    ($name:literal, $usage:literal, $test:expr) => {
        Entry {
            takes: &[Double, Double],
            returns: |_| Some(DataType::Boolean),
            ..entry($name, $usage, |call| each_null(call, $test), "Whether two DOUBLEs, or NULLs, are other values.")
        }
    };
}

/// The functions of this file. They have no Flink name.
pub(super) const ENTRIES: &[Entry] = &[
    compare!("double_equal", "a = b", |a, b| a == b),
    compare!("double_not_equal", "a <> b", |a, b| a != b),
    compare!("double_less", "a < b", |a, b| a < b),
    compare!("double_less_or_equal", "a <= b", |a, b| a <= b),
    compare!("double_greater", "a > b", |a, b| a > b),
    compare!("double_greater_or_equal", "a >= b", |a, b| a >= b),
    compare!("total_equal", "a = b", |a, b| order(a, b).is_eq()),
    compare!("total_not_equal", "a <> b", |a, b| order(a, b).is_ne()),
    compare!("total_less", "a < b", |a, b| order(a, b).is_lt()),
    compare!("total_less_or_equal", "a <= b", |a, b| order(a, b).is_le()),
    compare!("total_greater", "a > b", |a, b| order(a, b).is_gt()),
    compare!("total_greater_or_equal", "a >= b", |a, b| order(a, b).is_ge()),
    distinct!("double_distinct", "a IS DISTINCT FROM b", |a, b| a != b),
    distinct!("double_not_distinct", "a IS NOT DISTINCT FROM b", |a, b| a == b),
    distinct!("total_distinct", "a IS DISTINCT FROM b", |a, b| total(a, b).is_ne()),
    distinct!("total_not_distinct", "a IS NOT DISTINCT FROM b", |a, b| total(a, b).is_eq()),
];

/// The operator an entry of this file, or of `decimal` and `time`, stands for.
pub(super) fn operator_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "double_equal" | "total_equal" => "=",
        "double_not_equal" | "total_not_equal" => "<>",
        "double_less" | "total_less" => "<",
        "double_less_or_equal" | "total_less_or_equal" => "<=",
        "double_greater" | "total_greater" => ">",
        "double_greater_or_equal" | "total_greater_or_equal" => ">=",
        "double_distinct" | "total_distinct" => "IS DISTINCT FROM",
        "double_not_distinct" | "total_not_distinct" => "IS NOT DISTINCT FROM",
        "decimal_add" | "time_add" | "interval_add" => "+",
        "decimal_subtract" | "time_subtract" | "interval_subtract" => "-",
        "decimal_multiply" | "interval_times" => "*",
        "decimal_divide" | "integer_divide" => "/",
        "decimal_modulo" => "%",
        "like" => "LIKE",
        "similar_to" => "SIMILAR TO",
        _ => return None,
    })
}

/// `Double.compare`: all NaNs are one.
fn order(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).filter(|order| order.is_ne() || a != 0.0).unwrap_or_else(|| match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => b.is_sign_negative().cmp(&a.is_sign_negative()),
    })
}

fn each(call: &Call<'_>, test: fn(f64, f64) -> bool) -> Result<ArrayRef> {
    let (left, right) = (call.doubles(0)?, call.doubles(1)?);
    let (a, b) = (left.values(), right.values());
    let found = a.iter().zip(b.iter()).map(|(a, b)| test(*a, *b)).collect::<BooleanBuffer>();
    Ok(Arc::new(BooleanArray::new(found, NullBuffer::union(left.nulls(), right.nulls()))))
}

fn each_null(call: &Call<'_>, test: fn(Option<f64>, Option<f64>) -> bool) -> Result<ArrayRef> {
    let (left, right) = (call.doubles(0)?, call.doubles(1)?);
    Ok(Arc::new(left.iter().zip(right.iter()).map(|(a, b)| Some(test(a, b))).collect::<BooleanArray>()))
}

fn total(a: Option<f64>, b: Option<f64>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => order(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_order_is_that_of_java() {
        assert!(order(f64::NAN, -f64::NAN).is_eq() && order(f64::NAN, f64::INFINITY).is_gt());
        assert!(order(-0.0, 0.0).is_lt() && order(0.0, -0.0).is_gt() && order(0.0, 0.0).is_eq());
        assert!(order(1.0, 2.0).is_lt() && order(-1.0, f64::NAN).is_lt());
    }
}
