//! Parquet files made here; text through the formats where they matter little.

use arrow::array::{
    AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, ListArray, StructArray, Time32MillisecondArray, TimestampMicrosecondArray,
    TimestampNanosecondArray, TimestampSecondArray,
};
use arrow::datatypes::{Field, Int32Type, Int64Type};
use parquet::arrow::ArrowWriter;
use std::path::Path;
use tempfile::TempDir;

use super::*;
use crate::connectors::filesystem::FileSink;
use crate::connectors::{JobContext, Sink};
use crate::durable;
use crate::error::ErrorKind;
use crate::table::map::{map_array, map_type};
use crate::table::{ColumnSpec, OptionValue, Options};

fn column(name: &str, data_type: DataType, kind: ColumnKind) -> ColumnSpec {
    ColumnSpec { name: name.into(), data_type, sql_type: String::new(), nullable: true, kind }
}

fn table(dir: &Path, columns: Vec<ColumnSpec>, options: &[(&str, &str)]) -> TableSpec {
    let path = dir.display().to_string();
    let mut all = vec![("connector", "filesystem"), ("path", path.as_str())];
    if !options.iter().any(|(name, _)| *name == "format") {
        all.push(("format", "parquet"));
    }
    TableSpec {
        name: "t".into(),
        columns,
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

fn write_parquet(path: &Path, batch: &RecordBatch) {
    durable::create_dir(path.parent().unwrap()).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

async fn read_from(table: &TableSpec, start: StartAt) -> Result<Vec<SourceBatch>> {
    let mut source = FileSource::open(table, &JobContext::default())?;
    let split = source.splits().await?.remove(0);
    let mut reader = source.open(&split, start).await?;
    let mut all = Vec::new();
    while let Fetched::Rows(batch) = reader.next().await? {
        assert_eq!(batch.next_offset, reader.next_offset());
        assert_eq!(batch.read, batch.rows.num_rows() as u64 + batch.bad.len() as u64);
        all.push(*batch);
    }
    Ok(all)
}

async fn read(table: &TableSpec) -> Result<RecordBatch> {
    let batches: Vec<RecordBatch> = read_from(table, StartAt::Configured).await?.into_iter().map(|b| b.rows).collect();
    Ok(arrow::compute::concat_batches(&table.source_schema(), &batches)?)
}

fn ints(values: std::ops::Range<i64>) -> RecordBatch {
    RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from_iter_values(values)) as ArrayRef)]).unwrap()
}

fn n() -> ColumnSpec {
    column("n", DataType::Int64, ColumnKind::Physical)
}

