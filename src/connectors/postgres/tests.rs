//! Options as golden errors, statements as text, rows as bytes. What needs a server is in `tests/postgres.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray, Time32MillisecondArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, TimeUnit};

use super::encode::{Column, encode};
use super::options::SslMode;
use super::types::Wire;
use super::*;
use crate::connectors::delivery::{NumberedRows, Refused};
use crate::error::Span;
use crate::table::{ColumnKind, ColumnSpec, OptionValue, Options};

fn column(name: &str, sql_type: &str) -> ColumnSpec {
    let data_type = match sql_type {
        "STRING" | "VARCHAR(5)" => DataType::Utf8,
        "INT" => DataType::Int32,
        "BIGINT" => DataType::Int64,
        "DOUBLE" => DataType::Float64,
        "TIMESTAMP(3)" => DataType::Timestamp(TimeUnit::Millisecond, None),
        "TIMESTAMP_LTZ(3)" => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        other => panic!("no type {other}"),
    };
    let kind = ColumnKind::Physical;
    ColumnSpec { name: name.into(), data_type, sql_type: sql_type.into(), nullable: true, kind }
}

/// A table; option *n* (sorted) stands in line *n* of the script.
fn table_of(columns: &[(&str, &str)], key: &[&str], options: &[(&str, &str)]) -> TableSpec {
    let sorted: BTreeMap<&str, &str> = options.iter().copied().collect();
    let options = sorted.iter().enumerate().map(|(index, (key, value))| {
        let span = Some(Span::new(index as u32 + 1, 1, 9));
        ((*key).to_owned(), OptionValue { value: (*value).to_owned(), span })
    });
    TableSpec {
        name: "alerts".into(),
        columns: columns.iter().map(|(name, sql_type)| column(name, sql_type)).collect(),
        primary_key: key.iter().map(|&name| name.to_owned()).collect(),
        partitioned_by: Vec::new(),
        options: Options(options.collect()),
        span: Some(Span::new(99, 1, 9)),
    }
}

const JDBC: &[(&str, &str)] = &[
    ("connector", "jdbc"),
    ("url", "jdbc:postgresql://db:5433/iot?sslmode=disable"),
    ("table-name", "plant.alerts"),
    ("username", "me"),
    ("password", "hidden"),
];

fn jdbc(more: &[(&str, &str)]) -> TableSpec {
    table_of(&[("id", "STRING"), ("v", "DOUBLE")], &[], &[JDBC, more].concat())
}

/// Each problem with the option it stands at: option, message and hint.
fn problems(table: &TableSpec, usage: Usage) -> Vec<String> {
    let place =
        |e: &Error| table.options.keys().find(|key| table.options.span(key) == e.span()).unwrap_or("table").to_owned();
    let errors = validate(table, usage);
    errors.iter().map(|e| format!("{}: {} | {}", place(e), e.message(), e.hint_text().unwrap_or("-"))).collect()
}

#[test]
fn options_of_flink_are_taken() {
    let table = jdbc(&[
        ("driver", "org.postgresql.Driver"),
        ("sink.buffer-flush.max-rows", "500"),
        ("sink.buffer-flush.interval", "2 s"),
        ("sink.max-retries", "5"),
        ("sink.parallelism", "2"),
        ("connection.max-retry-timeout", "30 s"),
        ("scan.fetch-size", "100"),
        ("sink.delivery-guarantee", "at-least-once"),
    ]);
    let options = PostgresOptions::parse(&table, Usage::Sink).unwrap();
    assert_eq!(options.address(), "db:5433/iot");
    assert_eq!(options.table.to_string(), "plant.alerts");
    assert_eq!(options.ssl.mode, SslMode::Disable);
    assert_eq!(options.connect_timeout.as_secs(), 30);
    assert!(!format!("{options:?}").contains("hidden"));
    assert_eq!(place(&table), "postgres table plant.alerts at db:5433/iot");
}

