//! Rows as they are written: partitions, keys, metadata, acknowledgements.

use super::*;

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
