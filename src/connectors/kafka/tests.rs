//! Options as golden errors; source, sink and administration against librdkafka's mock cluster in the process.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit, TimestampMillisecondType};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::RDKafkaApiKey;

use super::*;
use crate::connectors::{Fetched, JobContext, Sink, Source, SourceBatch, Split, SplitReader, StartAt};
use crate::error::{ErrorKind, Span};
use crate::limits::RECORD_BYTES_MAX;
use crate::stream::{PartitionId, RowCounts, SourcePosition};
use crate::table::map::{map_array, map_type};
use crate::table::{ColumnKind, ColumnSpec, OptionValue, Options};

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster(topics: &[(&str, i32)]) -> Cluster {
    let cluster = MockCluster::new(4).unwrap();
    for (topic, partitions) in topics {
        cluster.create_topic(topic, *partitions, 3).unwrap();
    }
    cluster
}

/// Nothing here may take longer, whatever breaks.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("took more than 60 s")
}

fn column(name: &str, sql_type: &str, kind: ColumnKind) -> ColumnSpec {
    let data_type = match sql_type {
        "STRING" => DataType::Utf8,
        "BYTES" => DataType::Binary,
        "INT" => DataType::Int32,
        "BIGINT" => DataType::Int64,
        "TIMESTAMP_LTZ(3)" => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        "TIMESTAMP(3)" => DataType::Timestamp(TimeUnit::Millisecond, None),
        "MAP<STRING, BYTES>" => map_type(DataType::Utf8, DataType::Binary, true),
        other => panic!("no type {other}"),
    };
    ColumnSpec { name: name.into(), data_type, sql_type: sql_type.into(), nullable: true, kind }
}

fn physical(name: &str, sql_type: &str) -> ColumnSpec {
    column(name, sql_type, ColumnKind::Physical)
}

fn metadata(name: &str, sql_type: &str, key: &str, virtual_: bool) -> ColumnSpec {
    column(name, sql_type, ColumnKind::Metadata { key: key.into(), virtual_ })
}

/// A table; option *n* (sorted) stands in line *n* of the script.
fn table_of(columns: Vec<ColumnSpec>, options: &[(&str, &str)]) -> TableSpec {
    let sorted: BTreeMap<&str, &str> = options.iter().copied().collect();
    let options = sorted.iter().enumerate().map(|(index, (key, value))| {
        let span = Some(Span::new(index as u32 + 1, 1, 9));
        ((*key).to_owned(), OptionValue { value: (*value).to_owned(), span })
    });
    TableSpec {
        name: "readings".into(),
        columns,
        primary_key: Vec::new(),
        partitioned_by: Vec::new(),
        options: Options(options.collect()),
        span: Some(Span::new(99, 1, 9)),
    }
}

/// A table over one STRING column with the options every test wants.
fn text_table(cluster: &Cluster, topic: &str, more: &[(&str, &str)]) -> TableSpec {
    let bootstrap = cluster.bootstrap_servers();
    let mut options = vec![
        ("connector", "kafka"),
        ("topic", topic),
        ("properties.bootstrap.servers", bootstrap.as_str()),
        ("properties.fetch.wait.max.ms", "2"),
        ("format", "raw"),
        ("scan.startup.mode", "earliest-offset"),
    ];
    options.retain(|(key, _)| !more.iter().any(|(other, _)| other == key));
    options.extend_from_slice(more);
    table_of(vec![physical("value", "STRING")], &options)
}

fn job() -> JobContext {
    JobContext { pipeline: "test".into(), time_zone: "UTC".into(), ..JobContext::default() }
}

fn producer(cluster: &Cluster) -> Producer {
    Producer::connect(&cluster.bootstrap_servers(), []).unwrap()
}

/// Writes values to one partition, and waits for the acknowledgements.
async fn fill(cluster: &Cluster, topic: &str, partition: i32, values: &[&str]) {
    let producer = producer(cluster);
    for value in values {
        let record = Record { topic, partition: Some(partition), value: Some(value.as_bytes()), ..Record::default() };
        producer.send(record).await.unwrap();
    }
    producer.flush().await.unwrap();
    assert!(producer.failure().is_none());
}

async fn open(source: &mut KafkaSource, split: &Split, start: StartAt) -> Box<dyn SplitReader> {
    source.open(split, start).await.unwrap()
}

fn split(topic: &str, partition: i32) -> Split {
    Split { topic: topic.into(), partition, topic_index: 0 }
}

/// All batches up to the end of a bounded reader.
async fn drain(reader: &mut dyn SplitReader) -> Vec<SourceBatch> {
    let mut batches = Vec::new();
    while let Fetched::Rows(batch) = reader.next().await.unwrap() {
        assert_eq!(batch.rows.num_rows(), batch.offsets.len());
        assert_eq!(batch.read, batch.rows.num_rows() as u64 + batch.bad.len() as u64 + batch.tombstones);
        assert_eq!(batch.next_offset, reader.next_offset());
        batches.push(*batch);
    }
    batches
}

fn texts(batches: &[SourceBatch]) -> Vec<String> {
    let column = |batch: &SourceBatch| {
        let texts = batch.rows.column_by_name("value").unwrap().as_string::<i32>().clone();
        texts.iter().map(|text| text.unwrap().to_owned()).collect::<Vec<_>>()
    };
    batches.iter().flat_map(column).collect()
}

fn offsets(batches: &[SourceBatch]) -> Vec<i64> {
    batches.iter().flat_map(|batch| batch.offsets.values().to_vec()).collect()
}

/// Rows of an endless reader until there are `count`.
async fn read(reader: &mut dyn SplitReader, count: usize) -> Vec<SourceBatch> {
    let mut batches: Vec<SourceBatch> = Vec::new();
    while batches.iter().map(|b| b.rows.num_rows()).sum::<usize>() < count {
        match reader.next().await.unwrap() {
            Fetched::Rows(batch) => batches.push(*batch),
            Fetched::Gap(_) | Fetched::End => panic!("an endless reader ended"),
        }
    }
    batches
}

// ---- options ---------------------------------------------------------------------------------------------------

fn problems(table: &TableSpec, usage: Usage) -> Vec<String> {
    let mut errors = validate(table, usage);
    errors.sort_by_key(Error::span);
    errors
        .iter()
        .map(|e| {
            assert_eq!(e.kind(), ErrorKind::Config);
            let line = e.span().map_or(0, |span| span.line);
            match e.hint_text() {
                Some(hint) => format!("{line}: {} [{hint}]", e.message()),
                None => format!("{line}: {}", e.message()),
            }
        })
        .collect()
}

fn device_columns() -> Vec<ColumnSpec> {
    vec![
        physical("device_id", "STRING"),
        physical("data", "BIGINT"),
        metadata("ts", "TIMESTAMP_LTZ(3)", "timestamp", true),
    ]
}

