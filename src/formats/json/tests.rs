//! The cases of bad input J1–J30, what Flink 2.3 did with the same lines, and the properties.

use arrow::array::{AsArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use proptest::prelude::*;
use std::sync::Arc;

use super::*;
use crate::formats::testing::{Random, batch, list, map, options, row, scalar_types, schema};
use crate::formats::{BadValue, Decoder, Encoder};
use crate::limits::RECORD_BYTES_MAX;

const MS: TimeUnit = TimeUnit::Millisecond;

fn timestamp() -> DataType {
    DataType::Timestamp(MS, None)
}

/// The columns that most cases use.
fn columns() -> Vec<(&'static str, DataType)> {
    vec![
        ("id", DataType::Int32),
        ("s", DataType::Utf8),
        ("b", DataType::Int64),
        ("d", DataType::Float64),
        ("m", DataType::Decimal128(10, 2)),
        ("ok", DataType::Boolean),
        ("ts", timestamp()),
        ("a", list(DataType::Int32)),
        ("n", row(&[("x", DataType::Int32), ("y", DataType::Float64)])),
        ("k", map(DataType::Int32)),
        ("t", DataType::Int8),
    ]
}

fn decoder(columns: &[(&str, DataType)], pairs: &[(&str, &str)]) -> JsonDecoder {
    JsonDecoder::new(schema(columns), &options(pairs), "json.").unwrap()
}

/// The rows of `messages`, as our encoder writes them.
fn rows(columns: &[(&str, DataType)], pairs: &[(&str, &str)], messages: &[&str]) -> Vec<String> {
    let mut decoder = decoder(columns, pairs);
    for message in messages {
        decoder.push(message.as_bytes()).unwrap_or_else(|e| panic!("{message}: {e:?}"));
    }
    written(&decoder.finish().unwrap(), pairs)
}

fn written(batch: &RecordBatch, pairs: &[(&str, &str)]) -> Vec<String> {
    let mut encoder = JsonEncoder::new(batch.schema(), &options(pairs), "json.").unwrap();
    let rows = encoder.encode(batch).unwrap();
    rows.iter().map(|m| String::from_utf8(m.to_vec()).unwrap()).collect()
}

/// The error of one message between two good ones, which must not be harmed.
fn bad(message: &[u8]) -> BadValue {
    bad_in(&columns(), message)
}

fn bad_in(columns: &[(&str, DataType)], message: &[u8]) -> BadValue {
    let mut decoder = decoder(columns, &[]);
    let before = br#"{"id":1,"s":"before","a":[1],"k":{"z":1}}"#;
    let after = br#"{"id":2,"s":"after","a":[2,3],"k":{}}"#;
    decoder.push(before).unwrap();
    let bad = decoder.push(message).unwrap_err();
    decoder.push(after).unwrap();
    assert_eq!(decoder.rows(), 2);
    let batch = decoder.finish().unwrap();
    let mut alone = self::decoder(columns, &[]);
    alone.push(before).unwrap();
    alone.push(after).unwrap();
    assert_eq!(batch, alone.finish().unwrap(), "{}", String::from_utf8_lossy(message));
    assert!(bad.message.chars().count() < 240, "{bad:?}");
    bad
}

#[track_caller]
fn refused(message: &str, code: &str, field: Option<&str>) {
    let bad = bad(message.as_bytes());
    assert_eq!((bad.code, bad.field.as_deref()), (code, field), "{message}: {bad:?}");
}

#[test]
fn j1_to_j4_cut_doubled_and_followed_messages() {
    refused(r#"{"id":3,"s":"oops"#, "JSON_TRUNCATED", None);
    refused(r#"{"id":3"#, "JSON_TRUNCATED", None);
    // J2: the rest of a cut message must not be read into it
    let mut decoder = decoder(&columns(), &[]);
    assert_eq!(decoder.push(br#"{"id":1"#).unwrap_err().code, "JSON_TRUNCATED");
    assert_eq!(decoder.push(br#","s":"x"}"#).unwrap_err().code, "JSON_SYNTAX");
    assert_eq!(decoder.push(br#"{"id":2}"#), Ok(1));
    assert_eq!(decoder.finish().unwrap().num_rows(), 1);
    refused(r#"{"id":3}{"id":4}"#, "JSON_TRAILING", None);
    refused(r#"{"id":3}]"#, "JSON_TRAILING", None);
    refused(r#"[{"id":3}] x"#, "JSON_TRAILING", None);
}

#[test]
fn j5_to_j7_what_is_no_object() {
    refused("", "JSON_EMPTY", None);
    refused(" \n\t ", "JSON_EMPTY", None);
    refused("null", "JSON_TYPE", None);
    refused("17", "JSON_TYPE", None);
    refused("\"text\"", "JSON_TYPE", None);
    refused(r#"[{"id":3},4]"#, "JSON_TYPE", Some("[1]"));
    refused("[null]", "JSON_TYPE", Some("[0]"));
    refused(r#"[{"id":3},{"id":"x"}]"#, "JSON_TYPE", Some("[1].id"));
}

#[test]
fn j8_to_j12_encodings() {
    assert_eq!(bad(b"\xef\xbb\xbf{\"id\":3}").code, "JSON_UTF8");
    let utf16: Vec<u8> = r#"{"id":3}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(bad(&utf16).code, "JSON_UTF8");
    assert_eq!(bad(&[b"\xff\xfe", utf16.as_slice()].concat()).code, "JSON_UTF8");
    assert_eq!(bad(b"{\"s\":\"\xc3\x28\"}").code, "JSON_UTF8");
    assert_eq!(bad(b"{\"other\":\"\xff\"}").code, "JSON_UTF8");
    assert_eq!(bad(b"{\"s\":\"\xe2\x82").code, "JSON_TRUNCATED");
    for lone in [r"\ud83d", r"\ude00", r"\ud83d\u0041", r"\ud83dx"] {
        refused(&format!(r#"{{"s":"{lone}"}}"#), "JSON_UTF8", None);
        refused(&format!(r#"{{"nobody reads it":"{lone}"}}"#), "JSON_UTF8", None);
    }
    let text = rows(&[("s", DataType::Utf8)], &[], &[r#"{"s":"a\u0000b\ud83d\ude00"}"#]);
    assert_eq!(text, ["{\"s\":\"a\\u0000b😀\"}"]);
}

#[test]
fn j13_the_last_of_duplicate_fields_counts() {
    let messages = [r#"{"id":8,"id":9}"#, r#"{"id":1,"k":{"p":1,"q":2,"p":3}}"#];
    let columns = [("id", DataType::Int32), ("k", map(DataType::Int32))];
    assert_eq!(rows(&columns, &[], &messages), [r#"{"id":9,"k":null}"#, r#"{"id":1,"k":{"q":2,"p":3}}"#]);
}

#[test]
fn j14_to_j17_numbers() {
    refused(r#"{"b":9223372036854775808}"#, "JSON_RANGE", Some("b"));
    refused(r#"{"b":18446744073709551615}"#, "JSON_RANGE", Some("b"));
    refused(r#"{"id":2147483648}"#, "JSON_RANGE", Some("id"));
    refused(r#"{"t":1.5}"#, "JSON_TYPE", Some("t"));
    refused(r#"{"t":128}"#, "JSON_RANGE", Some("t"));
    refused(r#"{"b":1e19}"#, "JSON_RANGE", Some("b"));
    for word in ["NaN", "Infinity", "-Infinity", "0x10", "+1", "01", ".5", "1."] {
        refused(&format!(r#"{{"d":{word}}}"#), "JSON_SYNTAX", None);
    }
    refused(r#"{"d":"1,5"}"#, "JSON_TYPE", Some("d"));
    refused(r#"{"d":true}"#, "JSON_TYPE", Some("d"));
    // J15, J17: what Flink reads
    let columns = [("id", DataType::Int32), ("b", DataType::Int64), ("d", DataType::Float64)];
    let messages = [
        r#"{"id":1.5e0,"b":-1.9,"d":"NaN"}"#,
        r#"{"id":" 42 ","b":"007","d":" 1.5 "}"#,
        r#"{"id":-0,"b":9223372036854775807,"d":"-Infinity"}"#,
        r#"{"id":1,"b":1,"d":1e400}"#,
    ];
    assert_eq!(
        rows(&columns, &[], &messages),
        [
            r#"{"id":1,"b":-1,"d":"NaN"}"#,
            r#"{"id":42,"b":7,"d":1.5}"#,
            r#"{"id":0,"b":9223372036854775807,"d":"-Infinity"}"#,
            r#"{"id":1,"b":1,"d":"Infinity"}"#
        ]
    );
}

/// J18: Flink reads every text and number but `true` as FALSE.
#[test]
fn j18_booleans() {
    let columns = [("ok", DataType::Boolean)];
    let messages = [r#"{"ok":true}"#, r#"{"ok":"TRUE"}"#, r#"{"ok":"yes"}"#, r#"{"ok":1}"#, r#"{"ok":false}"#];
    let read: Vec<bool> = rows(&columns, &[], &messages).iter().map(|r| r.contains("true")).collect();
    assert_eq!(read, [true, true, false, false, false]);
    refused(r#"{"ok":[true]}"#, "JSON_TYPE", Some("ok"));
}

#[test]
fn j19_decimals() {
    let messages = [r#"{"m":1.235}"#, r#"{"m":"12345678.994"}"#, r#"{"m":123456789}"#, r#"{"m":1e2}"#];
    let plain = [("json.encode.decimal-as-plain-number", "true")];
    assert_eq!(
        rows(&[("m", DataType::Decimal128(10, 2))], &plain, &messages),
        [r#"{"m":1.24}"#, r#"{"m":12345678.99}"#, r#"{"m":null}"#, r#"{"m":100.00}"#]
    );
    refused(r#"{"m":"abc"}"#, "JSON_TYPE", Some("m"));
    let not_null = Arc::new(Schema::new(vec![Field::new("m", DataType::Decimal128(10, 2), false)]));
    let mut decoder = JsonDecoder::new(not_null, &options(&[]), "json.").unwrap();
    assert_eq!(decoder.push(br#"{"m":123456789}"#).unwrap_err().code, "NOT_NULL");
    assert_eq!(decoder.finish().unwrap().num_rows(), 0);
}

#[test]
fn j20_j21_time_stamps() {
    refused(r#"{"ts":"yesterday"}"#, "JSON_TIMESTAMP", Some("ts"));
    refused(r#"{"ts":"99999-01-01 00:00:00"}"#, "JSON_TIMESTAMP", Some("ts"));
    refused(r#"{"ts":"2016-12-31 23:59:60"}"#, "JSON_TIMESTAMP", Some("ts"));
    refused(r#"{"ts":"2024-03-01T10:00:00"}"#, "JSON_TIMESTAMP", Some("ts"));
    refused(r#"{"ts":true}"#, "JSON_TYPE", Some("ts"));
    for (number, unit) in [
        ("1709287200", "seconds"),
        ("1709287200000", "milliseconds"),
        ("1709287200000000", "microseconds"),
        ("1709287200000000000", "nanoseconds"),
        ("1709287200.25", "seconds"),
    ] {
        let bad = bad(format!(r#"{{"ts":{number}}}"#).as_bytes());
        assert_eq!(bad.code, "JSON_TIMESTAMP");
        assert!(bad.message.contains(unit) && bad.message.contains("TO_TIMESTAMP_LTZ"), "{bad:?}");
    }
    let messages = [r#"{"ts":"2024-03-01 10:00:00.123456"}"#, r#"{"ts":"2024-02-30 24:00:00"}"#];
    assert_eq!(
        rows(&[("ts", timestamp())], &[], &messages),
        [r#"{"ts":"2024-03-01 10:00:00.123"}"#, r#"{"ts":"2024-03-01 00:00:00"}"#]
    );
}

#[test]
fn j22_not_null() {
    let inner =
        Arc::new(Field::new("item", DataType::Struct(vec![Field::new("x", DataType::Int32, false)].into()), true));
    let fields = vec![Field::new("ts", timestamp(), false), Field::new("n", DataType::List(inner), true)];
    let schema = Arc::new(Schema::new(fields));
    for pairs in [&[][..], &[("json.ignore-parse-errors", "true")][..]] {
        let mut decoder = JsonDecoder::new(schema.clone(), &options(pairs), "json.").unwrap();
        let ts = r#""ts":"2024-03-01 10:00:00""#;
        decoder.push(format!(r#"{{{ts},"n":[{{"x":1}},null]}}"#).as_bytes()).unwrap();
        for (message, field) in [
            ("{}".to_owned(), "ts"),
            (r#"{"ts":null}"#.to_owned(), "ts"),
            (format!(r#"{{{ts},"n":[{{"x":1}},{{}}]}}"#), "n[1].x"),
        ] {
            let bad = decoder.push(message.as_bytes()).unwrap_err();
            assert_eq!((bad.code, bad.field.as_deref()), ("NOT_NULL", Some(field)), "{message}");
        }
        assert_eq!(decoder.finish().unwrap().num_rows(), 1);
    }
}

#[test]
fn j23_to_j25_shapes_and_names() {
    refused(r#"{"id":{"x":1}}"#, "JSON_TYPE", Some("id"));
    refused(r#"{"a":7}"#, "JSON_TYPE", Some("a"));
    refused(r#"{"a":[1,"x"]}"#, "JSON_TYPE", Some("a[1]"));
    refused(r#"{"n":[1]}"#, "JSON_TYPE", Some("n"));
    refused(r#"{"n":{"x":1,"y":"z"}}"#, "JSON_TYPE", Some("n.y"));
    refused(r#"{"k":{"p":"v"}}"#, "JSON_TYPE", Some("k.p"));
    let columns = [("Name", DataType::Utf8)];
    let messages = [r#"{"name":"lower","NAME":"upper","extra":[1,{"q":2}]}"#, r#"{"\u004eame":"escaped"}"#];
    assert_eq!(rows(&columns, &[], &messages), [r#"{"Name":null}"#, r#"{"Name":"escaped"}"#]);
}

#[test]
fn j26_sizes() {
    let wide: String = (0..10_000).map(|i| format!("\"f{i}\":{i},")).collect();
    let mut decoder = decoder(&columns(), &[]);
    for _ in 0..2 {
        assert_eq!(decoder.push(format!("{{{wide}\"id\":7}}").as_bytes()), Ok(1));
    }
    assert_eq!(written(&decoder.finish().unwrap(), &[])[1].find("\"id\":7"), Some(1));
    refused(&format!(r#"{{"x":{}"#, "[".repeat(100_000)), "JSON_DEPTH", None);
    refused(&format!(r#"{{"x":{}{}}}"#, "[".repeat(100), "]".repeat(100)), "JSON_DEPTH", None);
    assert_eq!(rows(&[], &[], &[&format!(r#"{{"x":{}{}}}"#, "[".repeat(99), "]".repeat(99))]), ["{}"]);
    refused(&format!(r#"{{"s":"{}"}}"#, "x".repeat(RECORD_BYTES_MAX)), "TOO_LARGE", None);
}

#[test]
fn j27_to_j30_what_is_not_json() {
    refused(r#"{"id":1 "s":"x"}"#, "JSON_SYNTAX", None);
    refused(r#"{"id":1,,"s":"x"}"#, "JSON_SYNTAX", None);
    refused(r#"{"id":1,}"#, "JSON_SYNTAX", None);
    refused("{'id':1}", "JSON_SYNTAX", None);
    refused("<html><body>502 Bad Gateway</body></html>", "JSON_SYNTAX", None);
    assert_eq!(bad(b"\x1f\x8b\x08\x00\x00\x00\x00\x00").code, "JSON_UTF8");
    // J28 is for `max_future_skew`: the time stamp itself is good.
    assert_eq!(rows(&[("ts", timestamp())], &[], &[r#"{"ts":"1970-01-01 00:00:00"}"#]).len(), 1);
}

#[test]
fn a_message_shows_little_of_the_payload() {
    let secret = "s3cret".repeat(100);
    let bad = bad(format!(r#"{{"k":{{"{secret}":"{secret}"}}}}"#).as_bytes());
    assert!(bad.message.len() < 100 && bad.field.as_ref().is_some_and(|f| f.len() < 50), "{bad:?}");
}

/// Lines and rows of a real Flink 2.3 (ignore-parse-errors).
#[test]
fn ignoring_errors_as_flink_does() {
    let columns = [
        ("id", DataType::Int32),
        ("i", DataType::Int32),
        ("d", DataType::Float64),
        ("ts", timestamp()),
        ("dt", DataType::Date32),
        ("a", list(DataType::Int32)),
        ("n", row(&[("x", DataType::Int32), ("y", DataType::Float64)])),
        ("m", map(DataType::Int32)),
    ];
    let messages = [
        r#"{"id":1,"i":1,"d":1.5,"ts":"2024-03-01 10:00:00","dt":"2024-03-01","a":[1,2],"n":{"x":1,"y":2},"m":{"k":1}}"#,
        "not json at all",
        r#"{"id":2,"i":"abc","d":"xyz"}"#,
        r#"{"id":3,"ts":"2024-03-01T10:00:00","dt":"01.03.2024"}"#,
        r#"{"id":4,"a":[1,"x",3],"n":{"x":"bad","y":1.5},"m":{"k":"v","l":2}}"#,
        r#"{"id":5,"a":"nope","n":7,"m":[1]}"#,
        "",
        r#"{"id":6,"#,
        r#"[{"id":7},{"id":8}]"#,
        "\"text\"",
        r#"{"id":"nine"}"#,
        r#"{"id":10,"ts":1709287200000,"i":99999999999}"#,
        "null",
        r#"{"id":11,"n":{"x":1},"a":[null,1]}"#,
        r#"{"id":12,"i":1.5e0,"ts":"2024-02-30 00:00:00"}"#,
    ];
    let expected = [
        r#"{"id":1,"i":1,"d":1.5,"ts":"2024-03-01 10:00:00","dt":"2024-03-01","a":[1,2],"n":{"x":1,"y":2.0},"m":{"k":1}}"#,
        r#"{"id":2,"i":null,"d":null,"ts":null,"dt":null,"a":null,"n":null,"m":null}"#,
        r#"{"id":3,"i":null,"d":null,"ts":null,"dt":null,"a":null,"n":null,"m":null}"#,
        r#"{"id":4,"i":null,"d":null,"ts":null,"dt":null,"a":[1,null,3],"n":{"x":null,"y":1.5},"m":{"l":2,"k":null}}"#,
        r#"{"id":5,"i":null,"d":null,"ts":null,"dt":null,"a":null,"n":null,"m":null}"#,
        r#"{"id":7,"i":null,"d":null,"ts":null,"dt":null,"a":null,"n":null,"m":null}"#,
        r#"{"id":8,"i":null,"d":null,"ts":null,"dt":null,"a":null,"n":null,"m":null}"#,
        r#"{"id":null,"i":null,"d":null,"ts":null,"dt":null,"a":null,"n":null,"m":null}"#,
        r#"{"id":10,"i":null,"d":null,"ts":null,"dt":null,"a":null,"n":null,"m":null}"#,
        r#"{"id":11,"i":null,"d":null,"ts":null,"dt":null,"a":[null,1],"n":{"x":1,"y":null},"m":null}"#,
        r#"{"id":12,"i":1,"d":null,"ts":"2024-02-29 00:00:00","dt":null,"a":null,"n":null,"m":null}"#,
    ];
    assert_eq!(rows(&columns, &[("json.ignore-parse-errors", "true")], &messages), expected);
}

/// Lines and rows of a real Flink 2.3.
#[test]
fn nested_values_as_flink_reads_them() {
    let columns = [
        ("id", DataType::Int32),
        ("attrs", map(DataType::Float64)),
        ("grps", list(list(DataType::Int32))),
        ("lookup", map(row(&[("a", DataType::Int32), ("b", DataType::Utf8)]))),
        ("bag", list(map(DataType::Int32))),
    ];
    let messages = [
        r#"{"id":1,"attrs":{"t":1.5,"h":2},"grps":[[1,2,3],[4]],"lookup":{"x":{"a":1,"b":"p"},"y":{"a":2}},"bag":[{"k":1},{"k":2}]}"#,
        r#"{"id":2,"attrs":{},"grps":[],"lookup":{},"bag":[]}"#,
        r#"{"id":3,"attrs":{"t":null},"grps":[[],null],"lookup":{"x":null},"bag":[null,{"z":1}]}"#,
        r#"{"id":5,"attrs":{"t":"7.5"},"grps":[[9]],"lookup":{"y":{"b":5}},"bag":[{"k":"3"},{"k":"4"}]}"#,
    ];
    let expected = [
        r#"{"id":1,"attrs":{"h":2.0,"t":1.5},"grps":[[1,2,3],[4]],"lookup":{"x":{"a":1,"b":"p"},"y":{"a":2,"b":null}},"bag":[{"k":1},{"k":2}]}"#,
        r#"{"id":2,"attrs":{},"grps":[],"lookup":{},"bag":[]}"#,
        r#"{"id":3,"attrs":{"t":null},"grps":[[],null],"lookup":{"x":null},"bag":[null,{"z":1}]}"#,
        r#"{"id":5,"attrs":{"t":7.5},"grps":[[9]],"lookup":{"y":{"a":null,"b":"5"}},"bag":[{"k":3},{"k":4}]}"#,
    ];
    assert_eq!(rows(&columns, &[], &messages), expected);
}

#[test]
fn a_string_column_takes_any_value() {
    let messages = [
        r#"{"s":"plain"}"#,
        r#"{"s":1.50}"#,
        r#"{"s":true}"#,
        r#"{"s":null}"#,
        r#"{"s":"a\"\\\u00e4\n"}"#,
        r#"{"s": { "b" : [ 1 , 2.50 , "\u00e4\/" , null , { } ] , "a" : 1e3 } }"#,
        r#"{"s":[ ]}"#,
    ];
    let mut decoder = decoder(&[("s", DataType::Utf8)], &[]);
    messages.iter().for_each(|m| assert_eq!(decoder.push(m.as_bytes()), Ok(1)));
    let batch = decoder.finish().unwrap();
    let texts: Vec<Option<&str>> = batch.column(0).as_string::<i32>().iter().collect();
    let nested = r#"{"b":[1,2.5,"ä/",null,{}],"a":1000.0}"#;
    let expected = [Some("plain"), Some("1.50"), Some("true"), None, Some("a\"\\ä\n"), Some(nested), Some("[]")];
    assert_eq!(texts, expected);
}

#[test]
fn arrays_of_objects_are_rows_and_an_empty_one_is_none() {
    let columns = [("id", DataType::Int32)];
    let mut decoder = decoder(&columns, &[]);
    assert_eq!(decoder.push(br#"[{"id":2},{"id":3}]"#), Ok(2));
    assert_eq!(decoder.push(b"[]"), Ok(0));
    assert_eq!(decoder.push(b" [ { \"id\" : 4 } ] "), Ok(1));
    assert_eq!(written(&decoder.finish().unwrap(), &[]), [r#"{"id":2}"#, r#"{"id":3}"#, r#"{"id":4}"#]);
    let ignoring = rows(&columns, &[("json.ignore-parse-errors", "true")], &[r#"[{"id":1},7,{"id":2}]"#]);
    assert_eq!(ignoring, [r#"{"id":1}"#, r#"{"id":2}"#]);
}

#[test]
fn missing_fields_fail_where_asked() {
    let pairs = [("json.fail-on-missing-field", "true")];
    let mut decoder = decoder(&[("id", DataType::Int32), ("n", row(&[("x", DataType::Int32)]))], &pairs);
    assert_eq!(decoder.push(br#"{"id":null,"n":{"x":null}}"#), Ok(1));
    for (message, field) in [(r#"{"id":1}"#, "n"), (r#"{"id":1,"n":{}}"#, "n.x")] {
        let bad = decoder.push(message.as_bytes()).unwrap_err();
        assert_eq!((bad.code, bad.field.as_deref()), ("MISSING_FIELD", Some(field)));
    }
}

#[test]
fn time_zones_and_styles() {
    let columns =
        [("ts", timestamp()), ("lz", DataType::Timestamp(TimeUnit::Nanosecond, Some("Europe/Berlin".into())))];
    let iso = [("json.timestamp-format.standard", "ISO-8601")];
    let messages = [r#"{"ts":"2024-03-01T10:00:00.120","lz":"1969-12-31T23:59:59.999Z"}"#];
    let expected = [r#"{"ts":"2024-03-01T10:00:00.12","lz":"1969-12-31T23:59:59.999Z"}"#];
    assert_eq!(rows(&columns, &iso, &messages), expected);
    let sql = [r#"{"ts":"2024-03-01 10:00:00","lz":"2024-03-01 10:00:00Z"}"#];
    assert_eq!(rows(&columns, &[], &sql), sql);
    let without_z = bad_in(&columns, br#"{"lz":"2024-03-01 10:00:00"}"#);
    assert_eq!(without_z.code, "JSON_TIMESTAMP");
}

#[test]
fn options_of_the_encoder() {
    let columns = [
        ("id", DataType::Int32),
        ("n", row(&[("x", DataType::Int32), ("y", DataType::Float64)])),
        ("a", list(DataType::Int32)),
    ];
    let ignore = [("json.encode.ignore-null-fields", "true")];
    let messages = [r#"{"n":{"y":1.0},"a":[null]}"#, r#"{"id":6}"#];
    assert_eq!(rows(&columns, &ignore, &messages), [r#"{"n":{"y":1.0},"a":[null]}"#, r#"{"id":6}"#]);
}

#[test]
fn null_keys_are_refused_dropped_or_named() {
    let data_type = map(DataType::Int32);
    let schema = schema(&[("m", data_type.clone())]);
    let keys = Arc::new(StringArray::from(vec![None, Some("a"), Some("null"), None, Some("b"), None]));
    let values = Arc::new(Int32Array::from(vec![Some(1), Some(2), Some(3), Some(4), None, Some(5)]));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([3, 1, 2, 0]);
    let maps = crate::table::map::map_array(&data_type, offsets, keys, values, None).unwrap();
    let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(maps)]).unwrap();
    let written = |pairs: &[(&str, &str)]| -> Result<Vec<String>> {
        let encoded = JsonEncoder::new(schema.clone(), &options(pairs), "json.")?.encode(&batch)?;
        Ok(encoded.iter().map(|row| String::from_utf8(row.to_vec()).unwrap()).collect())
    };
    let mode = "json.map-null-key.mode";
    assert!(written(&[]).unwrap_err().message().contains("a key of a map is NULL"));
    let dropped = [r#"{"m":{"a":2,"null":3}}"#, r#"{"m":{}}"#, r#"{"m":{"b":null}}"#, r#"{"m":{}}"#];
    assert_eq!(written(&[(mode, "DROP")]).unwrap(), dropped);
    let named = [r#"{"m":{"null":3,"a":2}}"#, r#"{"m":{"null":4}}"#, r#"{"m":{"b":null,"null":5}}"#, r#"{"m":{}}"#];
    assert_eq!(written(&[(mode, "LITERAL")]).unwrap(), named);
    let own = written(&[(mode, "literal"), ("json.map-null-key.literal", "b")]).unwrap();
    assert_eq!(own[2], r#"{"m":{"b":5}}"#);
}

#[test]
fn wrong_options_and_types_are_configuration_errors() {
    let make = |columns: &[(&str, DataType)], pairs: &[(&str, &str)]| {
        JsonDecoder::new(schema(columns), &options(pairs), "value.json.").map(drop).map_err(|e| e.to_string())
    };
    for (name, value) in [
        ("value.json.ignore-parse-errors", "yes"),
        ("value.json.timestamp-format.standard", "RFC"),
        ("value.json.map-null-key.mode", "SKIP"),
        ("value.json.decode.json-parser.enabled", "2"),
    ] {
        let error = make(&columns(), &[(name, value)]).unwrap_err();
        assert!(error.contains(name) && error.contains(value), "{error}");
    }
    let both = [("value.json.ignore-parse-errors", "true"), ("value.json.fail-on-missing-field", "true")];
    assert!(make(&columns(), &both).is_err());
    let int_keys = crate::table::map::map_type(DataType::Int32, DataType::Int32, true);
    assert!(make(&[("k", int_keys)], &[]).unwrap_err().contains("MAP"));
    assert!(make(&[("i", DataType::Interval(arrow::datatypes::IntervalUnit::DayTime))], &[]).is_err());
    assert_eq!(make(&columns(), &[("value.json.timestamp-format.standard", "iso-8601")]), Ok(()));
}

/// Every type, alone and nested.
fn everything() -> arrow::datatypes::SchemaRef {
    let mut columns: Vec<(String, DataType)> = Vec::new();
    for (at, scalar) in scalar_types().into_iter().enumerate() {
        columns.push((format!("list \"{at}\""), list(scalar.clone())));
        columns.push((format!("map {at}"), map(scalar.clone())));
        columns.push((format!("ä{at}"), scalar));
    }
    let all: Vec<(String, DataType)> = columns.clone();
    let all: Vec<(&str, DataType)> = all.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    columns.push(("rows".into(), list(row(&all))));
    columns.push(("deep".into(), map(list(row(&[("m", map(row(&[("x", DataType::Utf8)])))])))));
    let columns: Vec<(&str, DataType)> = columns.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    schema(&columns)
}

/// One of many ways to spoil a message.
fn spoil(message: &[u8], random: &mut Random) -> Vec<u8> {
    let mut message = message.to_vec();
    let at = random.below(message.len());
    match random.below(6) {
        0 => message.truncate(at),
        1 => message[at] = random.next() as u8,
        2 => message.insert(at, b"{}[]\",:\\0 \xff"[random.below(11)]),
        3 => drop(message.remove(at)),
        4 => drop(message.drain(..at)),
        _ => message.rotate_left(at),
    }
    message
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn decoding_what_was_encoded_gives_the_same(seed: u64, iso: bool, ignore_null: bool, plain: bool, blanks: bool) {
        let pairs = [
            ("json.timestamp-format.standard", if iso { "ISO-8601" } else { "SQL" }),
            ("json.encode.ignore-null-fields", if ignore_null { "true" } else { "false" }),
            ("json.encode.decimal-as-plain-number", if plain { "true" } else { "false" }),
        ];
        let schema = everything();
        let mut decoder = JsonDecoder::new(schema.clone(), &options(&pairs), "json.").unwrap();
        let mut encoder = JsonEncoder::new(schema.clone(), &options(&pairs), "json.").unwrap();
        for round in 0..2 {
            let rows = batch(&schema, 6, &mut Random(seed ^ round));
            for message in encoder.encode(&rows).unwrap().iter() {
                let value = serde_json::from_slice::<serde_json::Value>(message);
                prop_assert!(value.is_ok(), "{}", String::from_utf8_lossy(message));
                let message = if blanks { [b" ", message, b"\n"].concat() } else { message.to_vec() };
                prop_assert_eq!(decoder.push(&message), Ok(1), "{}", String::from_utf8_lossy(&message));
            }
            prop_assert_eq!(decoder.finish().unwrap(), rows);
        }
    }

    #[test]
    fn the_order_of_fields_does_not_matter(orders in prop::collection::vec(Just((0..6usize).collect::<Vec<_>>()).prop_shuffle(), 1..8)) {
        let fields = [r#""id":1"#, r#""s":"x""#, r#""b":2"#, r#""other":{"id":9}"#, r#""d":2.5"#, r#""n":{"y":1.0,"x":3}"#];
        let mut decoder = decoder(&columns(), &[]);
        for order in &orders {
            let texts: Vec<&str> = order.iter().map(|at| fields[*at]).collect();
            decoder.push(format!("{{{}}}", texts.join(",")).as_bytes()).unwrap();
        }
        let first = r#"{"id":1,"s":"x","b":2,"d":2.5,"m":null,"ok":null,"ts":null,"a":null,"n":{"x":3,"y":1.0},"k":null,"t":null}"#;
        prop_assert!(written(&decoder.finish().unwrap(), &[]).iter().all(|r| r == first));
    }

    #[test]
    fn a_spoilt_message_never_harms_its_neighbours(seed: u64, ignore: bool) {
        let pairs = [("json.ignore-parse-errors", if ignore { "true" } else { "false" })];
        let schema = everything();
        let mut random = Random(seed);
        let rows = batch(&schema, 5, &mut random);
        let messages = JsonEncoder::new(schema.clone(), &options(&[]), "json.").unwrap().encode(&rows).unwrap();
        let mut decoder = JsonDecoder::new(schema, &options(&pairs), "json.").unwrap();
        let mut places = Vec::new();
        for message in messages.iter() {
            for _ in 0..4 {
                let before = decoder.rows();
                let appended = decoder.push(&spoil(message, &mut random)).unwrap_or(0);
                prop_assert_eq!(decoder.rows(), before + appended);
            }
            places.push(decoder.rows());
            prop_assert_eq!(decoder.push(message), Ok(1));
        }
        let read = decoder.finish().unwrap();
        for (at, place) in places.iter().enumerate() {
            prop_assert_eq!(read.slice(*place, 1), rows.slice(at, 1));
        }
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..60), text in r#"[\[\]{},:"\\ntruesidk0-9.eE+ -]{0,40}"#) {
        let mut decoder = decoder(&columns(), &[]);
        for message in [bytes.as_slice(), text.as_bytes()] {
            let before = decoder.rows();
            let appended = decoder.push(message).unwrap_or(0);
            prop_assert_eq!(decoder.rows(), before + appended);
        }
        prop_assert!(decoder.finish().is_ok());
    }
}
