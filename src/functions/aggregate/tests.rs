//! Aggregates against their definitions: results and types, exact merging, exact return of stored state.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int8Array, Int32Array,
    Int64Array, StringArray, TimestampMillisecondArray,
};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::{Accumulator, AggregateUDF, EmitTo};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::{Literal, col};
use datafusion::scalar::ScalarValue;
use proptest::prelude::*;

use super::functions;
use crate::functions::cast::text::text_at;

fn function(name: &str) -> Arc<AggregateUDF> {
    functions().into_iter().find(|f| f.name() == name || f.aliases().iter().any(|a| a == name)).unwrap()
}

fn call(name: &str, data_type: &DataType) -> AggregateFunctionExpr {
    let schema = Arc::new(Schema::new(vec![Field::new("x", data_type.clone(), true)]));
    let argument = col("x", &schema).unwrap();
    AggregateExprBuilder::new(function(name), vec![argument]).schema(schema).alias("a").build().unwrap()
}

fn accumulator(name: &str, values: &ArrayRef) -> Box<dyn Accumulator> {
    let mut accumulator = call(name, values.data_type()).create_accumulator().unwrap();
    accumulator.update_batch(&[Arc::clone(values)]).unwrap();
    accumulator
}

fn result(name: &str, values: &ArrayRef) -> ScalarValue {
    accumulator(name, values).evaluate().unwrap()
}

fn columns(state: &[ScalarValue]) -> Vec<ArrayRef> {
    state.iter().map(|value| value.to_array().unwrap()).collect()
}

/// Bits, because 0.0 == −0.0 and NaN != NaN.
fn bits(state: &[ScalarValue]) -> Vec<String> {
    let bits = |value: &ScalarValue| match value {
        ScalarValue::Float64(Some(x)) => format!("{:x}", x.to_bits()),
        ScalarValue::Float32(Some(x)) => format!("{:x}", x.to_bits()),
        other => format!("{other:?}"),
    };
    state.iter().map(bits).collect()
}

fn doubles(values: Vec<f64>) -> ArrayRef {
    Arc::new(Float64Array::from(values))
}

const ALL: [&str; 12] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "var_pop",
    "var_samp",
    "stddev_pop",
    "stddev_samp",
    "first_value",
    "last_value",
    "stddev",
];

#[test]
fn result_types_are_those_of_flink() {
    let decimal = DataType::Decimal128(10, 2);
    for (name, argument, want) in [
        ("count", DataType::Utf8, DataType::Int64),
        ("sum", DataType::Int8, DataType::Int8),
        ("sum", decimal.clone(), DataType::Decimal128(38, 2)),
        ("avg", DataType::Int32, DataType::Int32),
        ("avg", decimal.clone(), DataType::Decimal128(38, 6)),
        ("avg", DataType::Decimal128(20, 9), DataType::Decimal128(38, 9)),
        ("avg", DataType::Float32, DataType::Float32),
        ("stddev_pop", DataType::Int64, DataType::Int64),
        ("stddev", DataType::Float32, DataType::Float32),
        ("variance", decimal.clone(), DataType::Decimal128(38, 6)),
        ("min", decimal.clone(), decimal),
        ("first_value", DataType::Utf8, DataType::Utf8),
    ] {
        assert_eq!(*call(name, &argument).field().data_type(), want, "{name}({argument})");
    }
    assert!(function("sum").coerce_types(&[DataType::Utf8]).is_err());
    assert!(function("avg").coerce_types(&[DataType::Int32, DataType::Int32]).is_err());
}

#[test]
fn integers_wrap_and_truncate() {
    let small: ArrayRef = Arc::new(Int8Array::from(vec![100, 100, -7]));
    assert_eq!(result("sum", &small), ScalarValue::Int8(Some(193_i32 as i8)));
    assert_eq!(result("avg", &small), ScalarValue::Int8(Some(64)));
    let ints: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(2), Some(-8)]));
    assert_eq!(result("avg", &ints), ScalarValue::Int32(Some(-1)));
    assert_eq!(result("var_pop", &ints), ScalarValue::Int32(Some(20)));
    assert_eq!(result("stddev_samp", &ints), ScalarValue::Int32(Some(5)));
    assert_eq!(result("count", &ints), ScalarValue::Int64(Some(3)));
    let long: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, 1]));
    assert_eq!(result("sum", &long), ScalarValue::Int64(Some(i64::MIN)));
}

