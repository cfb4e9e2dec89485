//! The cases of bad input C1–C10, what Flink 2.3 did with the same lines, and the properties.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use proptest::prelude::*;

use super::*;
use crate::formats::testing::{Random, batch, list, map, options, row, scalar_types, schema};
use crate::formats::{BadValue, Decoder, Encoder};
use crate::limits::RECORD_BYTES_MAX;

/// A string, a number and a truth value.
fn columns() -> Vec<(&'static str, DataType)> {
    vec![("s", DataType::Utf8), ("i", DataType::Int32), ("ok", DataType::Boolean)]
}

fn read(columns: &[(&str, DataType)], pairs: &[(&str, &str)], lines: &[&str]) -> Result<RecordBatch, BadValue> {
    let mut decoder = CsvDecoder::new(schema(columns), &options(pairs), "csv.").unwrap();
    for line in lines {
        decoder.push(line.as_bytes())?;
    }
    Ok(decoder.finish().unwrap())
}

fn written(batch: &RecordBatch, pairs: &[(&str, &str)]) -> Vec<String> {
    let mut encoder = CsvEncoder::new(batch.schema(), &options(pairs), "csv.").unwrap();
    let rows = encoder.encode(batch).unwrap();
    rows.iter().map(|m| String::from_utf8(m.to_vec()).unwrap()).collect()
}

/// The rows of `lines` as JSON, which shows what is NULL.
fn rows(columns: &[(&str, DataType)], pairs: &[(&str, &str)], lines: &[&str]) -> Vec<String> {
    let batch = read(columns, pairs, lines).unwrap();
    let mut encoder = crate::formats::encoder("json", batch.schema(), &options(&[]), "json.").unwrap();
    encoder.encode(&batch).unwrap().iter().map(|m| String::from_utf8(m.to_vec()).unwrap()).collect()
}

#[track_caller]
fn refused(line: &[u8], code: &str) {
    let mut decoder = CsvDecoder::new(schema(&columns()), &options(&[]), "csv.").unwrap();
    assert_eq!(decoder.push(b"before,1,true"), Ok(1));
    let bad = decoder.push(line).unwrap_err();
    assert_eq!(bad.code, code, "{bad:?}");
    assert_eq!(decoder.push(b"after,2,false"), Ok(1));
    let expected = read(&columns(), &[], &["before,1,true", "after,2,false"]).unwrap();
    assert_eq!(decoder.finish().unwrap(), expected);
}

