//! Topics as they are read: starts, bounds, bad records, lost offsets, and topics that are not the same any more.

use super::*;

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