#[tokio::test]
async fn a_restart_at_every_offset_reads_the_rest() {
    let dir = TempDir::new().unwrap();
    write_parquet(&dir.path().join("b.parquet"), &ints(7..12));
    write_parquet(&dir.path().join("a.parquet"), &ints(0..7));
    write_parquet(&dir.path().join("c/empty.parquet"), &ints(0..0));
    write_parquet(&dir.path().join("d.parquet"), &ints(12..9000));
    write_parquet(&dir.path().join("_hidden.parquet"), &ints(0..7));
    let table = table(dir.path(), vec![n()], &[]);
    for start in (0..15).chain([8191, 8192, 8999, 9000]) {
        let batches = read_from(&table, StartAt::Offset(start)).await.unwrap();
        let values = |column: &dyn Fn(&SourceBatch) -> ArrayRef| {
            batches.iter().flat_map(|b| column(b).as_primitive::<Int64Type>().values().to_vec()).collect::<Vec<_>>()
        };
        let expect: Vec<i64> = (start..9000).collect();
        assert_eq!(values(&|b| Arc::clone(b.rows.column(0))), expect, "{start}");
        assert_eq!(values(&|b| Arc::new(b.offsets.clone())), expect, "{start}");
    }
    let error = read_from(&table, StartAt::Offset(9001)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
}

#[tokio::test]
async fn folders_and_metadata_are_columns() {
    let dir = TempDir::new().unwrap();
    write_parquet(&dir.path().join("day=2024-03-01/site=a%2Fb/x.parquet"), &ints(0..2));
    write_parquet(&dir.path().join("day=2024-03-02/site=__DEFAULT_PARTITION__/y.parquet"), &ints(2..3));
    let metadata = |key: &str| ColumnKind::Metadata { key: key.into(), virtual_: true };
    let mut table = table(
        dir.path(),
        vec![
            column("site", DataType::Utf8, ColumnKind::Physical),
            n(),
            column("file", DataType::Utf8, metadata("file.name")),
            column("size", DataType::Int64, metadata("file.size")),
            column("day", DataType::Date32, ColumnKind::Physical),
            column("path", DataType::Utf8, metadata("file.path")),
        ],
        &[],
    );
    table.partitioned_by = vec!["day".into(), "site".into()];
    let rows = read(&table).await.unwrap();
    let text =
        |place: usize| rows.column(place).as_string::<i32>().iter().map(|v| v.map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(text(0), [Some("a/b".into()), Some("a/b".into()), None]);
    assert_eq!(text(2), ["x.parquet", "x.parquet", "y.parquet"].map(|v| Some(v.to_owned())));
    assert!(text(5)[2].as_ref().unwrap().ends_with("day=2024-03-02/site=__DEFAULT_PARTITION__/y.parquet"));
    assert_eq!(rows.column(4).as_ref(), &Date32Array::from(vec![19783, 19783, 19784]));
    assert!(rows.column(3).as_primitive::<Int64Type>().value(0) > 100);

    durable::create_dir(&dir.path().join("day=never/site=x")).unwrap();
    write_parquet(&dir.path().join("day=never/site=x/z.parquet"), &ints(0..1));
    let error = read(&table).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Data && error.message().contains("day=never"), "{error}");
}

#[tokio::test]
async fn columns_are_matched_by_name_and_converted() {
    let dir = TempDir::new().unwrap();
    let stored = RecordBatch::try_from_iter([
        ("extra", Arc::new(BooleanArray::from(vec![true])) as ArrayRef),
        ("ts", Arc::new(TimestampNanosecondArray::from(vec![1_500_000_000])) as ArrayRef),
        ("n", Arc::new(Int32Array::from(vec![7])) as ArrayRef),
    ])
    .unwrap();
    write_parquet(&dir.path().join("a.parquet"), &stored);
    let ts = DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, None);
    let missing = column("missing", DataType::Utf8, ColumnKind::Physical);
    let mut table = table(dir.path(), vec![n(), missing, column("ts", ts, ColumnKind::Physical)], &[]);
    let rows = read(&table).await.unwrap();
    assert_eq!(rows.column(0).as_primitive::<Int64Type>().values(), &[7]);
    assert_eq!(rows.column(1).null_count(), 1);
    assert_eq!(rows.column(2).as_primitive::<arrow::datatypes::TimestampMillisecondType>().value(0), 1_500);

    table.columns[1].nullable = false;
    let error = read(&table).await.unwrap_err();
    assert!(error.message().contains("\"missing\" is NOT NULL"), "{error}");
    table.columns = vec![column("extra", DataType::Date32, ColumnKind::Physical)];
    let error = read(&table).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Data && error.message().contains("\"extra\" has type Boolean"), "{error}");
    std::fs::write(dir.path().join("b.parquet"), b"PAR1 nonsense PAR1").unwrap();
    table.columns = vec![n()];
    let error = read(&table).await.unwrap_err();
    assert!(error.message().contains("b.parquet"), "{error}");
}