#[test]
fn c1_to_c3_records_that_do_not_fit() {
    refused(b"a,1", "CSV_COLUMNS");
    refused(b"a,1,true,x", "CSV_COLUMNS");
    refused(b"", "CSV_COLUMNS");
    refused(b"\"a,1,true", "CSV_QUOTE");
    refused(b"\"a\"b,1,true", "CSV_QUOTE");
    refused(b"a,1,true\nb,2,true", "CSV_SYNTAX");
    assert_eq!(rows(&columns(), &[], &["\"a\nb\",1,true\r\n"]), [r#"{"s":"a\nb","i":1,"ok":true}"#]);
}

#[test]
fn c4_to_c10_texts() {
    let lines = ["\"a,b\",1,true", "\"said \"\"hot\"\"\" ,2,", "a\"b,3,x", "=cmd|' /C calc'!A0,4,TRUE", "\u{feff}ä,5,"];
    let expected = [
        r#"{"s":"a,b","i":1,"ok":true}"#,
        r#"{"s":"said \"hot\"","i":2,"ok":false}"#,
        r#"{"s":"a\"b","i":3,"ok":false}"#,
        r#"{"s":"=cmd|' /C calc'!A0","i":4,"ok":true}"#,
        r#"{"s":"ä","i":5,"ok":false}"#,
    ];
    assert_eq!(rows(&columns(), &[], &lines), expected);
    refused(b"s,i,ok", "CSV_TYPE");
    refused(b"\xe4,1,true", "CSV_UTF8");
    refused("x".repeat(RECORD_BYTES_MAX + 1).as_bytes(), "TOO_LARGE");
    let long = "x".repeat(1_000_000);
    assert_eq!(read(&columns(), &[], &[&format!("{long},1,true")]).unwrap().num_rows(), 1);
}

#[test]
fn empty_fields() {
    refused(b"a,,true", "CSV_TYPE");
    assert_eq!(rows(&columns(), &[], &[",1,"]), [r#"{"s":"","i":1,"ok":false}"#]);
    let null = [("csv.null-literal", "")];
    assert_eq!(
        rows(&columns(), &null, &[",,", "\"\",1,"]),
        [r#"{"s":null,"i":null,"ok":null}"#, r#"{"s":null,"i":1,"ok":null}"#]
    );
    let arrays = [("a", list(DataType::Int32)), ("s", DataType::Utf8)];
    assert_eq!(rows(&arrays, &[], &[",x", "1;2,y"]), [r#"{"a":[],"s":"x"}"#, r#"{"a":[1,2],"s":"y"}"#]);
}

#[test]
fn ignored_errors_pad_and_drop() {
    let ignore = [("csv.ignore-parse-errors", "true")];
    let lines = ["a", "b,x,true", "c,1,true,4", "\"d,1,true", "e,99999999999,true"];
    let expected =
        [r#"{"s":"a","i":null,"ok":null}"#, r#"{"s":"b","i":null,"ok":true}"#, r#"{"s":"e","i":null,"ok":true}"#];
    assert_eq!(rows(&columns(), &ignore, &lines), expected);
    let not_null = Arc::new(Schema::new(vec![Field::new("i", DataType::Int32, false)]));
    let mut decoder = CsvDecoder::new(not_null, &options(&ignore), "csv.").unwrap();
    let bad = decoder.push(b"x").unwrap_err();
    assert_eq!((bad.code, bad.field.as_deref()), ("NOT_NULL", Some("i")));
}

#[test]
fn delimiters_quotes_escapes_and_comments() {
    let pairs = [
        ("csv.field-delimiter", "\\t"),
        ("csv.quote-character", "'"),
        ("csv.escape-character", "\\"),
        ("csv.allow-comments", "true"),
        ("csv.array-element-delimiter", "--"),
    ];
    let columns = [
        ("s", DataType::Utf8),
        ("a", list(DataType::Int64)),
        ("r", row(&[("x", DataType::Int8), ("y", DataType::Utf8)])),
    ];
    let lines = ["# a comment", "'it''s'\t1--2\t7--y", "a\\\tb\\n\\\\\t\t7--"];
    let expected = [r#"{"s":"it's","a":[1,2],"r":{"x":7,"y":"y"}}"#, r#"{"s":"a\tb\n\\","a":[],"r":{"x":7,"y":""}}"#];
    assert_eq!(rows(&columns, &pairs, &lines), expected);
    let bad = read(&columns, &pairs, &["a\t1\tx--y"]).unwrap_err();
    assert_eq!((bad.code, bad.field.as_deref()), ("CSV_TYPE", Some("r.x")));
    let bad = read(&columns, &pairs, &["a\t1\t1--y--z"]).unwrap_err();
    assert_eq!(bad.code, "CSV_COLUMNS");
    let unquoted = [("csv.disable-quote-character", "true")];
    assert_eq!(rows(&self::columns(), &unquoted, &["\"a,1,true"]), [r#"{"s":"\"a","i":1,"ok":true}"#]);
}

/// Lines of a real Flink 2.3, read and written.
#[test]
fn lines_as_flink_writes_them() {
    let columns = [
        ("device_id", DataType::Utf8),
        ("ts", DataType::Timestamp(TimeUnit::Millisecond, None)),
        ("v", DataType::Float64),
        ("note", DataType::Utf8),
        ("seq", DataType::Int32),
        ("flag", DataType::Boolean),
        ("d", DataType::Decimal128(10, 2)),
    ];
    let null = [("csv.null-literal", "")];
    let lines = [
        "device_0,\"2024-03-01 08:00:02\",28.82,,0,true,28.82",
        "device_0,\"2024-03-01 08:00:14\",15.86,\"needs check\",9,true,15.86",
        "device_0,\"2024-03-01 08:00:35\",,fine,23,,",
        "device_0,\"2024-03-01 08:00:50\",21.76,\"a,b\",33,true,21.76",
        "device_0,\"2024-03-01 08:01:16\",26.8,\"said \"\"hot\"\"\",52,true,26.8",
    ];
    assert_eq!(written(&read(&columns, &null, &lines).unwrap(), &null), lines);
}

#[test]
fn long_texts_are_quoted_and_what_has_no_form_is_refused() {
    let batch =
        read(&[("s", DataType::Utf8)], &[], &["abcdefghijklmnopqrstuvwx", "abcdefghijklmnopqrstuvwxy", "\"a\nb\""])
            .unwrap();
    assert_eq!(written(&batch, &[])[..2], ["abcdefghijklmnopqrstuvwx", "\"abcdefghijklmnopqrstuvwxy\""]);
    let unquoted = [("csv.disable-quote-character", "true")];
    let mut encoder = CsvEncoder::new(batch.schema(), &options(&unquoted), "csv.").unwrap();
    assert_eq!(encoder.encode(&batch).unwrap_err().kind(), crate::error::ErrorKind::Data);
    let escaped = [("csv.disable-quote-character", "true"), ("csv.escape-character", "\\")];
    assert_eq!(written(&batch, &escaped)[2], "a\\nb");
    let hundred = read(&[("m", DataType::Decimal128(10, 2))], &[], &["100"]).unwrap();
    assert_eq!(written(&hundred, &[]), ["1E+2"]);
    assert_eq!(written(&hundred, &[("csv.write-bigdecimal-in-scientific-notation", "false")]), ["100"]);
}

#[test]
fn wrong_options_and_types_are_configuration_errors() {
    let make = |columns: &[(&str, DataType)], pairs: &[(&str, &str)]| {
        CsvDecoder::new(schema(columns), &options(pairs), "csv.").map(drop).map_err(|e| e.to_string())
    };
    for (name, value) in [
        ("csv.field-delimiter", "ab"),
        ("csv.field-delimiter", ""),
        ("csv.field-delimiter", "€"),
        ("csv.field-delimiter", "\""),
        ("csv.allow-comments", "1"),
        ("csv.array-element-delimiter", ""),
        ("csv.quote-character", "\\x"),
    ] {
        let error = make(&columns(), &[(name, value)]).unwrap_err();
        assert!(error.contains(name), "{error}");
    }
    assert!(make(&columns(), &[("csv.quote-character", "'"), ("csv.disable-quote-character", "true")]).is_err());
    assert_eq!(make(&columns(), &[("csv.field-delimiter", "\\u0001")]), Ok(()));
    assert!(make(&[("k", map(DataType::Int32))], &[]).unwrap_err().contains("MAP"));
    assert!(make(&[("a", list(list(DataType::Int32)))], &[]).unwrap_err().contains("\"a\""));
}

/// Every type that CSV can hold; nested ones of types whose text has no delimiter in it.
fn everything() -> arrow::datatypes::SchemaRef {
    let mut columns: Vec<(String, DataType)> = Vec::new();
    for (at, scalar) in scalar_types().into_iter().enumerate() {
        if scalar != DataType::Utf8 {
            columns.push((format!("list{at}"), list(scalar.clone())));
            columns.push((format!("row{at}"), row(&[("x", scalar.clone()), ("y", DataType::Int16)])));
        }
        columns.push((format!("c{at}"), scalar));
    }
    let columns: Vec<(&str, DataType)> = columns.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    schema(&columns)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn decoding_what_was_encoded_gives_the_same(seed: u64, style in 0usize..4) {
        let null = ("csv.null-literal", "<null>");
        let styles = [
            vec![null],
            vec![null, ("csv.field-delimiter", ";"), ("csv.array-element-delimiter", "|")],
            vec![null, ("csv.quote-character", "'"), ("csv.escape-character", "\\")],
            vec![null, ("csv.disable-quote-character", "true"), ("csv.escape-character", "\\")],
        ];
        let pairs = &styles[style];
        let schema = everything();
        let rows = batch(&schema, 6, &mut Random(seed));
        let mut encoder = CsvEncoder::new(schema.clone(), &options(pairs), "csv.").unwrap();
        let mut decoder = CsvDecoder::new(schema, &options(pairs), "csv.").unwrap();
        let messages = encoder.encode(&rows).unwrap();
        for message in messages.iter() {
            prop_assert_eq!(decoder.push(message), Ok(1), "{}", String::from_utf8_lossy(message));
        }
        let back = decoder.finish().unwrap();
        for (at, field) in rows.schema().fields().iter().enumerate() {
            // An array of one NULL or one empty text has the text of another value: only that must be kept.
            if !matches!(field.data_type(), DataType::List(_)) {
                prop_assert_eq!(back.column(at), rows.column(at), "{}", field);
            }
        }
        prop_assert_eq!(encoder.encode(&back).unwrap().bytes, messages.bytes);
    }

    #[test]
    fn a_spoilt_line_never_harms_its_neighbours(lines in prop::collection::vec("[a1,\"; \\\\\n#é]{0,14}", 1..12), ignore: bool) {
        let pairs = [("csv.ignore-parse-errors", if ignore { "true" } else { "false" }), ("csv.escape-character", "\\")];
        let mut decoder = CsvDecoder::new(schema(&columns()), &options(&pairs), "csv.").unwrap();
        let mut places = Vec::new();
        for line in &lines {
            let before = decoder.rows();
            let appended = decoder.push(line.as_bytes()).unwrap_or(0);
            prop_assert_eq!(decoder.rows(), before + appended);
            places.push(decoder.rows());
            prop_assert_eq!(decoder.push(b"good,7,true"), Ok(1));
        }
        let good = read(&columns(), &[], &["good,7,true"]).unwrap();
        let read = decoder.finish().unwrap();
        prop_assert!(places.iter().all(|place| read.slice(*place, 1) == good));
    }
}

/// What Flink 2.3 makes of them: an empty field is no row, and an array is never NULL as a whole.
#[test]
fn empty_fields_of_rows_and_arrays() {
    let columns = [("r", row(&[("x", DataType::Int32), ("y", DataType::Utf8)])), ("a", list(DataType::Utf8))];
    let null = [("csv.null-literal", "NULL"), ("csv.ignore-parse-errors", "true")];
    let lines = [",", "NULL,NULL", "1;a;b,NULL;x"];
    assert_eq!(
        rows(&columns, &null, &lines),
        [r#"{"r":null,"a":[]}"#, r#"{"r":null,"a":[null]}"#, r#"{"r":{"x":1,"y":"a"},"a":[null,"x"]}"#]
    );
    assert_eq!(rows(&columns, &[("csv.null-literal", "")], &[","]), [r#"{"r":null,"a":[]}"#]);
}