#[test]
fn plain_options_are_taken() {
    let plain = [
        ("connector", "postgres"),
        ("host", "h"),
        ("port", "99"),
        ("database", "d"),
        ("table-name", "t"),
        ("username", "u"),
    ];
    let options = PostgresOptions::parse(&table_of(&[("a", "INT")], &[], &plain), Usage::Sink).unwrap();
    assert_eq!((options.address().as_str(), options.table.to_string().as_str()), ("h:99/d", "public.t"));
    assert_eq!(options.ssl.mode, SslMode::Prefer);
    let by_url = [("connector", "postgres"), ("url", "postgres://u:w@a,b:7/d?currentSchema=s"), ("table-name", "t")];
    let options = PostgresOptions::parse(&table_of(&[("a", "INT")], &[], &by_url), Usage::Sink).unwrap();
    assert_eq!((options.address().as_str(), options.table.to_string().as_str()), ("a:5432,b:7/d", "s.t"));
}

#[test]
fn every_problem_is_told_at_its_place() {
    let table = jdbc(&[
        ("driver", "com.mysql.cj.jdbc.Driver"),
        ("sink.max-retires", "3"),
        ("sink.max-retries", "often"),
        ("sink.parallelism", "0"),
        ("sink.delivery-guarantee", "none"),
        ("sink.hypertable", "vv"),
        ("sslmode", "verify-full"),
    ]);
    assert_eq!(
        problems(&table, Usage::Sink),
        [
            "sink.max-retires: connector \"jdbc\" has no option \"sink.max-retires\" | did you mean \"sink.max-retries\"?",
            "sslmode: the server's certificate cannot be verified without \"sslrootcert\" | add 'sslrootcert' = 'root.pem', the certificate of the authority that signed the server's",
            "driver: option \"driver\": \"com.mysql.cj.jdbc.Driver\" is not supported | classes of Java cannot be loaded; leave it out, or write org.postgresql.Driver",
            "sink.max-retries: option \"sink.max-retries\": \"often\" is not a valid number | -",
            "sink.parallelism: option \"sink.parallelism\" must be at least 1 | remove the option",
            "sink.delivery-guarantee: option \"sink.delivery-guarantee\": \"none\" is not a valid value | valid values: exactly-once, at-least-once",
            "sink.hypertable: option \"sink.hypertable\" needs 'sink.create-table' = 'true' | add 'sink.create-table' = 'true'",
            "sink.hypertable: table \"alerts\" has no column \"vv\" | did you mean \"v\"?",
        ]
    );
}

#[test]
fn reading_and_what_is_missing_is_refused() {
    let table = jdbc(&[]);
    assert_eq!(
        problems(&table, Usage::Source),
        [
            "connector: table \"alerts\" cannot be read: connector \"jdbc\" only writes | read the topic or the files that the rows come from"
        ]
    );
    let bare = table_of(&[("a", "INT")], &[], &[("connector", "jdbc"), ("username", "u")]);
    assert_eq!(
        problems(&bare, Usage::Sink),
        [
            "table: table \"alerts\" lacks the option \"url\" | add 'url' = 'jdbc:postgresql://host:5432/database' to WITH",
            "table: table \"alerts\" lacks the option \"table-name\" | add 'table-name' = 'schema.table' to WITH",
        ]
    );
    let bare = table_of(
        &[("a", "INT")],
        &[],
        &[("connector", "postgres"), ("host", "h"), ("table-name", "a.b.c"), ("username", "u")],
    );
    assert_eq!(
        problems(&bare, Usage::Sink),
        [
            "table: table \"alerts\" lacks the option \"database\" | add 'database' = '…' to WITH",
            "table-name: option \"table-name\": \"a.b.c\" has more parts than a schema and a table | the database is named by the URL or the option \"database\"",
        ]
    );
}

#[test]
fn no_message_shows_the_url() {
    for url in [
        "jdbc:postgresql://me:hidden@db:x/iot",
        "jdbc:postgresql://db/iot?password=hidden&sslmod=require",
        "jdbc:postgresql://db/iot?password=hidden&sslmode=all",
        "jdbc:postgresql://db/?password=hidden",
        "postgres://me:hidden@db/iot",
        "jdbc:oracle:thin:hidden",
    ] {
        let table = table_of(
            &[("a", "INT")],
            &[],
            &[("connector", "jdbc"), ("url", url), ("table-name", "t"), ("username", "u")],
        );
        let errors = validate(&table, Usage::Sink);
        assert!(!errors.is_empty(), "{url}");
        assert!(!format!("{errors:?} {}", problems(&table, Usage::Sink).join("")).contains("hidden"), "{errors:?}");
    }
}