#[test]
fn every_wrong_option_is_told_at_its_place() {
    let table = table_of(
        device_columns(),
        &[
            ("bad-records", "ignore"),
            ("bootstrap_servers", "h:1"),
            ("connector", "kafka"),
            ("format", "json"),
            ("key.fields", "device"),
            ("key.format", "json"),
            ("properties.bootstrap.servers", "h:1"),
            ("properties.enable.auto.commit", "true"),
            ("properties.fetch.wait.max.mss", "5"),
            ("properties.sasl.jaas.config", "x required password=\"hunter2\";"),
            ("properties.security.protocol", "SASL_SSL"),
            ("properties.session.timeout.ms", "soon"),
            ("scan.bounded.mode", "latest"),
            ("scan.startup.mode", "timestamp"),
            ("scan.startup.specific-offset", "x"),
            ("sink.delivery-guarantee", "exactly_once"),
            ("sink.partitioner", "com.example.Mine"),
            ("topic", "a;a"),
        ],
    );
    let expected = [
        "1: option \"bad-records\": \"ignore\" is not a valid value [valid values: ledger, fail, drop]",
        "2: connector \"kafka\" has no option \"bootstrap_servers\" [did you mean \"properties.bootstrap.servers\"?]",
        "5: table \"readings\" has no physical column \"device\" [did you mean \"device_id\"?]",
        "8: option \"properties.enable.auto.commit\" is set by the engine: offsets are committed with the epochs [leave it out]",
        "9: the kafka client has no property \"fetch.wait.max.mss\" [did you mean \"properties.fetch.wait.max.ms\"?]",
        "10: option \"properties.sasl.jaas.config\" is not a user and password of the PLAIN or SCRAM login module [set 'properties.sasl.username' and 'properties.sasl.password']",
        "11: security protocol \"SASL_SSL\" needs TLS, which this build does not have [use a \"PLAINTEXT\" or \"SASL_PLAINTEXT\" listener, or a TLS tunnel beside the engine]",
        "12: option \"properties.session.timeout.ms\" has a value the kafka client does not take",
        "13: option \"scan.bounded.mode\": \"latest\" is not a valid value [valid values: unbounded, latest-offset, group-offsets, timestamp, specific-offsets]",
        "14: mode \"timestamp\" needs option \"scan.startup.timestamp-millis\" [add 'scan.startup.timestamp-millis' = '1700000000000']",
        "15: connector \"kafka\" has no option \"scan.startup.specific-offset\" [did you mean \"scan.startup.specific-offsets\"?]",
        "16: option \"sink.delivery-guarantee\": \"exactly_once\" is not a valid value [did you mean \"exactly-once\"?]",
        "17: partitioner \"com.example.Mine\" is not supported [classes of Java cannot be loaded; valid values: default, fixed, round-robin]",
        "18: topic \"a\" is named twice",
    ];
    assert_eq!(problems(&table, Usage::Source), expected);
}

#[test]
fn missing_options_are_told_at_the_table() {
    let table = table_of(device_columns(), &[("connector", "kafka")]);
    let expected = [
        "99: table \"readings\" lacks the option \"topic\" [add 'topic' = '…' to WITH]",
        "99: table \"readings\" lacks the option \"properties.bootstrap.servers\" [add 'properties.bootstrap.servers' = 'host:port' to WITH, or 'embedded' for the cluster inside the process]",
        "99: table \"readings\" lacks the option \"format\" [add 'format' = 'json' to WITH]",
    ];
    assert_eq!(problems(&table, Usage::Source), expected);
}

#[test]
fn what_flink_scripts_say_is_taken() {
    let table = table_of(
        vec![physical("k", "STRING"), physical("v", "STRING"), metadata("p", "BIGINT", "partition", true)],
        &[
            ("connector", "kafka"),
            ("topic", "a;b"),
            ("properties.bootstrap.servers", "h1:9092,h2:9092"),
            ("properties.group.id", "g"),
            ("properties.key.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer"),
            ("properties.max.poll.records", "500"),
            ("properties.fetch.max.wait.ms", "100"),
            ("properties.security.protocol", "SASL_PLAINTEXT"),
            ("properties.sasl.mechanism", "PLAIN"),
            (
                "properties.sasl.jaas.config",
                "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"p;=\";",
            ),
            ("properties.auto.offset.reset", "earliest"),
            ("key.format", "raw"),
            ("key.fields", "k"),
            ("value.format", "raw"),
            ("value.fields-include", "EXCEPT_KEY"),
            ("scan.startup.mode", "group-offsets"),
            ("scan.watermark.idle-timeout", "5 s"),
            ("scan.watermark.alignment.group", "g"),
            ("scan.topic-partition-discovery.interval", "10s"),
            ("sink.partitioner", "default"),
            ("sink.delivery-guarantee", "at-least-once"),
            ("sink.transactional-id-prefix", "x"),
            ("sink.parallelism", "1"),
        ],
    );
    assert_eq!(problems(&table, Usage::Source), Vec::<String>::new());
    let options = parse(&table, Usage::Source).unwrap();
    assert_eq!(options.discovery, Some(Duration::from_secs(10)));
    assert_eq!(options.properties.get("sasl.username"), Some("u"));
    assert_eq!(options.properties.get("sasl.password"), Some("p;="));
    assert_eq!(options.properties.get("fetch.wait.max.ms"), Some("100"));
    assert_eq!(options.properties.ignored, ["key.deserializer", "max.poll.records"]);
    assert!(!format!("{options:?}").contains("p;="), "a secret is shown");
    let sink = problems(&table, Usage::Sink);
    assert!(sink.len() == 1 && sink[0].contains("more than one topic"), "{sink:?}");
}

#[test]
fn secrets_are_never_part_of_a_message() {
    let secret = "s3cr3t";
    for name in [
        "sasl.password",
        "ssl.key.pem",
        "ssl.key.password",
        "sasl.oauthbearer.config",
        "ssl.truststore.password",
        "sasl.jaas.config",
        "session.timeout.ms",
        "no.such.thing",
        "ssl.keystore.location",
    ] {
        let key = format!("properties.{name}");
        let options = [
            ("connector", "kafka"),
            ("topic", "t"),
            ("format", "raw"),
            ("properties.bootstrap.servers", "h:1"),
            ("properties.security.protocol", "SSL"),
            (key.as_str(), secret),
        ];
        let table = table_of(vec![physical("v", "STRING")], &options);
        let errors = validate(&table, Usage::Source);
        assert!(!errors.is_empty());
        assert!(!format!("{errors:?}").contains(secret), "{name}");
    }
}

#[test]
fn bounded_by_mode() {
    let base = [("connector", "kafka"), ("topic", "t"), ("format", "raw"), ("properties.bootstrap.servers", "h:1")];
    let columns = || vec![physical("v", "STRING")];
    assert!(!bounded(&table_of(columns(), &base)).unwrap());
    let mut options = base.to_vec();
    options.push(("scan.bounded.mode", "latest-offset"));
    assert!(bounded(&table_of(columns(), &options)).unwrap());
}

fn at_least_once(table: &TableSpec) -> KafkaSink {
    KafkaSink::open(table, &parse(table, Usage::Sink).unwrap(), &job()).unwrap()
}

