//! Options of Kafka tables on a real four-broker cluster: where reading begins and ends, partitions that are
//! added, partitions that are silent, and records as Java's own client writes and reads them.

use std::collections::{BTreeMap, BTreeSet};

use crate::recovery::newest_epoch;
use crate::support::kafka::{self, Sent};
use crate::support::{self, Lines, ledger, run, start, text, wait_until};

/// Record *i* of a partition is so many ms after 1970, and a second later than the one before.
const FIRST_MS: i64 = 1_700_000_000_000;

/// Options of a table: key and value.
type Settings<'a> = Vec<(&'a str, &'a str)>;

/// A table over `topic` whose rows are partition and offset.
fn table(bootstrap: &str, topic: &str, options: &[(&str, &str)]) -> String {
    let mut all = BTreeMap::from([
        ("connector", "kafka"),
        ("properties.bootstrap.servers", bootstrap),
        ("format", "json"),
        ("scan.startup.mode", "earliest-offset"),
        ("scan.bounded.mode", "latest-offset"),
    ]);
    if !options.iter().any(|(key, _)| *key == "topic-pattern") {
        all.insert("topic", topic);
    }
    all.extend(options.iter().copied());
    let options: Vec<String> = all.iter().map(|(key, value)| format!("'{key}' = '{value}'")).collect();
    format!(
        "CREATE TABLE t (n INT, t STRING METADATA FROM 'topic' VIRTUAL, p INT METADATA FROM 'partition' VIRTUAL, \
         o BIGINT METADATA FROM 'offset' VIRTUAL) WITH ({});\n",
        options.join(", ")
    )
}

/// Ten records in each of the four partitions of `topic`, a second apart.
fn fill(bootstrap: &str, topic: &str) {
    let record = |partition, i: i64| {
        let value = format!("{{\"n\":{i}}}");
        Sent { partition, timestamp: FIRST_MS + i * 1000, value, ..Sent::default() }
    };
    let records: Vec<Sent> = (0..4).flat_map(|p| (0..10).map(move |i| record(p, i))).collect();
    kafka::send(bootstrap, topic, &records);
}

/// Offsets by partition among lines of `{"p":…,"o":…}`; none twice.
fn offsets<'a>(lines: impl IntoIterator<Item = &'a str>) -> BTreeMap<i64, BTreeSet<i64>> {
    let mut found: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for line in lines {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let (partition, offset) = (row["p"].as_i64().unwrap(), row["o"].as_i64().unwrap());
        assert!(found.entry(partition).or_default().insert(offset), "{line} twice");
    }
    found
}

/// `[first, end)` of each of the partitions 0, 1, …
fn ranges(ranges: &[(i64, i64)]) -> BTreeMap<i64, BTreeSet<i64>> {
    let all = (0..).zip(ranges).map(|(partition, (first, end))| (partition, (*first..*end).collect()));
    all.filter(|(_, offsets): &(i64, BTreeSet<i64>)| !offsets.is_empty()).collect()
}