#[test]
fn a_table_is_made_as_the_script_has_it() {
    let mut table = table_of(
        &[
            ("id", "STRING"),
            ("label", "VARCHAR(5)"),
            ("v", "DOUBLE"),
            ("at", "TIMESTAMP_LTZ(3)"),
            ("local", "TIMESTAMP(3)"),
        ],
        &["id", "at"],
        JDBC,
    );
    table.columns[0].nullable = false;
    let name = identifier::TableName::parse("plant.alerts", "public").unwrap();
    assert_eq!(
        catalog::create_statement(&table, &name).unwrap(),
        "CREATE TABLE IF NOT EXISTS \"plant\".\"alerts\" (\"id\" text NOT NULL, \"label\" varchar(5), \"v\" double precision, \
         \"at\" timestamptz(3), \"local\" timestamp(3), PRIMARY KEY (\"id\", \"at\"))"
    );
    assert_eq!(catalog::time_column(&table, None), Some("at"));
    assert_eq!(catalog::time_column(&table, Some("local")), Some("local"));
    table.primary_key = vec!["id".into()];
    assert_eq!(catalog::time_column(&table, None), None, "a key without time cannot be kept across chunks");
    assert_eq!(
        catalog::hypertable_statement("public", &name, "at").unwrap(),
        "SELECT \"public\".create_hypertable('\"plant\".\"alerts\"'::pg_catalog.regclass, 'at'::pg_catalog.name, if_not_exists => true)"
    );
}

/// The one column of one row, as the stream has it: what follows count, number and length.
fn bytes(wire: Wire, array: ArrayRef) -> Result<Vec<u8>, Refused> {
    let rows = NumberedRows {
        rows: RecordBatch::try_from_iter_with_nullable([("a", array, true)]).unwrap(),
        numbers: vec![7],
    };
    let (mut out, mut refused) = (Vec::new(), Vec::new());
    encode(&rows, &[Column { name: "a".into(), wire }], &mut out, &mut refused).unwrap();
    if let Some(refused) = refused.pop() {
        assert!(out.is_empty());
        return Err(refused);
    }
    assert_eq!(out[..14], [&2i16.to_be_bytes()[..], &8i32.to_be_bytes(), &7u64.to_be_bytes()].concat());
    let length = i32::from_be_bytes(out[14..18].try_into().unwrap());
    assert_eq!(length.max(0) as usize, out.len() - 18);
    Ok(if length < 0 { b"null".to_vec() } else { out.split_off(18) })
}

fn code(wire: Wire, array: ArrayRef) -> String {
    let refused = bytes(wire, array).unwrap_err();
    assert_eq!((refused.row, refused.column.as_deref()), (7, Some("a")));
    refused.code
}

fn text() -> Wire {
    Wire::Text { characters_max: None }
}

