//! Rows are compared with rows, at rates at which nothing waits.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, TimeUnit, TimestampMillisecondType};

use super::*;
use crate::error::ErrorKind;
use crate::table::{ColumnKind, OptionValue};

fn table(columns: &[(&str, DataType)], options: &[(&str, &str)]) -> TableSpec {
    let column = |(name, data_type): &(&str, DataType)| ColumnSpec {
        name: (*name).into(),
        data_type: data_type.clone(),
        sql_type: data_type.to_string(),
        nullable: true,
        kind: ColumnKind::Physical,
    };
    let all = [("connector", "datagen")];
    TableSpec {
        name: "t".into(),
        columns: columns.iter().map(column).collect(),
        primary_key: Vec::new(),
        partitioned_by: Vec::new(),
        options: Options(
            all.iter()
                .chain(options)
                .map(|(k, v)| ((*k).to_owned(), OptionValue { value: (*v).to_owned(), span: None }))
                .collect(),
        ),
        span: None,
    }
}

fn all_types() -> Vec<(&'static str, DataType)> {
    vec![
        ("b", DataType::Boolean),
        ("i8", DataType::Int8),
        ("i16", DataType::Int16),
        ("i32", DataType::Int32),
        ("i64", DataType::Int64),
        ("f", DataType::Float32),
        ("d", DataType::Float64),
        ("n", DataType::Decimal128(10, 2)),
        ("m", DataType::Decimal128(38, 18)),
        ("o", DataType::Decimal128(3, 3)),
        ("s", DataType::Utf8),
        ("y", DataType::Binary),
        ("day", DataType::Date32),
        ("time", DataType::Time32(TimeUnit::Millisecond)),
        ("ts", DataType::Timestamp(TimeUnit::Millisecond, None)),
        ("ltz", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
    ]
}

async fn read(table: &TableSpec, start: StartAt, limit: usize) -> Vec<SourceBatch> {
    let mut source = DatagenSource::open(table).unwrap();
    let split = source.splits().await.unwrap().remove(0);
    let mut reader = source.open(&split, start).await.unwrap();
    let mut all = Vec::new();
    while all.len() < limit
        && let Fetched::Rows(batch) = reader.next().await.unwrap()
    {
        assert_eq!(batch.next_offset, reader.next_offset());
        all.push(*batch);
    }
    all
}

#[test]
fn a_row_is_a_function_of_its_number_and_the_seed() {
    let options = [("fields.s.null-rate", "0.3"), ("fields.y.var-len", "true"), ("fields.ts.max-past", "1 h")];
    let rows = |seed: &str, start, count| {
        let options: Vec<_> = options.iter().copied().chain([("seed", seed)]).collect();
        Generator::parse(&table(&all_types(), &options)).unwrap().rows(start, count, 1_000_000_000_000).unwrap()
    };
    let whole = rows("7", 0, 500);
    for (start, count) in [(0, 1), (17, 100), (499, 1)] {
        assert_eq!(rows("7", start, count), whole.slice(start as usize, count as usize));
    }
    assert_ne!(rows("8", 0, 500), whole);
    let nulls = whole.column(10).null_count();
    assert!((100..200).contains(&nulls), "{nulls}");
    // casts of numbers out of range would be NULL
    assert!(whole.columns().iter().enumerate().all(|(i, column)| i == 10 || column.null_count() == 0));
    let times = whole.column(14).as_primitive::<TimestampMillisecondType>();
    assert!(times.values().iter().all(|t| (1_000_000_000_000 - 3_600_000..=1_000_000_000_000).contains(t)));
    assert!(whole.column(11).as_binary::<i32>().iter().flatten().all(|b| (1..=100).contains(&b.len())));
}

#[test]
fn ranges_hold_and_are_reached() {
    let options = [("fields.i64.min", "-2"), ("fields.i64.max", "2"), ("fields.d.min", "1.5"), ("fields.d.max", "2.5")];
    let rows = Generator::parse(&table(&all_types(), &options)).unwrap().rows(0, 1000, 0).unwrap();
    let found: BTreeSet<i64> = rows.column(4).as_primitive::<Int64Type>().values().iter().copied().collect();
    assert_eq!(found, (-2..=2).collect());
    let doubles = rows.column(6).as_primitive::<arrow::datatypes::Float64Type>();
    assert!(doubles.values().iter().all(|d| (1.5..2.5).contains(d)));
}

#[tokio::test]
async fn the_shortest_sequence_ends_the_rows() {
    let columns = [("a", DataType::Int64), ("s", DataType::Utf8), ("n", DataType::Decimal128(10, 2))];
    let sequences = [
        ("fields.a.kind", "sequence"),
        ("fields.a.start", "5"),
        ("fields.a.end", "9"),
        ("fields.s.kind", "sequence"),
        ("fields.s.start", "-1"),
        ("fields.s.end", "100"),
        ("fields.n.kind", "sequence"),
        ("fields.n.start", "1"),
        ("fields.n.end", "50"),
        ("rows-per-second", "1000000"),
    ];
    let table = table(&columns, &sequences);
    assert!(bounded(&table).unwrap());
    let rows = read(&table, StartAt::Configured, 9).await.remove(0).rows;
    assert_eq!(rows.column(0).as_primitive::<Int64Type>().values(), &[5, 6, 7, 8, 9]);
    assert_eq!(rows.column(1).as_string::<i32>().value(0), "-1");
    assert_eq!(rows.column(2).as_primitive::<arrow::datatypes::Decimal128Type>().value(0), 100);
    let rest = read(&table, StartAt::Offset(3), 9).await.remove(0);
    assert_eq!(rest.rows, rows.slice(3, 2));
    assert_eq!(rest.offsets.values(), &[3, 4]);
    assert!(read(&table, StartAt::Offset(5), 9).await.is_empty());
}

#[tokio::test]
async fn rows_come_at_the_rate_and_end_at_their_number() {
    let columns = [("a", DataType::Int64)];
    assert!(!bounded(&table(&columns, &[])).unwrap());
    let table = table(&columns, &[("rows-per-second", "1000000"), ("number-of-rows", "20000")]);
    assert!(bounded(&table).unwrap());
    let batches = read(&table, StartAt::Configured, 9).await;
    assert_eq!(batches.iter().map(|b| b.rows.num_rows()).collect::<Vec<_>>(), [8192, 8192, 3616]);
    // at one row a second the first comes at once
    let slow = self::table(&columns, &[("rows-per-second", "1")]);
    assert_eq!(read(&slow, StartAt::Configured, 1).await[0].read, 1);
}

#[test]
fn options_are_checked() {
    let check = |columns: &[(&str, DataType)], options: &[(&str, &str)], expect: &str| {
        let errors = validate(&table(columns, options), Usage::Source);
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(shown.len() == 1 && shown[0].contains(expect), "{expect}: {shown:?}");
        assert_eq!(errors[0].kind(), ErrorKind::Config);
    };
    let a = [("a", DataType::Int32)];
    check(&a, &[("rows-per-secnd", "1")], "did you mean \"rows-per-second\"?");
    check(&a, &[("fields.aa.kind", "random")], "did you mean \"a\"?");
    check(&a, &[("fields.a.mni", "1")], "did you mean \"min\"?");
    check(&a, &[("fields.a.kind", "sequence"), ("fields.a.start", "1")], "fields.a.end");
    check(&a, &[("fields.a.max", "3000000000")], "does not fit its type");
    check(&a, &[("fields.a.min", "2"), ("fields.a.max", "1")], "min is above max");
    check(&a, &[("rows-per-second", "0")], "at least 1");
    check(&a, &[("fields.a.null-rate", "2")], "between 0 and 1");
    check(&[("s", DataType::Utf8)], &[("fields.s.length", "99999999999")], "limit");
    check(&[("l", DataType::new_list(DataType::Int32, true))], &[], "makes no random values");
    assert_eq!(validate(&table(&a, &[]), Usage::Sink).len(), 1);
}