#[test]
fn reading_begins_and_ends_where_the_options_say() {
    let Some(bootstrap) = kafka::bootstrap("reading_begins_and_ends_where_the_options_say") else { return };
    let directory = tempfile::tempdir().unwrap();
    let topic = kafka::topic("bounds");
    kafka::create_topics(&bootstrap, &[&topic]);
    fill(&bootstrap, &topic);
    let group = format!("group-of-{topic}");
    let [fourth, never] = [FIRST_MS + 3_500, FIRST_MS + 3_600_000].map(|ms| ms.to_string());
    let (start, end) = ("scan.startup.mode", "scan.bounded.mode");
    let (start_ms, end_ms) = ("scan.startup.timestamp-millis", "scan.bounded.timestamp-millis");
    let (start_at, end_at) = ("scan.startup.specific-offsets", "scan.bounded.specific-offsets");
    let some = "partition:0,offset:3;partition:1,offset:7;partition:2,offset:10;partition:3,offset:0";
    let (whole, nothing) = ([(0, 10); 4], [(0, 0); 4]);
    let cases: Vec<(Settings<'_>, [(i64, i64); 4])> = vec![
        (vec![], whole),
        (vec![(start, "latest-offset")], nothing),
        (vec![(start, "timestamp"), (start_ms, &fourth)], [(4, 10); 4]),
        (vec![(start, "timestamp"), (start_ms, &never)], nothing),
        (vec![(start, "timestamp"), (start_ms, "0")], whole),
        (vec![(start, "specific-offsets"), (start_at, some)], [(3, 10), (7, 10), (10, 10), (0, 10)]),
        // Partitions not named go on where the group was.
        (
            vec![(start, "specific-offsets"), (start_at, "partition:1,offset:9"), ("properties.group.id", &group)],
            [(2, 10), (9, 10), (5, 10), (0, 10)],
        ),
        (vec![(start, "group-offsets"), ("properties.group.id", &group)], [(2, 10), (10, 10), (5, 10), (0, 10)]),
        (vec![(end, "timestamp"), (end_ms, &fourth)], [(0, 4); 4]),
        (vec![(end, "timestamp"), (end_ms, &never)], whole),
        (vec![(end, "specific-offsets"), (end_at, some)], [(0, 3), (0, 7), (0, 10), (0, 0)]),
        (vec![(end, "group-offsets"), ("properties.group.id", &group)], [(0, 2), (0, 10), (0, 5), (0, 0)]),
        (
            vec![(start, "timestamp"), (start_ms, &fourth), (end, "specific-offsets"), (end_at, some)],
            [(4, 4), (4, 7), (4, 10), (4, 4)],
        ),
    ];
    for (options, expected) in cases {
        // A job tells its group how far it came, a bounded one too.
        kafka::commit(&bootstrap, &group, &topic, &[(0, 2), (1, 10), (2, 5), (3, 0)]);
        let query = table(&bootstrap, &topic, &options) + "SELECT p, o FROM t;\n";
        std::fs::write(directory.path().join("q.sql"), query).unwrap();
        let output = run(directory.path(), &["run", "q.sql"]);
        assert!(output.status.success(), "{options:?}: {}", text(&output));
        let found = offsets(std::str::from_utf8(&output.stdout).unwrap().lines());
        assert_eq!(found, ranges(&expected), "{options:?}");
    }
}

#[test]
fn a_group_without_offsets_is_refused_or_begins_as_told() {
    let Some(bootstrap) = kafka::bootstrap("a_group_without_offsets_is_refused_or_begins_as_told") else { return };
    let directory = tempfile::tempdir().unwrap();
    let topic = kafka::topic("no-offsets");
    kafka::create_topics(&bootstrap, &[&topic]);
    fill(&bootstrap, &topic);
    let group = format!("group-of-{topic}");
    let go = |more: &[(&str, &str)]| {
        let mut options = vec![("scan.startup.mode", "group-offsets"), ("properties.group.id", group.as_str())];
        options.extend(more);
        std::fs::write(directory.path().join("q.sql"), table(&bootstrap, &topic, &options) + "SELECT p, o FROM t;\n")
            .unwrap();
        run(directory.path(), &["run", "q.sql"])
    };
    let refused = go(&[]);
    let shown = text(&refused);
    assert_eq!(refused.status.code(), Some(3), "{shown}");
    assert!(shown.contains(&group) && shown.contains("properties.auto.offset.reset"), "{shown}");
    let earliest = go(&[("properties.auto.offset.reset", "earliest")]);
    assert_eq!(offsets(std::str::from_utf8(&earliest.stdout).unwrap().lines()), ranges(&[(0, 10); 4]));
    let latest = go(&[("properties.auto.offset.reset", "latest")]);
    assert!(latest.status.success() && latest.stdout.is_empty(), "{}", text(&latest));
}