/// Every type a column can have, written by the sink and read by the source.
#[tokio::test]
async fn all_types_come_back_from_parquet() {
    let dir = TempDir::new().unwrap();
    let map = map_array(
        &map_type(DataType::Utf8, DataType::Int32, true),
        arrow::buffer::OffsetBuffer::from_lengths([1, 0]),
        Arc::new(StringArray::from(vec!["k"])),
        Arc::new(Int32Array::from(vec![1])),
        Some(vec![true, false].into()),
    );
    let int = Arc::new(Int32Array::from(vec![Some(i32::MIN), None])) as ArrayRef;
    let arrays: Vec<ArrayRef> = vec![
        Arc::clone(&int),
        Arc::new(Int8Array::from(vec![Some(i8::MIN), None])),
        Arc::new(Int16Array::from(vec![Some(i16::MAX), None])),
        Arc::new(Int64Array::from(vec![Some(i64::MIN), None])),
        Arc::new(BooleanArray::from(vec![Some(true), None])),
        Arc::new(Float32Array::from(vec![Some(-0.0), None])),
        Arc::new(Float64Array::from(vec![Some(f64::INFINITY), None])),
        Arc::new(StringArray::from(vec![Some("ü\0\n"), None])),
        Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\xff\0"), None])),
        Arc::new(Date32Array::from(vec![Some(-1), None])),
        Arc::new(Time32MillisecondArray::from(vec![Some(86_399_999), None])),
        Arc::new(TimestampSecondArray::from(vec![Some(-1), None])),
        Arc::new(TimestampMillisecondArray::from(vec![Some(-1), None])),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None])),
        Arc::new(TimestampMillisecondArray::from(vec![Some(1), None]).with_timezone("UTC")),
        Arc::new(Decimal128Array::from(vec![Some(-123), None]).with_precision_and_scale(5, 2).unwrap()),
        Arc::new(
            Decimal128Array::from(vec![Some(i128::from(i64::MAX) * 1000), None])
                .with_precision_and_scale(38, 18)
                .unwrap(),
        ),
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None])),
        Arc::new(StructArray::from(vec![(Arc::new(Field::new("i", DataType::Int32, true)), int)])),
        Arc::new(map.unwrap()),
    ];
    let columns: Vec<ColumnSpec> = arrays
        .iter()
        .enumerate()
        .map(|(i, array)| column(&format!("c{i}.x"), array.data_type().clone(), ColumnKind::Physical))
        .collect();
    let table = table(dir.path(), columns, &[]);
    let batch = RecordBatch::try_new(table.sink_schema(), arrays).unwrap();
    let mut sink = FileSink::open(&table, &JobContext::default()).unwrap();
    sink.restore(None).await.unwrap();
    sink.write(batch.clone()).await.unwrap();
    sink.prepare(1, true).await.unwrap();
    sink.commit(1).await.unwrap();
    assert_eq!(read(&table).await.unwrap(), batch);

    let file = files::list(dir.path(), &[], "").unwrap().remove(0);
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(File::open(file.path).unwrap()).unwrap();
    let metadata = reader.metadata();
    for chunk in metadata.row_group(0).columns() {
        use parquet::basic::Type;
        assert_ne!(chunk.column_type(), Type::INT96);
        let float = matches!(chunk.column_type(), Type::FLOAT | Type::DOUBLE);
        assert!(!float || chunk.dictionary_page_offset().is_none(), "{:?}", chunk.column_path());
    }
    let notes = metadata.file_metadata().key_value_metadata().unwrap();
    assert!(notes.iter().any(|note| note.key == "streamer.epochs" && note.value.as_deref() == Some("1-1")));
}