#[test]
fn values_in_the_binary_form() {
    let of = |wire, array: ArrayRef| bytes(wire, array).unwrap();
    assert_eq!(of(Wire::Bool, Arc::new(BooleanArray::from(vec![true]))), [1]);
    assert_eq!(of(Wire::Int2, Arc::new(Int8Array::from(vec![-2]))), [0xff, 0xfe]);
    assert_eq!(of(Wire::Int4, Arc::new(Int16Array::from(vec![258]))), [0, 0, 1, 2]);
    assert_eq!(of(Wire::Int8, Arc::new(Int64Array::from(vec![-1]))), [0xff; 8]);
    assert_eq!(of(Wire::Float4, Arc::new(Float32Array::from(vec![1.0]))), [0x3f, 0x80, 0, 0]);
    assert_eq!(of(Wire::Float8, Arc::new(Float64Array::from(vec![-2.0]))), [0xc0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(of(Wire::Float8, Arc::new(Int32Array::from(vec![1]))), 1f64.to_be_bytes());
    let decimal = Decimal128Array::from(vec![-12_345]).with_precision_and_scale(10, 2).unwrap();
    let numeric = || Wire::Numeric { whole_digits_max: None };
    // -123.45: two digits 123 and 4500, the first counts ones
    assert_eq!(of(numeric(), Arc::new(decimal)), [0, 2, 0, 0, 0x40, 0, 0, 2, 0, 123, 0x11, 0x94]);
    assert_eq!(of(text(), Arc::new(StringArray::from(vec!["zürich"]))), "zürich".as_bytes());
    assert_eq!(of(Wire::Bytes, Arc::new(BinaryArray::from(vec![&b"\0\xff"[..]]))), [0, 0xff]);
    // 2000-01-01 is day 10,957 from 1970
    assert_eq!(of(Wire::Date, Arc::new(Date32Array::from(vec![10_956]))), (-1i32).to_be_bytes());
    assert_eq!(of(Wire::Time, Arc::new(Time32MillisecondArray::from(vec![1]))), 1_000i64.to_be_bytes());
    let at = TimestampMillisecondArray::from(vec![946_684_800_001]);
    assert_eq!(of(Wire::Timestamp, Arc::new(at)), 1_000i64.to_be_bytes());
    let at = TimestampMicrosecondArray::from(vec![946_684_799_999_999]).with_timezone("UTC");
    assert_eq!(of(Wire::TimestampTz, Arc::new(at)), (-1i64).to_be_bytes());
    let at = TimestampNanosecondArray::from(vec![946_684_800_000_002_000]);
    assert_eq!(of(Wire::Timestamp, Arc::new(at)), 2i64.to_be_bytes());
    assert_eq!(of(text(), Arc::new(StringArray::from(vec![None::<&str>]))), b"null");
}

#[test]
fn arrays_and_json() {
    let list = |items: Vec<Option<i32>>| -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some(items)]))
    };
    let wire = || Wire::Array(Box::new(Wire::Int4));
    let expected: Vec<u8> = [1, 1, 23, 2, 1, 4, 5, -1].iter().flat_map(|word: &i32| word.to_be_bytes()).collect();
    assert_eq!(bytes(wire(), list(vec![Some(5), None])).unwrap(), expected);
    let empty: Vec<u8> = [0, 0, 23].iter().flat_map(|word: &i32| word.to_be_bytes()).collect();
    assert_eq!(bytes(wire(), list(vec![])).unwrap(), empty);
    assert_eq!(bytes(Wire::Json, list(vec![Some(5), None])).unwrap(), b"[5,null]");
    let row = StructArray::from(vec![
        (Arc::new(Field::new("a\"b", DataType::Utf8, true)), Arc::new(StringArray::from(vec!["x\n"])) as ArrayRef),
        (Arc::new(Field::new("n", DataType::Int32, true)), Arc::new(Int32Array::from(vec![None])) as ArrayRef),
    ]);
    assert_eq!(bytes(Wire::Json, Arc::new(row)).unwrap(), br#"{"a\"b":"x\n","n":null}"#);
}

#[test]
fn values_that_cannot_be_are_refused_with_their_code() {
    assert_eq!(code(text(), Arc::new(StringArray::from(vec!["a\0b"]))), "22021");
    let five = || Wire::Text { characters_max: Some(5) };
    assert_eq!(code(five(), Arc::new(StringArray::from(vec!["zürich"]))), "22001");
    assert!(bytes(five(), Arc::new(StringArray::from(vec!["züric"]))).is_ok());
    assert!(
        bytes(five(), Arc::new(StringArray::from(vec!["abcde  "]))).is_ok(),
        "blanks are cut, as the standard has it"
    );
    assert_eq!(code(Wire::Int4, Arc::new(Int64Array::from(vec![1 << 40]))), "22003");
    assert_eq!(code(Wire::Int2, Arc::new(Int32Array::from(vec![40_000]))), "22003");
    let numeric = |most| Wire::Numeric { whole_digits_max: most };
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(code(numeric(None), Arc::new(Float64Array::from(vec![value]))), "22003");
    }
    assert_eq!(code(numeric(Some(2)), Arc::new(Float64Array::from(vec![100.0]))), "22003");
    assert!(bytes(numeric(Some(2)), Arc::new(Float64Array::from(vec![99.9]))).is_ok());
    assert_eq!(code(Wire::Timestamp, Arc::new(TimestampMillisecondArray::from(vec![i64::MAX]))), "22008");
    assert_eq!(code(Wire::Timestamp, Arc::new(TimestampMicrosecondArray::from(vec![i64::MIN]))), "22008");
    assert_eq!(code(Wire::Timestamp, Arc::new(TimestampNanosecondArray::from(vec![1]))), "22008");
    assert_eq!(code(Wire::Date, Arc::new(Date32Array::from(vec![i32::MIN]))), "22008");
    assert_eq!(code(Wire::Date, Arc::new(Date32Array::from(vec![i32::MAX]))), "22008");
}