#[test]
fn topics_match_a_pattern_as_a_whole() {
    let Some(bootstrap) = kafka::bootstrap("topics_match_a_pattern_as_a_whole") else { return };
    let directory = tempfile::tempdir().unwrap();
    let stem = kafka::topic("site");
    let names = ["-1", "-2", "-12", "-x"].map(|end| format!("{stem}{end}"));
    kafka::create_topics(&bootstrap, &names.each_ref().map(String::as_str));
    names.iter().for_each(|name| fill(&bootstrap, name));
    let pattern = format!("{stem}-[0-9]");
    let query = table(&bootstrap, "", &[("topic-pattern", &pattern)]) + "SELECT t, p, o FROM t;\n";
    std::fs::write(directory.path().join("q.sql"), query).unwrap();
    let output = run(directory.path(), &["run", "q.sql"]);
    assert!(output.status.success(), "{}", text(&output));
    let lines = String::from_utf8(output.stdout).unwrap();
    for (name, rows) in names.iter().zip([40, 40, 0, 0]) {
        let of = format!("\"t\":\"{name}\"");
        let own = lines.lines().filter(|line| line.contains(&of));
        assert_eq!(offsets(own).values().map(BTreeSet::len).sum::<usize>(), rows, "{name}: {lines}");
    }
}

/// A job that began at the end of a topic of two partitions; two more are added while it runs, and read from
/// their beginning. The group's offsets are those of the job. After a stop all four go on.
#[test]
fn partitions_added_while_running_are_read() {
    let Some(bootstrap) = kafka::bootstrap("partitions_added_while_running_are_read") else { return };
    let directory = tempfile::tempdir().unwrap();
    let topic = kafka::topic("grows");
    kafka::create_topic(&bootstrap, &topic, 2);
    let send = |partition: i32, rows: i32| {
        let record = Sent { partition, value: "{\"n\":1}".into(), ..Sent::default() };
        kafka::send(&bootstrap, &topic, &vec![record; rows as usize]);
    };
    (0..2).for_each(|partition| send(partition, 5));
    let group = format!("group-of-{topic}");
    let options = [
        ("scan.startup.mode", "latest-offset"),
        ("scan.bounded.mode", "unbounded"),
        ("scan.topic-partition-discovery.interval", "1 s"),
        ("properties.group.id", group.as_str()),
    ];
    let query = format!(
        "SET 'execution.checkpointing.interval' = '300 ms';\n{}SELECT p, o FROM t;\n",
        table(&bootstrap, &topic, &options)
    );
    std::fs::write(directory.path().join("q.sql"), query).unwrap();
    let manifests = directory.path().join("data/state/q/checkpoint/m");
    let go = || {
        let before = newest_epoch(&manifests);
        let mut running = start(support::streamer(directory.path()).args(["run", "q.sql", "--metrics-addr", "none"]));
        let lines = Lines::of(&mut running);
        wait_until("an epoch of this run", || newest_epoch(&manifests) > before);
        (running, lines)
    };
    let (running, lines) = go();
    (0..2).for_each(|partition| send(partition, 3));
    wait_until("rows of the first partitions", || lines.count() == 6);
    kafka::add_partitions(&bootstrap, &topic, 4);
    (2..4).for_each(|partition| send(partition, 4));
    wait_until("rows of the added partitions", || lines.count() == 14);
    (0..4).for_each(|partition| send(partition, 1));
    wait_until("rows of all partitions", || lines.count() == 18);
    running.signal("INT");
    let output = running.finish();
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    assert_eq!(offsets(lines.all().iter().map(String::as_str)), ranges(&[(5, 9), (5, 9), (0, 5), (0, 5)]), "{shown}");
    let ledger = ledger(&shown);
    assert_eq!((ledger.len(), ledger["total"][..2].to_vec()), (5, vec![18, 18]), "{shown}");
    wait_until("the group's offsets", || kafka::committed(&bootstrap, &group, &topic, 4) == [9, 9, 5, 5]);

    let (running, lines) = go();
    (0..4).for_each(|partition| send(partition, 2));
    wait_until("rows of the second run", || lines.count() == 8);
    running.signal("INT");
    let shown = text(&running.finish());
    assert_eq!(offsets(lines.all().iter().map(String::as_str)), ranges(&[(9, 11), (9, 11), (5, 7), (5, 7)]), "{shown}");
    assert!(shown.contains("0:9 1:9 2:5 3:5"), "{shown}");
}