// ---- source ----------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one round trip, compared column by column")]
async fn reads_back_exactly_what_was_written() {
    let cluster = cluster(&[("t", 4)]);
    let producer = producer(&cluster);
    let mut written = Vec::new();
    for index in 0..2_000_i64 {
        let partition = (index % 4) as i32;
        let (key, value) = (format!("key-{index}"), format!("value-{index}"));
        let headers: [(&str, Option<&[u8]>); 2] = [("trace", Some(b"\xff\x00")), ("nothing", None)];
        let record = Record {
            topic: "t",
            partition: Some(partition),
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            timestamp: Some(1_700_000_000_000 + index),
            headers: &headers,
            ..Record::default()
        };
        producer.send(record).await.unwrap();
        written.push((partition, key, value, 1_700_000_000_000 + index));
    }
    producer.flush().await.unwrap();
    ffi::produce_with_header(producer.native_ptr(), ("t", 0), b"odd", (b"a\xff", b"x"));
    producer.flush().await.unwrap();
    assert_eq!(producer.deliveries("t")[&0], Deliveries { delivered: 501, failed: 0 });

    let mut table = text_table(
        &cluster,
        "t",
        &[
            ("scan.bounded.mode", "latest-offset"),
            ("key.format", "raw"),
            ("key.fields", "k"),
            ("value.fields-include", "EXCEPT_KEY"),
        ],
    );
    table.columns.splice(0..0, [metadata("p", "BIGINT", "partition", true), physical("k", "STRING")]);
    table.columns.extend([
        metadata("h", "MAP<STRING, BYTES>", "headers", true),
        metadata("ts", "TIMESTAMP_LTZ(3)", "timestamp", true),
        metadata("local", "TIMESTAMP(3)", "timestamp", true),
        metadata("kind", "STRING", "timestamp-type", true),
        metadata("topic", "STRING", "topic", true),
        metadata("offset", "BIGINT", "offset", true),
        metadata("epoch", "INT", "leader-epoch", true),
    ]);
    let job = JobContext { time_zone: "Asia/Tokyo".into(), ..job() };
    let mut source = KafkaSource::open(&table, &job).unwrap();
    let splits = soon(source.splits()).await.unwrap();
    assert_eq!(
        splits.iter().map(|s| (s.topic.as_str(), s.partition)).collect::<Vec<_>>(),
        [("t", 0), ("t", 1), ("t", 2), ("t", 3)]
    );
    let mut read_back = Vec::new();
    for split in &splits {
        let mut reader = soon(open(&mut source, split, StartAt::Configured)).await;
        assert_eq!(reader.next_offset(), 0);
        let batches = soon(drain(reader.as_mut())).await;
        assert_eq!(reader.lag(), Some(0));
        for batch in &batches {
            assert_eq!(batch.rows.schema(), table.source_schema());
            let text = |name: &str, row: usize| {
                batch.rows.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned()
            };
            let long = |name: &str, row: usize| {
                batch.rows.column_by_name(name).unwrap().as_primitive::<Int64Type>().value(row)
            };
            let time = |name: &str, row: usize| {
                batch.rows.column_by_name(name).unwrap().as_primitive::<TimestampMillisecondType>().value(row)
            };
            for row in 0..batch.rows.num_rows() {
                let ms = batch.timestamps.as_ref().unwrap().value(row);
                assert_eq!((time("ts", row), time("local", row)), (ms, ms + 9 * 3_600_000));
                assert_eq!((text("kind", row), text("topic", row)), ("CreateTime".to_owned(), "t".to_owned()));
                assert_eq!(long("offset", row), batch.offsets.value(row));
                let header = batch.rows.column_by_name("h").unwrap().as_map().value(row);
                let names: Vec<_> = header
                    .column(0)
                    .as_struct()
                    .column(0)
                    .as_string::<i32>()
                    .iter()
                    .map(|n| n.unwrap().to_owned())
                    .collect();
                if text("value", row) == "odd" {
                    assert_eq!(names, ["a\u{fffd}"]);
                    assert!(batch.rows.column_by_name("k").unwrap().is_null(row));
                    continue;
                }
                assert_eq!(names, ["nothing", "trace"]);
                assert!(header.column(1).is_null(0));
                assert_eq!(header.column(1).as_binary::<i32>().value(1), b"\xff\x00");
                read_back.push((long("p", row) as i32, text("k", row), text("value", row), ms));
            }
        }
    }
    read_back.sort_by_key(|(.., ms)| *ms);
    assert_eq!(read_back, written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_and_ends_at_the_numbers_given() {
    let cluster = cluster(&[("t", 2)]);
    let values: Vec<String> = (0..100).map(|i| i.to_string()).collect();
    let refs: Vec<&str> = values.iter().map(String::as_str).collect();
    fill(&cluster, "t", 0, &refs).await;
    let table = text_table(
        &cluster,
        "t",
        &[
            ("scan.startup.mode", "specific-offsets"),
            ("scan.startup.specific-offsets", "partition:0,offset:42"),
            ("scan.bounded.mode", "specific-offsets"),
            ("scan.bounded.specific-offsets", "partition:0,offset:60;partition:1,offset:0"),
        ],
    );
    let mut source = KafkaSource::open(&table, &job()).unwrap();
    let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await;
    assert_eq!(offsets(&soon(drain(reader.as_mut())).await), (42..60).collect::<Vec<_>>());
    drop(reader);
    // Restored in the middle, and once more on the same consumer.
    let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Offset(57))).await;
    assert_eq!(texts(&soon(drain(reader.as_mut())).await), ["57", "58", "59"]);
    // An empty stretch ends at once.
    let mut empty = soon(open(&mut source, &split("t", 1), StartAt::Earliest)).await;
    assert!(soon(drain(empty.as_mut())).await.is_empty());

    let latest = text_table(&cluster, "t", &[("scan.startup.mode", "latest-offset")]);
    let mut source = KafkaSource::open(&latest, &job()).unwrap();
    let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await;
    assert_eq!((reader.next_offset(), reader.lag()), (100, Some(0)));
    fill(&cluster, "t", 0, &["new"]).await;
    assert_eq!(texts(&soon(read(reader.as_mut(), 1)).await), ["new"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_ahead_is_waited_for() {
    let cluster = cluster(&[("t", 1)]);
    fill(&cluster, "t", 0, &["a", "b"]).await;
    let table = text_table(
        &cluster,
        "t",
        &[("scan.bounded.mode", "specific-offsets"), ("scan.bounded.specific-offsets", "partition:0,offset:3")],
    );
    let mut source = KafkaSource::open(&table, &job()).unwrap();
    let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await;
    assert_eq!(texts(&soon(read(reader.as_mut(), 2)).await), ["a", "b"]);
    let (rest, ()) = soon(async { tokio::join!(drain(reader.as_mut()), fill(&cluster, "t", 0, &["c", "d"])) }).await;
    assert_eq!(texts(&rest), ["c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_record_harms_no_neighbour() {
    let cluster = cluster(&[("t", 1)]);
    let producer = producer(&cluster);
    let send = |value: Option<&'static [u8]>| {
        producer.send(Record { topic: "t", value, timestamp: Some(7_000), ..Record::default() })
    };
    for value in [Some(b"a".as_slice()), Some(b"\xff\xfe"), None, Some(b"b"), Some(b""), None] {
        send(value).await.unwrap();
    }
    producer.flush().await.unwrap();
    for policy in ["ledger", "drop"] {
        let table = text_table(&cluster, "t", &[("scan.bounded.mode", "latest-offset"), ("bad-records", policy)]);
        let mut source = KafkaSource::open(&table, &job()).unwrap();
        let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await;
        let batches = soon(drain(reader.as_mut())).await;
        assert_eq!((texts(&batches), offsets(&batches)), (vec!["a".into(), "b".into(), String::new()], vec![0, 3, 4]));
        assert_eq!(batches.iter().map(|b| b.tombstones).sum::<u64>(), 2);
        assert_eq!(batches.iter().map(|b| b.read).sum::<u64>(), 6);
        let bad: Vec<_> = batches.iter().flat_map(|b| b.bad.clone()).collect();
        assert_eq!(bad.len(), 1);
        assert_eq!((bad[0].offset, bad[0].timestamp, bad[0].code), (1, Some(7_000), "RAW_UTF8"));
        assert_eq!(bad[0].raw, (policy == "ledger").then(|| b"\xff\xfe".to_vec()));
    }
    let table = text_table(&cluster, "t", &[("scan.bounded.mode", "latest-offset"), ("bad-records", "fail")]);
    let mut source = KafkaSource::open(&table, &job()).unwrap();
    let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await;
    let error = soon(reader.next()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(
        error.message(),
        "record at offset 1 of partition 0 of topic \"t\" cannot be read: it is not UTF-8, and its column is a STRING"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_records_go_to_the_ledger() {
    let cluster = cluster(&[("t", 1)]);
    let producer = Producer::connect(&cluster.bootstrap_servers(), [("message.max.bytes", "20000000")]).unwrap();
    let big = vec![b'x'; RECORD_BYTES_MAX + 1];
    // Compressed, or the mock would not keep it.
    let packed = Producer::connect(
        &cluster.bootstrap_servers(),
        [("message.max.bytes", "20000000"), ("compression.codec", "zstd")],
    )
    .unwrap();
    for (producer, value) in [(&producer, b"a".as_slice()), (&packed, &big), (&producer, b"b")] {
        producer.send(Record { topic: "t", value: Some(value), ..Record::default() }).await.unwrap();
        producer.flush().await.unwrap();
    }
    let table = text_table(&cluster, "t", &[("scan.bounded.mode", "latest-offset")]);
    let mut source = KafkaSource::open(&table, &job()).unwrap();
    let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await;
    let batches = soon(drain(reader.as_mut())).await;
    assert_eq!(texts(&batches), ["a", "b"]);
    let bad: Vec<_> = batches.iter().flat_map(|b| b.bad.clone()).collect();
    assert_eq!((bad.len(), bad[0].code, bad[0].offset), (1, "TOO_LARGE", 1));
    assert_eq!(bad[0].raw.as_ref().map(Vec::len), Some(crate::limits::BAD_RECORD_BYTES_MAX));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_records_are_read() {
    let cluster = cluster(&[("t", 1)]);
    for codec in ["zstd", "lz4", "gzip", "snappy"] {
        let producer = Producer::connect(&cluster.bootstrap_servers(), [("compression.codec", codec)]).unwrap();
        for index in 0..200 {
            let value = format!("{codec}-{index}");
            producer.send(Record { topic: "t", value: Some(value.as_bytes()), ..Record::default() }).await.unwrap();
        }
        producer.flush().await.unwrap();
    }
    let table = text_table(&cluster, "t", &[("scan.bounded.mode", "latest-offset")]);
    let mut source = KafkaSource::open(&table, &job()).unwrap();
    let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await;
    let read = texts(&soon(drain(reader.as_mut())).await);
    let expected: Vec<String> =
        ["zstd", "lz4", "gzip", "snappy"].iter().flat_map(|c| (0..200).map(move |i| format!("{c}-{i}"))).collect();
    assert_eq!(read, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_comes_back_costs_nothing() {
    let cluster = cluster(&[("t", 1)]);
    cluster.partition_leader("t", 0, Some(2)).unwrap();
    fill(&cluster, "t", 0, &["a"]).await;
    let table = text_table(&cluster, "t", &[]);
    let mut source = KafkaSource::open(&table, &job()).unwrap();
    let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await;
    assert_eq!(texts(&soon(read(reader.as_mut(), 1)).await), ["a"]);
    cluster.broker_down(2).unwrap();
    let producer = producer(&cluster);
    for value in ["b", "c"] {
        producer.send(Record { topic: "t", value: Some(value.as_bytes()), ..Record::default() }).await.unwrap();
    }
    // Nothing arrives while the leader is down, and waiting for it can be given up without loss.
    assert!(tokio::time::timeout(Duration::from_millis(300), reader.next()).await.is_err());
    cluster.broker_up(2).unwrap();
    soon(producer.flush()).await.unwrap();
    let batches = soon(read(reader.as_mut(), 2)).await;
    assert_eq!((texts(&batches), offsets(&batches)), (vec!["b".into(), "c".into()], vec![1, 2]));
    // The leader moves.
    cluster.partition_leader("t", 0, Some(3)).unwrap();
    fill(&cluster, "t", 0, &["d"]).await;
    assert_eq!(texts(&soon(read(reader.as_mut(), 1)).await), ["d"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_offsets_are_an_error_with_their_number() {
    let cluster = cluster(&[("t", 1)]);
    let producer = producer(&cluster);
    let value = vec![b'x'; 100_000];
    for _ in 0..80 {
        producer.send(Record { topic: "t", value: Some(&value), ..Record::default() }).await.unwrap();
    }
    producer.flush().await.unwrap();
    let admin = TopicAdmin::connect(&cluster.bootstrap_servers(), []).unwrap();
    let (low, high) = soon(admin.offsets("t")).await.unwrap()[&0];
    assert!(low > 0 && high == 80, "the mock keeps 5 MiB: {low} {high}");
    let mut source = KafkaSource::open(&text_table(&cluster, "t", &[]), &job()).unwrap();
    let error = |result: Result<Box<dyn SplitReader>>| result.err().unwrap();
    let lost = error(soon(source.open(&split("t", 0), StartAt::Offset(0))).await);
    assert_eq!(lost.kind(), ErrorKind::Data);
    assert!(lost.message().starts_with(&format!("{low} records of partition 0 of topic \"t\" are gone")), "{lost}");
    let behind = error(soon(source.open(&split("t", 0), StartAt::Offset(81))).await);
    assert_eq!(
        behind.message(),
        "1 records of partition 0 of topic \"t\" that were read are no longer there: it was read up to offset 81 and ends at 80"
    );
    for error in [&lost, &behind] {
        assert!(error.hint_text().unwrap().contains("--fresh"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_lost_while_reading_are_an_error() {
    let cluster = cluster(&[("t", 1)]);
    fill(&cluster, "t", 0, &["a"]).await;
    let table = text_table(&cluster, "t", &[("properties.queued.max.messages.kbytes", "1")]);
    let mut source = KafkaSource::open(&table, &job()).unwrap();
    let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await;
    assert_eq!(texts(&soon(read(reader.as_mut(), 1)).await), ["a"]);
    // The reader does not take anything while the topic forgets what it has not read.
    let producer = producer(&cluster);
    let value = vec![b'x'; 100_000];
    for _ in 0..200 {
        producer.send(Record { topic: "t", value: Some(&value), ..Record::default() }).await.unwrap();
    }
    soon(producer.flush()).await.unwrap();
    let error = loop {
        match soon(reader.next()).await {
            Ok(Fetched::Rows(_)) => {}
            Ok(_) => panic!("an endless reader ended"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().contains("are gone"), "{error}");
}

/// 80 records of 100 kB, of which the mock keeps 5 MiB; returns the first one there is.
async fn overflow(cluster: &Cluster) -> i64 {
    let producer = producer(cluster);
    let value = vec![b'x'; 100_000];
    for _ in 0..80 {
        producer.send(Record { topic: "t", value: Some(&value), ..Record::default() }).await.unwrap();
    }
    producer.flush().await.unwrap();
    let admin = TopicAdmin::connect(&cluster.bootstrap_servers(), []).unwrap();
    soon(admin.offsets("t")).await.unwrap()[&0].0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_offsets_are_a_gap_if_the_table_says_so() {
    let cluster = cluster(&[("t", 1)]);
    let low = overflow(&cluster).await;
    assert!(low > 0);
    let table = text_table(&cluster, "t", &[("scan.on-data-loss", "ledger"), ("scan.bounded.mode", "latest-offset")]);
    for (start, first, rest) in [(0, low, 80 - low), (81, 80, 0)] {
        let mut source = KafkaSource::open(&table, &job()).unwrap();
        let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Offset(start))).await;
        // a crash before the gap is told must find it again
        assert_eq!(reader.next_offset(), start);
        let Fetched::Gap(gap) = soon(reader.next()).await.unwrap() else { panic!("no gap") };
        assert_eq!((gap.first, gap.next, gap.count), (start, first, Some(start.abs_diff(first))));
        assert_eq!(reader.next_offset(), first);
        assert_eq!(offsets(&soon(drain(reader.as_mut())).await).len() as i64, rest);
    }
    let wrong = text_table(&cluster, "t", &[("scan.on-data-loss", "ignore")]);
    let problems = problems(&wrong, Usage::Source);
    assert!(problems.iter().any(|problem| problem.contains("scan.on-data-loss")), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_lost_while_reading_are_a_gap_if_the_table_says_so() {
    let cluster = cluster(&[("t", 1)]);
    fill(&cluster, "t", 0, &["a"]).await;
    let table =
        text_table(&cluster, "t", &[("properties.queued.max.messages.kbytes", "1"), ("scan.on-data-loss", "ledger")]);
    let mut source = KafkaSource::open(&table, &job()).unwrap();
    let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await;
    assert_eq!(texts(&soon(read(reader.as_mut(), 1)).await), ["a"]);
    for _ in 0..3 {
        overflow(&cluster).await;
    }
    let (mut rows, mut lost) = (1, 0);
    while rows + lost < 241 {
        match soon(reader.next()).await.unwrap() {
            Fetched::Rows(batch) => rows += batch.rows.num_rows() as u64,
            Fetched::Gap(gap) => lost += gap.count.unwrap(),
            Fetched::End => panic!("an endless reader ended"),
        }
    }
    assert!(lost > 0 && rows > 1 && rows + lost == 241, "{rows} rows and {lost} lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_records_are_found_by_offset_or_the_reason_is_told() {
    let cluster = cluster(&[("t", 1), ("few", 1)]);
    let low = overflow(&cluster).await;
    let fetcher = Fetcher::open(&text_table(&cluster, "t", &[])).unwrap();
    let wanted = [0, low, 79, 80].into();
    let found = soon(fetcher.records("t", 0, &wanted)).await.unwrap();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [0, low, 79, 80]);
    assert!(found[&0].as_ref().unwrap_err().contains("retention"));
    assert!(found[&80].as_ref().unwrap_err().contains("beyond the end"));
    assert_eq!(found[&low].as_ref().unwrap().value.as_ref().unwrap().len(), 100_000);
    assert!(found[&79].is_ok());
    let headers: &[(&str, Option<&[u8]>)] = &[("h", Some(b"1"))];
    let producer = fetcher.producer().unwrap();
    let record = Record { topic: "few", key: Some(b"k"), timestamp: Some(17), headers, ..Record::default() };
    producer.send(record).await.unwrap();
    soon(producer.flush()).await.unwrap();
    let found = soon(fetcher.records("few", 0, &[0].into())).await.unwrap();
    let expected = StoredRecord {
        key: Some(b"k".to_vec()),
        value: None,
        timestamp: Some(17),
        headers: vec![("h".into(), Some(b"1".to_vec()))],
    };
    assert_eq!(found[&0], Ok(expected));
    let nowhere = soon(fetcher.records("few", 7, &[0].into())).await.unwrap();
    assert!(nowhere[&0].as_ref().unwrap_err().contains("gone"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_cluster_goes_on_counting() {
    let cluster = cluster(&[("t", 1)]);
    fill(&cluster, "t", 0, &["a", "b"]).await;
    let mut table = text_table(
        &cluster,
        "t",
        &[("properties.bootstrap.servers", "embedded"), ("scan.bounded.mode", "latest-offset")],
    );
    table.columns.push(metadata("offset", "BIGINT", "offset", true));
    assert!(KafkaSource::open(&table, &job()).is_err(), "no embedded cluster was started");
    let job = JobContext {
        embedded_bootstrap: Some(cluster.bootstrap_servers()),
        embedded_offsets: BTreeMap::from([(("t".to_owned(), 0), 1_000)]),
        ..job()
    };
    let mut source = KafkaSource::open(&table, &job).unwrap();
    let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Offset(1_000))).await;
    assert_eq!(reader.next_offset(), 1_000);
    let batches = soon(drain(reader.as_mut())).await;
    assert_eq!((offsets(&batches), reader.next_offset()), (vec![1_000, 1_001], 1_002));
    assert_eq!(batches[0].rows.column(1).as_primitive::<Int64Type>().value(0), 1_000);
    drop(reader);
    let lost = soon(source.open(&split("t", 0), StartAt::Offset(990))).await.err().unwrap();
    assert!(lost.message().starts_with("10 records"), "{lost}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_offsets_are_told_and_used_only_if_asked() {
    let cluster = cluster(&[("t", 1)]);
    fill(&cluster, "t", 0, &["a", "b", "c"]).await;
    let group =
        [("scan.startup.mode", "group-offsets"), ("properties.group.id", "g"), ("scan.bounded.mode", "latest-offset")];
    let mut source = KafkaSource::open(&text_table(&cluster, "t", &group), &job()).unwrap();
    let none = soon(source.open(&split("t", 0), StartAt::Configured)).await.err().unwrap();
    assert_eq!(none.message(), "group \"g\" has no offset for partition 0 of topic \"t\"");
    source.committed(&[(split("t", 0), 2)]);
    let mut reader = loop {
        // The commit is asynchronous: ask until it has arrived.
        match soon(source.open(&split("t", 0), StartAt::Configured)).await {
            Ok(reader) => break reader,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(texts(&soon(drain(reader.as_mut())).await), ["c"]);
    let mut reset = group.to_vec();
    reset.extend([("properties.auto.offset.reset", "earliest")]);
    reset[1].1 = "another";
    let mut source = KafkaSource::open(&text_table(&cluster, "t", &reset), &job()).unwrap();
    let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await;
    assert_eq!(texts(&soon(drain(reader.as_mut())).await), ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_found_by_name_and_pattern() {
    let cluster = cluster(&[("site-1", 2), ("site-2", 1), ("other", 1)]);
    let wrong = text_table(&cluster, "site-3", &[]);
    let mut source = KafkaSource::open(&wrong, &job()).unwrap();
    let missing = soon(source.splits()).await.unwrap_err();
    assert_eq!(missing.message(), "there is no topic \"site-3\"");
    assert!(missing.hint_text().unwrap().contains("\"site-"), "{missing}");
    let mut table = text_table(&cluster, "", &[("topic-pattern", "site-[12]")]);
    table.options.0.remove("topic");
    let mut source = KafkaSource::open(&table, &job()).unwrap();
    assert_eq!(source.discovers(), Some(Duration::from_secs(300)));
    let found = soon(source.splits()).await.unwrap();
    let names: Vec<_> = found.iter().map(|s| (s.topic.as_str(), s.partition, s.topic_index)).collect();
    assert_eq!(names, [("site-1", 0, 0), ("site-1", 1, 0), ("site-2", 0, 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_brokers_are_unavailable() {
    let table = table_of(
        vec![physical("v", "STRING")],
        &[
            ("connector", "kafka"),
            ("topic", "t"),
            ("format", "raw"),
            ("properties.bootstrap.servers", "127.0.0.1:1"),
            ("scan.startup.mode", "earliest-offset"),
        ],
    );
    let mut source = KafkaSource::open(&table, &job()).unwrap();
    let error = soon(source.splits()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.hint_text().unwrap().contains("properties.bootstrap.servers"), "{error}");
}

// ---- sink ------------------------------------------------------------------------------------------------------

/// Kafka's `Utils.murmur2`, written from the algorithm (Austin Appleby's MurmurHash2 with Kafka's seed).
fn murmur2(data: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().unwrap()).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        for (index, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    (hash ^ (hash >> 15)) as i32
}

fn sink_table(cluster: &Cluster, more: &[(&str, &str)]) -> TableSpec {
    let mut options = vec![("value.fields-include", "EXCEPT_KEY"), ("key.format", "raw"), ("key.fields", "k")];
    options.extend_from_slice(more);
    let mut table = text_table(cluster, "t", &options);
    table.columns.insert(0, physical("k", "STRING"));
    table
}

fn rows(table: &TableSpec, columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(table.sink_schema(), columns).unwrap()
}

/// (partition, key, value) of all records of the four partitions.
async fn stored(cluster: &Cluster) -> Vec<(i32, Option<String>, String)> {
    let mut table = sink_table(cluster, &[("scan.bounded.mode", "latest-offset")]);
    table.columns.push(metadata("p", "INT", "partition", true));
    let mut source = KafkaSource::open(&table, &job()).unwrap();
    let mut found = Vec::new();
    for partition in 0..4 {
        let mut reader = soon(open(&mut source, &split("t", partition), StartAt::Earliest)).await;
        for batch in soon(drain(reader.as_mut())).await {
            let (keys, values) = (batch.rows.column(0).as_string::<i32>(), batch.rows.column(1).as_string::<i32>());
            let partitions = batch.rows.column(2).as_primitive::<Int32Type>();
            for row in 0..batch.rows.num_rows() {
                let key = keys.is_valid(row).then(|| keys.value(row).to_owned());
                found.push((partitions.value(row), key, values.value(row).to_owned()));
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_go_where_java_sends_them() {
    for (text, hash) in [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ] {
        assert_eq!(murmur2(text.as_bytes()), hash, "{text}");
    }
    let cluster = cluster(&[("t", 4)]);
    let table = sink_table(&cluster, &[]);
    let mut sink = at_least_once(&table);
    sink.restore(None).await.unwrap();
    let keys: Vec<String> = (0..500).map(|i| format!("device-{i}")).collect();
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(keys.iter().map(|k| format!("of {k}"))));
    soon(sink.write(rows(&table, vec![Arc::new(StringArray::from(keys)), values]))).await.unwrap();
    soon(sink.prepare(1, false)).await.unwrap();
    sink.commit(1).await.unwrap();
    let found = stored(&cluster).await;
    assert_eq!(found.len(), 500);
    for (partition, key, value) in &found {
        let key = key.as_ref().unwrap();
        assert_eq!(*partition, (murmur2(key.as_bytes()) & 0x7fff_ffff) % 4, "{key}");
        assert_eq!(*value, format!("of {key}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fixed_and_round_robin() {
    for (partitioner, expected) in [("fixed", [8, 0, 0, 0]), ("round-robin", [2, 2, 2, 2])] {
        let cluster = cluster(&[("t", 4)]);
        let table = text_table(&cluster, "t", &[("sink.partitioner", partitioner)]);
        let mut sink = at_least_once(&table);
        let values: ArrayRef = Arc::new(StringArray::from_iter_values((0..8).map(|i| i.to_string())));
        soon(sink.write(rows(&table, vec![values]))).await.unwrap();
        soon(sink.prepare(1, true)).await.unwrap();
        let admin = TopicAdmin::connect(&cluster.bootstrap_servers(), []).unwrap();
        let ends: Vec<i64> = soon(admin.offsets("t")).await.unwrap().values().map(|(low, high)| high - low).collect();
        assert_eq!(ends, expected, "{partitioner}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_columns_are_written() {
    let cluster = cluster(&[("t", 1), ("u", 1)]);
    let mut table = text_table(&cluster, "t;u", &[("scan.bounded.mode", "latest-offset")]);
    table.columns.extend([
        metadata("where", "STRING", "topic", false),
        metadata("at", "TIMESTAMP_LTZ(3)", "timestamp", false),
        metadata("h", "MAP<STRING, BYTES>", "headers", false),
        metadata("p", "INT", "partition", true),
    ]);
    assert_eq!(problems(&table, Usage::Sink), Vec::<String>::new());
    let mut sink = at_least_once(&table);
    let headers = map_array(
        &map_type(DataType::Utf8, DataType::Binary, true),
        arrow::buffer::OffsetBuffer::from_lengths([1, 0]),
        Arc::new(StringArray::from(vec!["a"])),
        Arc::new(BinaryArray::from_vec(vec![b"\x01"])),
        None,
    );
    let times = TimestampMillisecondArray::from(vec![5_000, 6_000]).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![Some("one"), None])),
        Arc::new(StringArray::from(vec!["u", "t"])),
        Arc::new(times),
        Arc::new(headers.unwrap()),
    ];
    soon(sink.write(rows(&table, columns))).await.unwrap();
    soon(sink.prepare(1, true)).await.unwrap();
    let mut source = KafkaSource::open(&table, &job()).unwrap();
    let mut reader = soon(open(&mut source, &split("u", 0), StartAt::Earliest)).await;
    let batches = soon(drain(reader.as_mut())).await;
    assert_eq!(texts(&batches), ["one"]);
    assert_eq!(batches[0].timestamps.as_ref().unwrap().values(), &[5_000]);
    assert_eq!(batches[0].rows.column(3).as_map().value(0).column(1).as_binary::<i32>().value(0), b"\x01");
    // A NULL taken as it is has no bytes: a tombstone.
    let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Earliest)).await;
    assert_eq!(soon(drain(reader.as_mut())).await.iter().map(|b| b.tombstones).sum::<u64>(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_too_large_is_told() {
    let cluster = cluster(&[("t", 1)]);
    let table = text_table(&cluster, "t", &[("properties.max.request.size", "1000")]);
    let mut sink = at_least_once(&table);
    let values: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(2_000)]));
    let error = soon(sink.write(rows(&table, vec![values]))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(error.message(), "a row of 2000 bytes is too large for topic \"t\"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_waits_and_a_refused_row_fails_the_epoch() {
    let cluster = cluster(&[("t", 1)]);
    let table = text_table(&cluster, "t", &[("properties.queue.buffering.max.messages", "10")]);
    let mut sink = at_least_once(&table);
    let batch = || rows(&table, vec![Arc::new(StringArray::from_iter_values((0..500).map(|i| i.to_string())))]);
    soon(sink.write(batch())).await.unwrap();
    soon(sink.prepare(1, false)).await.unwrap();
    let admin = TopicAdmin::connect(&cluster.bootstrap_servers(), []).unwrap();
    assert_eq!(soon(admin.offsets("t")).await.unwrap()[&0], (0, 500));
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 5],
    );
    let error = match soon(sink.write(batch())).await {
        Ok(()) => soon(sink.prepare(2, false)).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_are_waited_for() {
    let cluster = cluster(&[("t", 4)]);
    for partition in 0..4 {
        cluster.partition_leader("t", partition, Some(partition + 1)).unwrap();
    }
    let admin = TopicAdmin::connect(&cluster.bootstrap_servers(), []).unwrap();
    assert_eq!(soon(admin.wait_for_leaders("t", Duration::from_secs(10))).await.unwrap(), [1, 2, 3, 4]);
    assert_eq!(soon(admin.brokers()).await.unwrap(), [1, 2, 3, 4]);
}

// ---- formats ---------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_keys_and_values_meet_in_one_row() {
    let cluster = cluster(&[("t", 1)]);
    let bootstrap = cluster.bootstrap_servers();
    let table = table_of(
        vec![physical("data", "BIGINT"), physical("k_device", "STRING")],
        &[
            ("connector", "kafka"),
            ("topic", "t"),
            ("properties.bootstrap.servers", &bootstrap),
            ("key.format", "json"),
            ("key.fields", "k_device"),
            ("key.fields-prefix", "k_"),
            ("key.json.ignore-parse-errors", "false"),
            ("value.format", "json"),
            ("value.json.fail-on-missing-field", "true"),
            ("value.fields-include", "EXCEPT_KEY"),
            ("scan.startup.mode", "earliest-offset"),
            ("scan.bounded.mode", "latest-offset"),
        ],
    );
    assert_eq!(problems(&table, Usage::Source), Vec::<String>::new());
    let mut sink = at_least_once(&table);
    let columns: Vec<ArrayRef> =
        vec![Arc::new(arrow::array::Int64Array::from(vec![1])), Arc::new(StringArray::from(vec!["a"]))];
    soon(sink.write(rows(&table, columns))).await.unwrap();
    soon(sink.prepare(1, true)).await.unwrap();
    let producer = producer(&cluster);
    let records: [(Option<&[u8]>, &[u8]); 5] = [
        (Some(b"{\"device\":\"b\"}"), b"{\"data\":2"),
        (None, b"{\"data\":3}"),
        (Some(b"{\"device\":"), b"{\"data\":4}"),
        (Some(b"{\"device\":\"e\"}"), b"{}"),
        (Some(b"{\"device\":\"f\"}"), b"{\"data\":6}"),
    ];
    for (key, value) in records {
        producer.send(Record { topic: "t", key, value: Some(value), ..Record::default() }).await.unwrap();
    }
    producer.flush().await.unwrap();
    let mut source = KafkaSource::open(&table, &job()).unwrap();
    let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await;
    let batches = soon(drain(reader.as_mut())).await;
    let mut found = Vec::new();
    for batch in &batches {
        let (data, keys) = (batch.rows.column(0).as_primitive::<Int64Type>(), batch.rows.column(1).as_string::<i32>());
        found.extend((0..batch.rows.num_rows()).map(|row| (data.value(row), keys.value(row).to_owned())));
    }
    assert_eq!(found, [(1, "a".to_owned()), (6, "f".to_owned())]);
    let bad: Vec<(i64, &str)> = batches.iter().flat_map(|b| &b.bad).map(|b| (b.offset, b.code)).collect();
    assert_eq!(bad.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [1, 2, 3, 4], "{bad:?}");
    assert_eq!(bad[1].1, "KEY_MISSING");
    // The key as Java's Flink writes it.
    let raw = text_table(
        &cluster,
        "t",
        &[
            ("scan.bounded.mode", "latest-offset"),
            ("key.format", "raw"),
            ("key.fields", "k"),
            ("value.fields-include", "EXCEPT_KEY"),
        ],
    );
    let mut raw = raw;
    raw.columns.insert(0, physical("k", "STRING"));
    let mut source = KafkaSource::open(&raw, &job()).unwrap();
    let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await;
    let batches = soon(drain(reader.as_mut())).await;
    assert_eq!(batches[0].rows.column(0).as_string::<i32>().value(0), "{\"device\":\"a\"}");
    assert_eq!(batches[0].rows.column(1).as_string::<i32>().value(0), "{\"data\":1}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_counted_as_they_come_and_rows_of_arrays_too() {
    let cluster = cluster(&[("t", 1)]);
    fill(&cluster, "t", 0, &["{\"n\":1}", "[{\"n\":2},{\"n\":3}]", "[]", "no JSON", "{\"n\":4}"]).await;
    let servers = cluster.bootstrap_servers();
    let options = |policy| {
        [
            ("connector", "kafka"),
            ("topic", "t"),
            ("properties.bootstrap.servers", servers.as_str()),
            ("scan.startup.mode", "earliest-offset"),
            ("scan.bounded.mode", "latest-offset"),
            ("format", "json"),
            ("bad-records", policy),
        ]
    };
    let table = table_of(vec![physical("n", "BIGINT")], &options("ledger"));
    let mut source = KafkaSource::open(&table, &job()).unwrap();
    let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await;
    let batches = soon(drain(reader.as_mut())).await;
    assert_eq!(offsets(&batches), [0, 1, 1, 4]);
    let bad: Vec<_> = batches.iter().flat_map(|b| &b.bad).map(|b| (b.offset, b.code)).collect();
    assert_eq!((bad[0], bad[1].0, bad.len()), ((2, "NO_ROW"), 3, 2));
    assert_eq!(batches.iter().map(|b| b.read).sum::<u64>(), 6);
    // What holds no row is not bad enough to stop for.
    let table = table_of(vec![physical("n", "BIGINT")], &options("fail"));
    let mut source = KafkaSource::open(&table, &job()).unwrap();
    let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await;
    let error = soon(async {
        loop {
            match reader.next().await {
                Ok(Fetched::Rows(_)) => {}
                Ok(_) => panic!("it ended"),
                Err(error) => break error,
            }
        }
    })
    .await;
    assert!(error.message().contains("offset 3"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_holds_no_row_is_kept_with_its_bytes_unless_it_is_to_be_dropped() {
    let cluster = cluster(&[("t", 1)]);
    fill(&cluster, "t", 0, &["{\"n\":1}", "[]"]).await;
    let servers = cluster.bootstrap_servers();
    for (policy, raw) in [("fail", Some(b"[]".to_vec())), ("ledger", Some(b"[]".to_vec())), ("drop", None)] {
        let options = [
            ("connector", "kafka"),
            ("topic", "t"),
            ("properties.bootstrap.servers", servers.as_str()),
            ("scan.startup.mode", "earliest-offset"),
            ("scan.bounded.mode", "latest-offset"),
            ("format", "json"),
            ("bad-records", policy),
        ];
        let mut source = KafkaSource::open(&table_of(vec![physical("n", "BIGINT")], &options), &job()).unwrap();
        let mut reader = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await;
        let batches = soon(drain(reader.as_mut())).await;
        let bad: Vec<_> = batches.into_iter().flat_map(|b| b.bad).map(|b| (b.offset, b.code, b.raw)).collect();
        assert_eq!(bad, [(1, "NO_ROW", raw)], "{policy}");
    }
}

/// A position as the stored state has it.
fn position_at(next_offset: i64, fingerprint: Option<serde_json::Value>) -> SourcePosition {
    SourcePosition {
        table: "t".into(),
        topic: "t".into(),
        partition: 0,
        id: PartitionId(0),
        next_offset,
        watermark: 0,
        finished: false,
        fingerprint,
        counts: RowCounts::default(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_made_anew_is_recognized_by_its_id() {
    let (old, new) = (cluster(&[("t", 1)]), cluster(&[("t", 1)]));
    fill(&old, "t", 0, &["a", "b"]).await;
    fill(&new, "t", 0, &["x", "y", "z"]).await;
    let mut source = KafkaSource::open(&text_table(&old, "t", &[]), &job()).unwrap();
    let reader = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await;
    let fingerprint = reader.fingerprint();
    assert!(fingerprint.as_ref().unwrap()["topic_id"].as_str().is_some_and(|id| id.len() > 20), "{fingerprint:?}");
    // The same topic, in another process.
    let mut again = KafkaSource::open(&text_table(&old, "t", &[]), &job()).unwrap();
    soon(again.recognize(&split("t", 0), &position_at(2, fingerprint.clone()))).await.unwrap();
    // Another topic of the same name: its offsets alone would do.
    let mut source = KafkaSource::open(&text_table(&new, "t", &[]), &job()).unwrap();
    let error = soon(source.recognize(&split("t", 0), &position_at(2, fingerprint.clone()))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(
        error.message(),
        "topic \"t\" was deleted and made anew: partition 0 was read up to offset 2, and the new one holds offsets 0 up to 3"
    );
    assert!(error.hint_text().unwrap().contains("--fresh"), "{error}");
    // State of an older version: offsets are what there is.
    soon(source.recognize(&split("t", 0), &position_at(2, None))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_cluster_and_brokers_do_not_go_on_from_each_other() {
    let (first, second) = (cluster(&[("t", 1)]), cluster(&[("t", 1)]));
    fill(&first, "t", 0, &["a", "b"]).await;
    fill(&second, "t", 0, &["x", "y", "z"]).await;
    let embedded = |cluster: &Cluster, offset: Option<i64>| {
        let table = text_table(cluster, "t", &[("properties.bootstrap.servers", "embedded")]);
        let embedded_offsets = offset.map(|offset| (("t".to_owned(), 0), offset)).into_iter().collect();
        let job = JobContext { embedded_bootstrap: Some(cluster.bootstrap_servers()), embedded_offsets, ..job() };
        KafkaSource::open(&table, &job).unwrap()
    };
    let brokers = || KafkaSource::open(&text_table(&second, "t", &[]), &job()).unwrap();
    let mut source = embedded(&first, None);
    let of_embedded = soon(open(&mut source, &split("t", 0), StartAt::Configured)).await.fingerprint();
    let of_brokers = soon(open(&mut brokers(), &split("t", 0), StartAt::Configured)).await.fingerprint();

    // Embedded to embedded: made anew, it goes on by its offsets.
    let stored = position_at(2, of_embedded.clone());
    let mut source = embedded(&second, Some(2));
    soon(source.recognize(&split("t", 0), &stored)).await.unwrap();
    let reader = soon(open(&mut source, &split("t", 0), StartAt::Offset(2))).await;
    assert_eq!((reader.next_offset(), reader.fingerprint()), (2, of_embedded));
    // An older version stored nothing.
    soon(source.recognize(&split("t", 0), &position_at(2, None))).await.unwrap();

    let error = soon(brokers().recognize(&split("t", 0), &stored)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    let servers = second.bootstrap_servers();
    assert_eq!(
        error.message(),
        format!(
            "the stored state read topic \"t\" from the embedded cluster, and this start reads it from the brokers at \"{servers}\""
        )
    );
    assert!(["--fresh", "--state DIR"].iter().all(|typed| error.hint_text().unwrap().contains(typed)), "{error}");
    let no_ids = Some(serde_json::json!({ "topic_id": null }));
    for stored in [of_brokers, no_ids] {
        let error = soon(source.recognize(&split("t", 0), &position_at(2, stored))).await.unwrap_err();
        assert_eq!(
            error.message(),
            "the stored state read topic \"t\" from kafka brokers, and this start reads it from the embedded cluster"
        );
        let hint = error.hint_text().unwrap();
        assert!(["--fresh", "--state DIR", "KAFKA_BOOTSTRAP_SERVERS"].iter().all(|typed| hint.contains(typed)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_whose_id_is_not_told_is_not_taken_for_the_same() {
    use rdkafka::types::RDKafkaRespErr;
    let cluster = cluster(&[("t", 1)]);
    fill(&cluster, "t", 0, &["a", "b"]).await;
    let mut source = KafkaSource::open(&text_table(&cluster, "t", &[]), &job()).unwrap();
    let another = position_at(2, Some(serde_json::json!({ "topic_id": "another" })));
    cluster.topic_error("t", RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE).unwrap();
    let error = soon(source.recognize(&split("t", 0), &another)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.message().contains("the id of topic \"t\" is not known"), "{error}");
    // The missing answer is not remembered as "no id".
    cluster.topic_error("t", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    let error = soon(source.recognize(&split("t", 0), &another)).await.unwrap_err();
    assert!(error.message().contains("made anew"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_without_ids_do_not_make_the_state_forget_one() {
    let cluster = cluster(&[("t", 1), ("u", 1)]);
    // The last version of the answer that has no ids.
    cluster.apiversion(RDKafkaApiKey::Metadata, Some(0), Some(9)).unwrap();
    fill(&cluster, "t", 0, &["a", "b"]).await;
    let mut source = KafkaSource::open(&text_table(&cluster, "t;u", &[]), &job()).unwrap();
    let known = Some(serde_json::json!({ "topic_id": "known" }));
    soon(source.recognize(&split("t", 0), &position_at(2, known.clone()))).await.unwrap();
    let reader = soon(open(&mut source, &split("t", 0), StartAt::Offset(2))).await;
    assert_eq!(reader.fingerprint(), known);
    let reader = soon(open(&mut source, &split("u", 0), StartAt::Configured)).await;
    assert_eq!(reader.fingerprint(), Some(serde_json::json!({ "topic_id": null })));
}