#[tokio::test]
async fn a_cancelled_read_loses_nothing() {
    let dir = TempDir::new().unwrap();
    write_parquet(&dir.path().join("a.parquet"), &ints(0..20_000));
    let table = table(dir.path(), vec![n()], &[]);
    let mut source = FileSource::open(&table, &JobContext::default()).unwrap();
    let split = source.splits().await.unwrap().remove(0);
    let mut reader = source.open(&split, StartAt::Configured).await.unwrap();
    let mut rows = 0;
    loop {
        tokio::select! {
            biased;
            fetched = reader.next() => match fetched.unwrap() {
                Fetched::Rows(batch) => rows += batch.rows.num_rows(),
                Fetched::Gap(_) | Fetched::End => break,
            },
            // ready at once: the read is dropped whenever it has to wait
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(rows, 20_000);
}

#[test]
fn options_are_checked() {
    let check = |options: &[(&str, &str)], usage: Usage, expect: &[&str]| {
        let parsed = FileOptions::parse(&table(Path::new("x"), vec![n()], options), usage);
        let errors = parsed.err().map(Error::flatten).unwrap_or_default();
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), expect.len(), "{shown:?}");
        for part in expect {
            assert!(shown.iter().any(|s| s.contains(part)), "{part}: {shown:?}");
        }
    };
    check(&[], Usage::Sink, &[]);
    check(&[("format", "json"), ("json.ignore-parse-error", "true"), ("parquet.x", "1")], Usage::Source, &[]);
    check(&[("formt", "json")], Usage::Source, &["did you mean \"format\"?"]);
    check(&[("format", "orc"), ("auto-compaction", "true")], Usage::Sink, &["\"orc\"", "auto-compaction"]);
    check(&[("auto-compaction", "false"), ("sink.partition-commit.delay", "0 s")], Usage::Sink, &[]);
    check(&[("sink.partition-commit.policy.kind", "success-file")], Usage::Sink, &["not supported yet"]);
    check(&[("source.monitor-interval", "1 s")], Usage::Source, &["not supported yet"]);
    check(&[("path", "s3://bucket/x")], Usage::Sink, &["\"s3\""]);
    check(&[("path", "file:///data")], Usage::Sink, &[]);
    check(&[("path", " ")], Usage::Sink, &["has no option \"path\""]);
    check(&[("parquet.compression", "gzip")], Usage::Sink, &["gzip"]);
    check(&[("sink.rolling-policy.file-size", "-1")], Usage::Sink, &["not a size"]);
    check(&[("bad-records", "skip")], Usage::Source, &["ledger, fail, drop"]);
    let mut partitioned = table(Path::new("x"), vec![n(), column("k", DataType::Utf8, ColumnKind::Physical)], &[]);
    partitioned.partitioned_by = vec!["kk".into()];
    assert!(super::super::validate(&partitioned, Usage::Sink)[0].to_string().contains("\"kk\" not found"));
    partitioned.partitioned_by = vec!["k".into(), "n".into()];
    assert_eq!(super::super::validate(&partitioned, Usage::Sink).len(), 1);
    let key = ColumnKind::Metadata { key: "file.nam".into(), virtual_: true };
    let metadata = table(Path::new("x"), vec![n(), column("f", DataType::Utf8, key)], &[]);
    let errors = super::super::validate(&metadata, Usage::Source);
    assert_eq!(errors[0].hint_text(), Some("did you mean \"file.name\"?"));
}

#[tokio::test]
async fn a_path_that_is_not_there_is_named() {
    let dir = TempDir::new().unwrap();
    let error = read(&table(&dir.path().join("none"), vec![n()], &[])).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Config && error.message().contains("none"), "{error}");
}

/// A format of numbers: `7` is a row, `7*3` are three, `-` is none, anything else is bad.
#[derive(Default)]
struct Numbers(Vec<i64>);

impl Decoder for Numbers {
    fn push(&mut self, message: &[u8]) -> Result<usize, BadValue> {
        let text = String::from_utf8_lossy(message);
        if text == "-" {
            return Ok(0);
        }
        let (number, times) = text.split_once('*').unwrap_or((&text, "1"));
        let (Ok(number), Ok(times)) = (number.parse::<i64>(), times.parse::<usize>()) else {
            return Err(BadValue { code: "NUMBER", field: Some("n".into()), message: "no number".into() });
        };
        self.0.extend(std::iter::repeat_n(number, times));
        Ok(times)
    }

    fn rows(&self) -> usize {
        self.0.len()
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        Ok(RecordBatch::try_from_iter([(
            "n",
            Arc::new(std::mem::take(&mut self.0).into_iter().map(Some).collect::<Int64Array>()) as ArrayRef,
        )])?)
    }
}

/// Offset and value.
type Rows = Vec<(i64, i64)>;
/// Offset and raw bytes.
type BadLines = Vec<(i64, Option<Vec<u8>>)>;