/// Three of four partitions never speak. With an idle timeout windows close without them, and what they say later is
/// counted if it is not behind; without one, nothing closes.
#[test]
fn silent_partitions_hold_event_time_only_without_an_idle_timeout() {
    let Some(bootstrap) = kafka::bootstrap("silent_partitions_hold_event_time_only_without_an_idle_timeout") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let topic = kafka::topic("silent");
    kafka::create_topics(&bootstrap, &[&topic]);
    let reading = |partition: i32, second: i64| Sent {
        partition,
        // 2026-01-01: what is far ahead of its record's own time moves no watermark.
        timestamp: 1_767_225_600_000 + second * 1000,
        value: format!("{{\"ts\":\"2026-01-01 00:00:{second:02}\"}}"),
        ..Sent::default()
    };
    kafka::send(&bootstrap, &topic, &(0..10).map(|second| reading(0, second)).collect::<Vec<_>>());
    let script = |name: &str, timeout: &str| {
        let query = format!(
            "SET 'execution.checkpointing.interval' = '200 ms';
CREATE TABLE t (ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'kafka', 'topic' = '{topic}',
  'properties.bootstrap.servers' = '{bootstrap}', 'format' = 'json', 'properties.group.id' = '{name}-{topic}', 'scan.startup.mode' = 'earliest-offset'{timeout});
SELECT window_start, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND))
GROUP BY window_start, window_end;
"
        );
        std::fs::write(directory.path().join(format!("{name}.sql")), query).unwrap();
        let file = format!("{name}.sql");
        let mut running = start(support::streamer(directory.path()).args(["run", &file, "--metrics-addr", "none"]));
        let lines = Lines::of(&mut running);
        (running, lines)
    };
    let (with, closed) = script("with", ", 'scan.watermark.idle-timeout' = '2 s'");
    let (without, held) = script("without", "");
    // One goes on speaking: if all fall silent at once, event time holds where it is.
    let speaks_until = |second: i64, windows: usize| {
        let mut spoken = 0_u64;
        wait_until("windows that close without the silent partitions", || {
            kafka::send(&bootstrap, &topic, &[reading(0, second)]);
            spoken += 1;
            closed.count() == windows
        });
        spoken
    };
    let at_ten = speaks_until(10, 2);
    // A partition that was silent has its say, ahead of event time; it is part of the next window.
    kafka::send(&bootstrap, &topic, &[reading(2, 12)]);
    let group = format!("with-{topic}");
    wait_until("its row to be read", || kafka::committed(&bootstrap, &group, &topic, 4)[2] == 1);
    let read = 10 + at_ten + 1 + speaks_until(21, 3);
    for running in [with, without] {
        running.signal("INT");
        let output = running.finish();
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(ledger(&text(&output))["total"], [read, read, 0, 0, 0, 0], "{}", text(&output));
    }
    let rows = [("00:00:00", 5), ("00:00:05", 5), ("00:00:10", at_ten + 1)]
        .map(|(time, n)| format!("{{\"window_start\":\"2026-01-01 {time}\",\"n\":{n}}}"));
    assert_eq!(closed.all(), rows);
    assert_eq!(held.all(), Vec::<String>::new(), "partitions that never spoke hold event time");
}