#[test]
fn decimals_round_half_up_and_overflow_to_null() {
    let of = |units: Vec<i128>, p, s| -> ArrayRef {
        Arc::new(Decimal128Array::from(units).with_precision_and_scale(p, s).unwrap())
    };
    let mean = |values| result("avg", &values);
    assert_eq!(mean(of(vec![100, 200, 200], 10, 2)), ScalarValue::Decimal128(Some(1_666_667), 38, 6));
    assert_eq!(mean(of(vec![-100, -200, -200], 10, 2)), ScalarValue::Decimal128(Some(-1_666_667), 38, 6));
    let big = 10_i128.pow(38) - 1;
    assert_eq!(result("sum", &of(vec![big, 1, -1, -big], 38, 0)), ScalarValue::Decimal128(None, 38, 0));
    assert_eq!(result("sum", &of(vec![big, -1], 38, 0)), ScalarValue::Decimal128(Some(big - 1), 38, 0));
    assert_eq!(result("var_pop", &of(vec![100, 200], 10, 2)), ScalarValue::Decimal128(Some(250_000), 38, 6));
}

#[test]
fn no_value_gives_null_and_one_value_no_sample() {
    let none: ArrayRef = Arc::new(Float64Array::from(vec![None, None]));
    for name in ALL.into_iter().filter(|name| *name != "count") {
        assert!(result(name, &none).is_null(), "{name}");
    }
    assert_eq!(result("count", &none), ScalarValue::Int64(Some(0)));
    let one = doubles(vec![4.5]);
    assert_eq!(result("var_pop", &one), ScalarValue::Float64(Some(0.0)));
    assert!(result("var_samp", &one).is_null());
    assert!(result("stddev", &one).is_null());
}

#[test]
fn extremes_compare_as_java_does() {
    for (values, least, most) in [
        (vec![f64::NAN, 1.0, -0.0, 0.0], f64::NAN, f64::NAN),
        (vec![0.0, -0.0, 1.0, f64::NAN], 0.0, 1.0),
        (vec![-0.0, 0.0], -0.0, -0.0),
    ] {
        let values = doubles(values);
        for (name, want) in [("min", least), ("max", most)] {
            assert_eq!(bits(&[result(name, &values)]), bits(&[ScalarValue::Float64(Some(want))]), "{name}");
        }
    }
    let floats: ArrayRef = Arc::new(Float32Array::from(vec![1.5, -2.5]));
    assert_eq!(result("min", &floats), ScalarValue::Float32(Some(-2.5)));
    let text: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None, Some("ä"), Some("Z")]));
    assert_eq!(result("min", &text), ScalarValue::from("Z"));
    assert_eq!(result("max", &text), ScalarValue::from("ä"));
    assert_eq!(result("first_value", &text), ScalarValue::from("b"));
    assert_eq!(result("last_value", &text), ScalarValue::from("Z"));
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
    assert_eq!(result("min", &flags), ScalarValue::Boolean(Some(false)));
    let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![5, 3]).with_timezone("UTC"));
    assert_eq!(result("min", &times), ScalarValue::TimestampMillisecond(Some(3), Some("UTC".into())));
}

#[test]
fn values_like_flinks_windows() {
    let values = doubles(vec![18.671, 18.391, 18.292, 18.104]);
    let near = |name: &str, want: f64| {
        let ScalarValue::Float64(Some(got)) = result(name, &values) else { panic!("{name}") };
        assert!((got - want).abs() <= want.abs() * 1e-12, "{name}: {got} is not {want}");
    };
    let mean = (18.671 + 18.391 + 18.292 + 18.104) / 4.0;
    let m2: f64 = [18.671, 18.391, 18.292, 18.104].iter().map(|x| (x - mean) * (x - mean)).sum();
    near("avg", mean);
    near("var_pop", m2 / 4.0);
    near("var_samp", m2 / 3.0);
    near("stddev_pop", (m2 / 4.0).sqrt());
    near("stddev_samp", (m2 / 3.0).sqrt());
}