/// What is read from `start` on.
fn read_text(dir: &Path, policy: &str, start: i64) -> Result<(Rows, BadLines)> {
    let table = table(dir, vec![n()], &[("bad-records", policy)]);
    let options = FileOptions::parse(&table, Usage::Source)?;
    let mut reader = TableReader::open(&table, &options, start)?;
    reader.format = Format::Json;
    reader.decoder = Some(Box::new(Numbers::default()));
    let (mut rows, mut bad) = (Vec::new(), Vec::new());
    let mut next = start;
    while let Fetched::Rows(batch) = reader.next()? {
        let values = batch.rows.column(0).as_primitive::<Int64Type>();
        rows.extend(batch.offsets.values().iter().copied().zip(values.values().iter().copied()));
        bad.extend(batch.bad.into_iter().map(|record| (record.offset, record.raw)));
        // every number of the stretch is a row or a casualty
        assert_eq!(batch.next_offset - next, batch.read as i64);
        next = batch.next_offset;
    }
    Ok((rows, bad))
}

#[test]
fn lines_that_are_no_rows_follow_the_policy_and_restarts_agree() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("1.txt"), "10\n\n20*3\nbad\r\n-\n30").unwrap();
    std::fs::write(dir.path().join("2.txt"), "oops\n").unwrap();
    std::fs::write(dir.path().join("3.txt"), "\u{feff}40\n-\n").unwrap();
    let all_rows = [(0, 10), (1, 20), (2, 20), (3, 20), (6, 30), (8, 40)];
    // "-" holds no row: counted, and no reason to fail.
    let all_bad = [(4, "bad"), (5, "-"), (7, "oops"), (9, "-")].map(|(at, line)| (at, Some(line.as_bytes().to_vec())));
    for start in 0..=10 {
        let (rows, bad) = read_text(dir.path(), "ledger", start).unwrap();
        assert_eq!(rows, all_rows.iter().copied().filter(|r| r.0 >= start).collect::<Vec<_>>(), "{start}");
        assert_eq!(bad, all_bad.iter().filter(|r| r.0 >= start).cloned().collect::<Vec<_>>(), "{start}");
    }
    let (_, bad) = read_text(dir.path(), "drop", 0).unwrap();
    assert_eq!(bad, [(4, None), (5, None), (7, None), (9, None)]);
    let error = read_text(dir.path(), "fail", 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    for part in ["line 4 of", "1.txt", "field \"n\"", "no number"] {
        assert!(error.message().contains(part), "{error}");
    }
    std::fs::remove_file(dir.path().join("2.txt")).unwrap();
    std::fs::write(dir.path().join("1.txt"), "1\n-\n2").unwrap();
    let (rows, bad) = read_text(dir.path(), "fail", 0).unwrap();
    // What holds no row stops no job, and is kept with its bytes.
    let no_row = Some(b"-".to_vec());
    assert_eq!((rows.len(), bad), (3, vec![(1, no_row.clone()), (4, no_row)]));
    assert!(read_text(dir.path(), "ledger", 11).is_err());
    std::fs::write(dir.path().join("4.json.gz"), b"\x1f\x8b").unwrap();
    let error = read_text(dir.path(), "ledger", 0).unwrap_err();
    assert!(error.message().contains("4.json.gz\" is compressed"), "{error}");
}

#[test]
fn a_line_beyond_the_limit_harms_no_neighbour() {
    let dir = TempDir::new().unwrap();
    let long = "x".repeat(RECORD_BYTES_MAX + 1);
    std::fs::write(dir.path().join("1.txt"), format!("1\n{long}\n2\n")).unwrap();
    let (rows, bad) = read_text(dir.path(), "ledger", 0).unwrap();
    assert_eq!(rows, [(0, 1), (2, 2)]);
    assert_eq!((bad[0].0, bad[0].1.as_ref().unwrap().len()), (1, BAD_RECORD_BYTES_MAX));
}

