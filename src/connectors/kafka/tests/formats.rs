//! Keys and values together, and messages of no row or several.

use super::*;

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