/// A call with further arguments, DISTINCT or IGNORE NULLS, over a column `x` and constant texts.
fn special(
    name: &str,
    data_type: &DataType,
    texts: &[&str],
    distinct: bool,
    ignore_nulls: bool,
) -> AggregateFunctionExpr {
    let schema =
        Arc::new(Schema::new(vec![Field::new("x", data_type.clone(), true), Field::new("key", DataType::Utf8, true)]));
    let text = |text: &str| -> Arc<dyn PhysicalExpr> { Arc::new(Literal::new(ScalarValue::from(text))) };
    let value = col("x", &schema).unwrap();
    let arguments = match name {
        "json_arrayagg" => vec![text(texts[0]), value],
        "json_objectagg" => vec![text(texts[0]), col("key", &schema).unwrap(), value],
        _ => std::iter::once(value).chain(texts.iter().map(|t| text(t))).collect(),
    };
    let builder = AggregateExprBuilder::new(function(name), arguments).schema(schema).alias("a");
    builder.with_distinct(distinct).with_ignore_nulls(ignore_nulls).build().unwrap()
}

/// The columns of the arguments of [`special`].
fn arguments(name: &str, values: &ArrayRef, keys: &[&str]) -> Vec<ArrayRef> {
    let nothing = || -> ArrayRef { Arc::new(StringArray::from(vec![""; values.len()])) };
    match name {
        "json_arrayagg" => vec![nothing(), Arc::clone(values)],
        "json_objectagg" => vec![nothing(), Arc::new(StringArray::from(keys.to_vec())), Arc::clone(values)],
        _ => vec![Arc::clone(values), nothing()],
    }
}

/// What a call gives in one go, as one of several groups, and in pieces that are stored in between: all the same text.
#[track_caller]
fn check_collected(expr: &AggregateFunctionExpr, columns_of: &[ArrayRef], want: &str) {
    let text = |value: ScalarValue| {
        let array = value.to_array().unwrap();
        text_at(&array, 0, &crate::time::zone::Zone::UTC).unwrap().unwrap_or_else(|| "NULL".into())
    };
    let rows = columns_of[0].len();
    let mut whole = expr.create_accumulator().unwrap();
    whole.update_batch(columns_of).unwrap();
    assert_eq!(text(whole.evaluate().unwrap()), want);
    assert_eq!(text(whole.evaluate().unwrap()), want, "reading leaves it as it is");
    let mut row_wise = expr.create_accumulator().unwrap();
    for row in 0..rows {
        row_wise.update_batch(&columns_of.iter().map(|c| c.slice(row, 1)).collect::<Vec<_>>()).unwrap();
    }
    assert_eq!(text(row_wise.evaluate().unwrap()), want, "row by row");
    for cut in 0..=rows {
        let mut groups = expr.create_groups_accumulator().unwrap();
        for (from, to) in [(0, cut), (cut, rows)] {
            let piece: Vec<ArrayRef> = columns_of.iter().map(|c| c.slice(from, to - from)).collect();
            let mut part = expr.create_groups_accumulator().unwrap();
            part.update_batch(&piece, &vec![1; to - from], None, 2).unwrap();
            let state = through_ipc(part.state(EmitTo::All).unwrap());
            groups.merge_batch(&state, &[2, 1], 3).unwrap();
        }
        let results = groups.evaluate(EmitTo::All).unwrap();
        assert_eq!(text(ScalarValue::try_from_array(&results, 1).unwrap()), want, "cut at {cut}");
    }
    let types: Vec<_> = expr.state_fields().unwrap().iter().map(|f| f.data_type().clone()).collect();
    let stored = columns(&whole.state().unwrap());
    assert_eq!(stored.iter().map(|c| c.data_type().clone()).collect::<Vec<_>>(), types);
}