#[test]
fn a_large_text_file_comes_in_batches() {
    let dir = TempDir::new().unwrap();
    let text: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    std::fs::write(dir.path().join("1.txt"), text).unwrap();
    for start in [0, 8191, 8192, 19_999] {
        let (rows, _) = read_text(dir.path(), "fail", start).unwrap();
        assert!(rows.into_iter().eq((start..20_000).map(|n| (n, n))));
    }
}

/// Takes every line for a row and loses one in ten.
#[derive(Default)]
struct Forgetful(Vec<i64>, i64);

impl Decoder for Forgetful {
    fn push(&mut self, _line: &[u8]) -> Result<usize, BadValue> {
        self.1 += 1;
        if self.1 % 10 != 0 {
            self.0.push(self.1);
        }
        Ok(1)
    }

    fn rows(&self) -> usize {
        self.0.len()
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        Ok(RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(std::mem::take(&mut self.0))) as ArrayRef)])?)
    }
}

#[test]
fn a_decoder_that_loses_a_row_is_found() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("1.txt"), "x\n".repeat(10)).unwrap();
    let table = table(dir.path(), vec![n()], &[("bad-records", "ledger")]);
    let options = FileOptions::parse(&table, Usage::Source).unwrap();
    let mut reader = TableReader::open(&table, &options, 0).unwrap();
    reader.format = Format::Json;
    reader.decoder = Some(Box::new(Forgetful::default()));
    let error = reader.next().unwrap_err();
    assert_eq!((error.kind(), error.message().contains("another number of rows")), (ErrorKind::Internal, true));
}

/// A job that reads `batches` batches, stops, and starts again: what it knows when it stops.
async fn stopped_after(table: &TableSpec, batches: usize) -> SourcePosition {
    let mut source = FileSource::open(table, &JobContext::default()).unwrap();
    let split = source.splits().await.unwrap().remove(0);
    let mut reader = source.open(&split, StartAt::Configured).await.unwrap();
    let mut finished = false;
    for _ in 0..batches {
        finished = matches!(reader.next().await.unwrap(), Fetched::End);
    }
    position(reader.next_offset(), finished, reader.fingerprint())
}

fn position(next_offset: i64, finished: bool, fingerprint: Option<serde_json::Value>) -> SourcePosition {
    SourcePosition {
        table: "t".into(),
        topic: "t".into(),
        partition: 0,
        id: crate::stream::PartitionId(0),
        next_offset,
        watermark: 0,
        finished,
        fingerprint,
        counts: crate::stream::RowCounts::default(),
    }
}

/// The values a start from `position` reads, with what it knows at the end.
async fn goes_on(table: &TableSpec, position: &SourcePosition) -> Result<(Vec<i64>, SourcePosition)> {
    let mut source = FileSource::open(table, &JobContext::default())?;
    let split = source.splits().await?.remove(0);
    source.recognize(&split, position).await?;
    let mut reader = source.open(&split, StartAt::Offset(position.next_offset)).await?;
    let mut values = Vec::new();
    while let Fetched::Rows(batch) = reader.next().await? {
        let first = position.next_offset + values.len() as i64;
        assert_eq!(batch.offsets.values().first(), Some(&first), "numbers go on");
        values.extend_from_slice(batch.rows.column(0).as_primitive::<Int64Type>().values());
    }
    Ok((values, self::position(reader.next_offset(), true, reader.fingerprint())))
}

async fn refusal(table: &TableSpec, position: &SourcePosition) -> String {
    let error = goes_on(table, position).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.hint_text().unwrap().contains("--fresh"), "{error}");
    error.message().to_owned()
}

/// Three files of two lines each, in either format.
fn three_files(dir: &Path, format: &'static str) -> TableSpec {
    for (file, from) in [("b", 0), ("d", 2), ("f", 4)] {
        let path = dir.join(file);
        match format {
            "parquet" => write_parquet(&path, &ints(from..from + 2)),
            _ => std::fs::write(&path, format!("{{\"n\":{from}}}\n{{\"n\":{}}}\n", from + 1)).unwrap(),
        }
    }
    table(dir, vec![n()], &[("format", format)])
}