/// Keys, values, headers and time stamps pass through the job; Java's consumer reads them, and Java's producer
/// would have chosen the same partitions.
#[test]
fn keys_headers_and_partitions_are_those_of_java() {
    let test = "keys_headers_and_partitions_are_those_of_java";
    let Some(bootstrap) = kafka::bootstrap(test) else { return };
    if std::env::var_os("KAFKA_DIR").is_none() {
        println!("not run: {test} needs the tools of scripts/kafka");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let topics = [kafka::topic("in"), kafka::topic("out"), kafka::topic("java")];
    kafka::create_topics(&bootstrap, &topics.each_ref().map(String::as_str));
    let [input, output, java] = &topics;
    let mut keys: Vec<String> = (0..300).map(|i| format!("device_{i}")).collect();
    keys.extend(["a", "ab", "abc", "žluťoučký kůň", "键", "0", " ", "x\\y"].map(str::to_owned));
    keys.push("long".repeat(500));
    let records: Vec<Sent> = (0..)
        .zip(&keys)
        .map(|(i, key)| Sent {
            partition: i % 4,
            timestamp: FIRST_MS + i64::from(i),
            key: Some(key.clone()),
            value: format!("value of {i}"),
            headers: vec![("trace".into(), format!("t-{i}")), ("empty".into(), String::new())],
        })
        .collect();
    kafka::send(&bootstrap, input, &records);
    let columns = "k STRING, v STRING, h MAP<STRING, BYTES> METADATA FROM 'headers', sent_at TIMESTAMP_LTZ(3) METADATA FROM 'timestamp'";
    let common = format!(
        "'connector' = 'kafka', 'properties.bootstrap.servers' = '{bootstrap}', 'key.format' = 'raw', 'key.fields' = 'k', \
         'value.format' = 'raw', 'value.fields-include' = 'EXCEPT_KEY'"
    );
    let query = format!(
        "CREATE TABLE i ({columns}) WITH ({common}, 'topic' = '{input}', 'scan.startup.mode' = 'earliest-offset', \
         'scan.bounded.mode' = 'latest-offset');\nCREATE TABLE o ({columns}) WITH ({common}, 'topic' = '{output}');\n\
         INSERT INTO o SELECT * FROM i;\n"
    );
    std::fs::write(directory.path().join("copy.sql"), query).unwrap();
    let copied = run(directory.path(), &["run", "copy.sql"]);
    assert!(copied.status.success(), "{}", text(&copied));

    let lines: String = keys.iter().map(|key| format!("{key}\tof java\n")).collect();
    let properties = ["parse.key=true", "key.separator=\t"].map(|p| ["--reader-property", p]).concat();
    let arguments = [&["tool", "ConsoleProducer", "--bootstrap-server", &bootstrap, "--topic", java], &properties[..]];
    kafka::script_with_input(&arguments.concat(), &lines);

    let by_java = consume(&bootstrap, java, keys.len());
    let by_us = consume(&bootstrap, output, keys.len());
    assert_eq!(by_us.len(), keys.len());
    for (i, key) in keys.iter().enumerate() {
        let (partition, time, headers, value) = &by_us[key];
        assert_eq!(partition, &by_java[key].0, "partition of key {key:?}");
        assert_eq!(time, &format!("CreateTime:{}", FIRST_MS + i as i64), "{key}");
        let sorted: BTreeSet<&str> = headers.split(',').collect();
        assert_eq!(sorted, BTreeSet::from([format!("trace:t-{i}").as_str(), "empty:"]), "{key}");
        assert_eq!(value, &format!("value of {i}"));
    }
    let used: BTreeSet<_> = by_us.values().map(|record| &record.0).collect();
    assert_eq!(used.len(), 4);
}

/// key → partition, time, headers and value of a topic, as Java's console consumer shows them.
fn consume(bootstrap: &str, topic: &str, records: usize) -> BTreeMap<String, (String, String, String, String)> {
    let records = records.to_string();
    let mut arguments = vec!["tool", "consumer.ConsoleConsumer", "--bootstrap-server", bootstrap, "--topic", topic];
    arguments.extend(["--from-beginning", "--timeout-ms", "30000", "--max-messages", &records]);
    for shown in ["print.partition=true", "print.timestamp=true", "print.headers=true", "print.key=true"] {
        arguments.extend(["--formatter-property", shown]);
    }
    let shown = kafka::script(&arguments);
    let record = |line: &str| {
        let parts: Vec<&str> = line.split('\t').collect();
        let [time, partition, headers, key, value] = parts[..] else { panic!("{line:?}") };
        (key.to_owned(), (partition.to_owned(), time.to_owned(), headers.to_owned(), value.to_owned()))
    };
    shown.lines().map(record).collect()
}