#[test]
fn values_are_collected_in_order_and_survive_cuts_and_storage() {
    let ints: ArrayRef = Arc::new(Int32Array::from(vec![Some(3), None, Some(1), Some(3)]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None, Some("ä, c"), Some("b")]));
    let none: ArrayRef = Arc::new(Int32Array::from(vec![None, None]));
    let case = |name: &str, values: &ArrayRef, texts: &[&str], distinct: bool, ignore_nulls: bool, want: &str| {
        let expr = special(name, values.data_type(), texts, distinct, ignore_nulls);
        let given: Vec<ArrayRef> = arguments(name, values, &["z", "y", "x", "w"][..values.len()]);
        let given = given[..expr.expressions().len()].to_vec();
        check_collected(&expr, &given, want);
    };
    case("listagg", &texts, &[], false, false, "b,ä, c,b");
    case("listagg", &texts, &["; "], true, false, "b; ä, c");
    case("array_agg", &ints, &[], false, false, "[3, NULL, 1, 3]");
    case("array_agg", &ints, &[], false, true, "[3, 1, 3]");
    case("array_agg", &ints, &[], true, false, "[3, NULL, 1]");
    case("array_agg", &none, &[], false, true, "NULL");
    case("collect", &ints, &[], false, false, "{1=1, 3=2}");
    case("collect", &texts, &[], true, false, "{ä, c=1, b=1}");
    case("collect", &none, &[], false, false, "{}");
    case("json_arrayagg", &ints, &["ABSENT:v"], false, false, "[3,1,3]");
    case("json_arrayagg", &texts, &["NULL:v"], false, false, "[\"b\",null,\"ä, c\",\"b\"]");
    case("json_objectagg", &ints, &["NULL:v"], false, false, "{\"w\":3,\"x\":1,\"y\":null,\"z\":3}");
    case("json_objectagg", &ints, &["ABSENT:v"], false, false, "{\"w\":3,\"x\":1,\"z\":3}");
    case("sum", &ints, &[], true, false, "4");
    case("avg", &ints, &[], true, false, "2");
    case("stddev_pop", &none, &[], true, false, "NULL");
}

#[test]
fn rows_in_no_bag_are_not_kept() {
    let texts: Vec<String> = (0..1_000).map(|row| format!("{:0>100}", row % 2)).collect();
    let values: ArrayRef = Arc::new(StringArray::from(texts));
    let feed = |distinct: bool, filter: &BooleanArray, times: usize| {
        let expr = special("array_agg", values.data_type(), &[], distinct, false);
        let given = arguments("array_agg", &values, &[])[..expr.expressions().len()].to_vec();
        let mut groups = expr.create_groups_accumulator().unwrap();
        (0..times).for_each(|_| groups.update_batch(&given, &[0; 1_000], Some(filter), 1).unwrap());
        let size = groups.size();
        (size, groups.evaluate(EmitTo::All).unwrap().as_list::<i32>().value(0))
    };
    let all = BooleanArray::from(vec![true; 1_000]);
    let (size, items) = feed(true, &all, 50);
    assert_eq!(items.as_ref(), values.slice(0, 2).as_ref());
    assert!(size < 10_000, "DISTINCT keeps {size} bytes for two values");
    let one: BooleanArray = (0..1_000).map(|row| Some(row == 7)).collect();
    let (size, items) = feed(false, &one, 3);
    assert_eq!(items.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), [format!("{:0>100}", 1).as_str(); 3]);
    assert!(size < 10_000, "FILTER keeps {size} bytes for three values");
    assert_eq!(feed(false, &BooleanArray::from(vec![false; 1_000]), 3).1.len(), 0);
}

#[test]
fn distinct_of_counts_and_extremes_and_wrong_arguments() {
    assert!(function("listagg").coerce_types(&[DataType::Int32]).is_err());
    assert!(function("json_objectagg").coerce_types(&[DataType::Utf8, DataType::Int32, DataType::Int32]).is_err());
    let max = special("max", &DataType::Int64, &[], true, false);
    assert!(max.create_accumulator().is_ok());
    let twice = special("json_objectagg", &DataType::Int32, &["NULL:v"], false, false);
    let values: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let mut twice = twice.create_accumulator().unwrap();
    twice.update_batch(&arguments("json_objectagg", &values, &["k", "k"])).unwrap();
    assert!(twice.evaluate().unwrap_err().to_string().contains("the key \"k\" twice"));
    let distinct = || special("count", &DataType::Int64, &[], true, false).create_accumulator().unwrap();
    let mut count = distinct();
    count.update_batch(&[Arc::new(Int64Array::from(vec![Some(1), Some(1), None, Some(2)]))]).unwrap();
    let state = columns(&count.state().unwrap());
    let mut again = distinct();
    again.merge_batch(&through_ipc(state)).unwrap();
    again.update_batch(&[Arc::new(Int64Array::from(vec![2, 3]))]).unwrap();
    assert_eq!(again.evaluate().unwrap(), ScalarValue::Int64(Some(3)));
}