#[tokio::test]
async fn files_read_to_their_ends_may_go_and_later_ones_may_come() {
    for format in ["json", "parquet"] {
        let dir = TempDir::new().unwrap();
        let table = three_files(dir.path(), format);
        let stop = stopped_after(&table, 2).await;
        assert_eq!(stop.next_offset, 4);
        assert_eq!(goes_on(&table, &stop).await.unwrap().0, [4, 5], "nothing has changed");
        std::fs::remove_file(dir.path().join("b")).unwrap();
        std::fs::remove_file(dir.path().join("d")).unwrap();
        std::fs::write(dir.path().join("_hidden"), "x").unwrap();
        let copied = dir.path().join("g");
        std::fs::copy(dir.path().join("f"), &copied).unwrap();
        let (values, end) = goes_on(&table, &stop).await.unwrap();
        assert_eq!(values, [4, 5, 4, 5], "{format}");
        // What is gone stays known: under its name nothing else may come.
        std::fs::write(dir.path().join("b"), "something else").unwrap();
        for known in [&stop, &end] {
            assert!(refusal(&table, known).await.contains("b\" has changed since it was read"));
        }
        std::fs::remove_file(dir.path().join("b")).unwrap();
        assert!(goes_on(&table, &end).await.unwrap().0.is_empty(), "{format}");
        std::fs::copy(&copied, dir.path().join("z")).unwrap();
        assert!(refusal(&table, &end).await.contains("z\" is new, and the table was read to its end"));
    }
}

#[tokio::test]
async fn files_changed_or_put_before_others_are_refused_by_name() {
    let dir = TempDir::new().unwrap();
    let table = three_files(dir.path(), "json");
    let stop = stopped_after(&table, 1).await;
    std::fs::write(dir.path().join("c"), "{\"n\":9}\n").unwrap();
    assert_eq!(goes_on(&table, &stop).await.unwrap().0, [9, 2, 3, 4, 5], "after what was read, before the next");
    std::fs::write(dir.path().join("a"), "").unwrap();
    let new = refusal(&table, &stop).await;
    assert!(new.contains("a\" is new and comes before files that were read"), "{new}");
    std::fs::remove_file(dir.path().join("a")).unwrap();
    let at = std::fs::metadata(dir.path().join("b")).unwrap().modified().unwrap();
    let rewrite = |text: &str, later: u64| {
        std::fs::write(dir.path().join("b"), text).unwrap();
        let file = File::options().write(true).open(dir.path().join("b")).unwrap();
        file.set_modified(at + std::time::Duration::from_secs(later)).unwrap();
    };
    // The same length at another time, and another length at the same.
    rewrite("{\"n\":7}\n{\"n\":8}\n", 1);
    assert!(refusal(&table, &stop).await.contains("b\" has changed since it was read"));
    rewrite("{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n", 0);
    assert!(refusal(&table, &stop).await.contains("b\" has changed since it was read"));
    rewrite("{\"n\":0}\n{\"n\":1}\n", 0);
    assert_eq!(goes_on(&table, &stop).await.unwrap().0, [9, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_file_that_was_being_read_must_be_as_it_was() {
    let dir = TempDir::new().unwrap();
    write_parquet(&dir.path().join("a"), &ints(0..3));
    write_parquet(&dir.path().join("b"), &ints(3..20_000));
    let table = table(dir.path(), vec![n()], &[]);
    let stop = stopped_after(&table, 2).await;
    assert!(stop.next_offset > 3 && stop.next_offset < 20_000);
    // Rows are counted from the file that was being read: those before it need not be there.
    std::fs::remove_file(dir.path().join("a")).unwrap();
    let (values, _) = goes_on(&table, &stop).await.unwrap();
    assert!(values.into_iter().eq(stop.next_offset..20_000));
    std::fs::rename(dir.path().join("b"), dir.path().join("c")).unwrap();
    assert!(refusal(&table, &stop).await.contains("b\" is gone, and was not read to its end"));
    write_parquet(&dir.path().join("b"), &ints(0..20_000));
    assert!(refusal(&table, &stop).await.contains("b\" has changed since it was read"));
}

#[tokio::test]
async fn a_file_whose_last_row_fills_a_batch_is_read_to_its_end() {
    let dir = TempDir::new().unwrap();
    let lines = |values: std::ops::Range<usize>| values.map(|n| format!("{{\"n\":{n}}}\n")).collect::<String>();
    std::fs::write(dir.path().join("a"), lines(0..BATCH_ROWS_MAX)).unwrap();
    std::fs::write(dir.path().join("b"), lines(7..9)).unwrap();
    let table = table(dir.path(), vec![n()], &[("format", "json")]);
    let stop = stopped_after(&table, 1).await;
    assert_eq!(stop.next_offset, BATCH_ROWS_MAX as i64);
    assert_eq!(goes_on(&table, &stop).await.unwrap().0, [7, 8]);
    std::fs::remove_file(dir.path().join("a")).unwrap();
    assert_eq!(goes_on(&table, &stop).await.unwrap().0, [7, 8], "nothing more was wanted of it");
}

#[tokio::test]
async fn a_table_of_one_file_is_recognized_too() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("one.json");
    std::fs::write(&path, "{\"n\":1}\n").unwrap();
    let table = table(&path, vec![n()], &[("format", "json")]);
    let start = stopped_after(&table, 0).await;
    std::fs::write(&path, "{\"n\":1}\n{\"n\":2}\n").unwrap();
    assert_eq!(goes_on(&table, &start).await.unwrap().0, [1, 2], "nothing was read of it yet");
    let end = stopped_after(&table, 2).await;
    assert!(end.finished);
    assert!(goes_on(&table, &end).await.unwrap().0.is_empty());
    std::fs::write(&path, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n").unwrap();
    assert!(refusal(&table, &end).await.contains("one.json\" has changed since it was read"));
}

#[tokio::test]
async fn rows_without_a_value_they_must_have_follow_the_policy() {
    let dir = TempDir::new().unwrap();
    let values = Arc::new(Int64Array::from(vec![Some(0), None, Some(2)])) as ArrayRef;
    write_parquet(&dir.path().join("a"), &RecordBatch::try_from_iter([("n", values)]).unwrap());
    let required = ColumnSpec { nullable: false, ..n() };
    for policy in ["ledger", "drop"] {
        let table = table(dir.path(), vec![required.clone()], &[("bad-records", policy)]);
        let batches = read_from(&table, StartAt::Configured).await.unwrap();
        assert_eq!((batches.len(), batches[0].read, batches[0].next_offset), (1, 3, 3));
        assert_eq!(batches[0].offsets.values().as_ref(), [0, 2]);
        assert_eq!(batches[0].rows.column(0).as_primitive::<Int64Type>().values().as_ref(), [0, 2]);
        let bad = &batches[0].bad[0];
        assert_eq!((bad.offset, bad.code, bad.field.as_deref(), &bad.raw), (1, "NOT_NULL", Some("n"), &None));
    }
    let error = read_from(&table(dir.path(), vec![required], &[]), StartAt::Configured).await.unwrap_err();
    assert!(error.message().contains("\"n\" is NOT NULL"), "{error}");
}

#[tokio::test]
async fn a_parquet_file_that_contradicts_its_footer_is_refused() {
    for (rows, what) in [(5, "holds 2 fewer rows"), (2, "holds 1 more rows")] {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("a");
        write_parquet(&path, &ints(0..3));
        let mut bytes = std::fs::read(&path).unwrap();
        let length = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
        let footer = bytes.len() - 8 - length;
        // Thrift, compact: the number of rows is the footer's first i64 (0x16), zigzag; a list (0x19) follows.
        let at = bytes[footer..].windows(3).position(|b| b == [0x16, 2 * 3, 0x19]).unwrap();
        bytes[footer + at + 1] = 2 * rows;
        std::fs::write(&path, bytes).unwrap();
        let error = read(&table(dir.path(), vec![n()], &[])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.message().contains(what), "{error}");
    }
}