fn through_ipc(state: Vec<ArrayRef>) -> Vec<ArrayRef> {
    let batch = RecordBatch::try_from_iter_with_nullable(
        state.into_iter().enumerate().map(|(place, column)| (place.to_string(), column, true)),
    )
    .unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    let bytes = writer.into_inner().unwrap();
    StreamReader::try_new(bytes.as_slice(), None).unwrap().next().unwrap().unwrap().columns().to_vec()
}

/// State through a file into an empty accumulator, with many states of other groups beside it.
fn check_round_trip(name: &str, values: &ArrayRef) {
    let mut first = accumulator(name, values);
    let state = first.state().unwrap();
    let expr = call(name, values.data_type());
    let types: Vec<_> = expr.state_fields().unwrap().iter().map(|f| f.data_type().clone()).collect();
    let stored = through_ipc(columns(&state));
    assert_eq!(stored.iter().map(|c| c.data_type().clone()).collect::<Vec<_>>(), types, "{name}");
    let mut second = expr.create_accumulator().unwrap();
    second.merge_batch(&stored).unwrap();
    assert_eq!(bits(&second.state().unwrap()), bits(&state), "{name}");
    assert_eq!(bits(&[second.evaluate().unwrap()]), bits(&[first.evaluate().unwrap()]), "{name}");
    if !expr.groups_accumulator_supported() {
        return;
    }
    let mut groups = expr.create_groups_accumulator().unwrap();
    groups.merge_batch(&stored, &[2], 4).unwrap();
    let out = groups.state(EmitTo::All).unwrap();
    let third: Vec<_> = out.iter().map(|column| ScalarValue::try_from_array(column, 2).unwrap()).collect();
    assert_eq!(bits(&third), bits(&state), "{name} in groups");
}

#[test]
fn every_aggregate_of_special_doubles_survives_storage() {
    for values in [vec![], vec![-0.0], vec![-0.0, -0.0], vec![f64::NAN, 1.0], vec![f64::INFINITY, 2.0], vec![0.1; 3]] {
        ALL.into_iter().for_each(|name| check_round_trip(name, &doubles(values.clone())));
    }
    let text: ArrayRef = Arc::new(StringArray::from(vec!["b", "a"]));
    ["min", "max", "first_value", "last_value", "count"].into_iter().for_each(|name| check_round_trip(name, &text));
    let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![5, 3]).with_timezone("Asia/Tokyo"));
    ["min", "max", "first_value", "last_value", "count"].into_iter().for_each(|name| check_round_trip(name, &times));
}

#[test]
fn groups_skip_nulls_and_filtered_rows() {
    let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(4), Some(8)]));
    let mut groups = call("sum", &DataType::Int64).create_groups_accumulator().unwrap();
    let filter = BooleanArray::from(vec![Some(true), Some(true), Some(true), None, Some(false)]);
    groups.update_batch(&[Arc::clone(&values)], &[0, 1, 1, 0, 2], Some(&filter), 3).unwrap();
    let first = groups.evaluate(EmitTo::First(1)).unwrap();
    assert_eq!(first.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(1)]);
    groups.update_batch(&[values], &[0, 0, 0, 0, 0], None, 2).unwrap();
    let rest = groups.evaluate(EmitTo::All).unwrap();
    assert_eq!(rest.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(17), None]);
    assert!(groups.update_batch(&[Arc::new(Int64Array::from(vec![1]))], &[7], None, 1).is_err());
}

#[test]
fn wrong_state_columns_are_an_error() {
    let state: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    for name in ["sum", "avg", "var_pop", "min"] {
        let mut one = call(name, &DataType::Float64).create_accumulator().unwrap();
        assert!(one.merge_batch(&[Arc::clone(&state)]).is_err(), "{name}");
        assert!(one.merge_batch(&[]).is_err(), "{name}");
    }
}

fn close(left: &ScalarValue, right: &ScalarValue) -> bool {
    match (left, right) {
        (ScalarValue::Float64(Some(a)), ScalarValue::Float64(Some(b))) => {
            a.to_bits() == b.to_bits() || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
        }
        _ => left == right,
    }
}

/// Pieces of a column, merged in order, with a stop and start between any two.
fn merged(name: &str, values: &ArrayRef, cuts: &[usize]) -> ScalarValue {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (values.len() + 1)).chain([values.len()]).collect();
    ends.sort_unstable();
    let mut whole = call(name, values.data_type()).create_accumulator().unwrap();
    let mut start = 0;
    for end in ends {
        let mut part = accumulator(name, &values.slice(start, end - start));
        whole.merge_batch(&columns(&part.state().unwrap())).unwrap();
        let mut next = call(name, values.data_type()).create_accumulator().unwrap();
        next.merge_batch(&columns(&whole.state().unwrap())).unwrap();
        whole = next;
        start = end;
    }
    whole.evaluate().unwrap()
}

proptest! {
    #[test]
    fn merging_any_split_is_one_pass(
        values in prop::collection::vec(prop::option::weighted(0.9, 1.0..1000.0_f64), 0..60),
        cuts in prop::collection::vec(0..60_usize, 0..5),
    ) {
        let values: ArrayRef = Arc::new(Float64Array::from(values));
        for name in ALL {
            let (one, many) = (result(name, &values), merged(name, &values, &cuts));
            prop_assert!(close(&one, &many), "{}: {} is not {}", name, many, one);
        }
    }

    #[test]
    fn integers_are_exact_however_split(
        values in prop::collection::vec(prop::option::weighted(0.9, any::<i64>()), 0..60),
        cuts in prop::collection::vec(0..60_usize, 0..5),
    ) {
        let values: ArrayRef = Arc::new(Int64Array::from(values));
        for name in ["count", "sum", "avg", "min", "max", "first_value", "last_value"] {
            prop_assert_eq!(result(name, &values), merged(name, &values, &cuts), "{}", name);
        }
    }

    #[test]
    fn state_survives_bit_for_bit(values in prop::collection::vec(any::<f64>(), 0..20)) {
        ALL.into_iter().for_each(|name| check_round_trip(name, &doubles(values.clone())));
    }

    #[test]
    fn a_constant_signal_has_no_spread(value in -1e100..1e100_f64, rows in 1..200_usize, cut in 0..200_usize) {
        let values = doubles(vec![value; rows]);
        for name in ["var_pop", "stddev_pop"] {
            prop_assert_eq!(result(name, &values), ScalarValue::Float64(Some(0.0)));
            prop_assert_eq!(merged(name, &values, &[cut]), ScalarValue::Float64(Some(0.0)));
        }
    }

    #[test]
    fn groups_and_single_accumulators_agree_bit_for_bit(
        rows in prop::collection::vec((0..4_usize, prop::option::weighted(0.8, any::<f64>())), 1..60),
    ) {
        let indices: Vec<usize> = rows.iter().map(|(group, _)| *group).collect();
        let values: ArrayRef = Arc::new(rows.iter().map(|(_, value)| *value).collect::<Float64Array>());
        for name in ["sum", "avg", "min", "max", "var_pop", "stddev_samp"] {
            let mut groups = call(name, &DataType::Float64).create_groups_accumulator().unwrap();
            let state = groups.convert_to_state(&[Arc::clone(&values)], None).unwrap();
            groups.update_batch(&[Arc::clone(&values)], &indices, None, 4).unwrap();
            let all = groups.evaluate(EmitTo::All).unwrap();
            let mut from_rows = call(name, &DataType::Float64).create_groups_accumulator().unwrap();
            from_rows.merge_batch(&state, &indices, 4).unwrap();
            let from_rows = from_rows.evaluate(EmitTo::All).unwrap();
            for group in 0..4 {
                let own: Vec<ArrayRef> = (0..rows.len()).filter(|row| indices[*row] == group).map(|row| values.slice(row, 1)).collect();
                let own: Vec<&dyn Array> = own.iter().map(AsRef::as_ref).collect();
                let one = if own.is_empty() { doubles(vec![]) } else { concat(&own).unwrap() };
                let many = ScalarValue::try_from_array(&all, group).unwrap();
                let merged = ScalarValue::try_from_array(&from_rows, group).unwrap();
                prop_assert!(many.is_null() == merged.is_null(), "{}", name);
                prop_assert_eq!(bits(&[many]), bits(&[result(name, &one)]), "{}", name);
            }
        }
    }
}
