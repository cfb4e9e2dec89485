//! Records: the cases of one table are one topic, so that a bad one could harm its neighbours.
//!
//! A job reads the topic to its end; then every record must be a row, a row of the ledger with its bytes, or a
//! tombstone, and the job's own count must say the same.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka_sys as sys;
use streamer::broker::EmbeddedCluster;

use super::cases::{Case, Outcome, Record, Table, parse};
use crate::support::{ledger, run, start, streamer, text};

/// 2026-01-01T00:00:00Z, the time of records that name none.
const TIME_MS: i64 = 1_767_225_600_000;

/// Bytes of a bad record that the ledger keeps.
const KEPT_BYTES: usize = 64 << 10;

/// More than a job over these topics may hold: they have records of 20 MB.
const MEMORY_KB_MAX: u64 = 450_000;

/// What differs from what the cases of a file expect.
pub(super) fn differences(file: &str, cases: &str) -> Vec<String> {
    let mut tables: Vec<(Table, Vec<Case>)> = Vec::new();
    for case in parse(file, cases) {
        match tables.iter_mut().find(|(table, _)| *table == case.table) {
            Some((_, of_it)) => of_it.push(case),
            None => tables.push((case.table.clone(), vec![case])),
        }
    }
    let names: Vec<String> = (0..tables.len()).map(|at| format!("{file}-{at}")).collect();
    let topics: Vec<(&str, i32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let cluster = EmbeddedCluster::start(1, &topics).unwrap();
    let mut found = Vec::new();
    for (topic, (table, cases)) in names.iter().zip(&tables) {
        let records: Vec<&Record> = cases.iter().flat_map(|case| &case.records).collect();
        send(&cluster.bootstrap(), topic, &records);
        found.extend(read(&cluster.bootstrap(), file, topic, table, cases));
    }
    found
}

/// The job that writes what a topic holds into files.
fn script(bootstrap: &str, file: &str, topic: &str, table: &Table) -> String {
    let format = if file == "csv" { "csv" } else { "json" };
    let mut options = BTreeMap::from([
        ("connector", "kafka"),
        ("topic", topic),
        ("properties.bootstrap.servers", bootstrap),
        ("value.format", format),
        ("scan.startup.mode", "earliest-offset"),
        ("scan.bounded.mode", "latest-offset"),
    ]);
    for option in &table.options {
        let (key, value) = option.split_once(" = ").unwrap();
        options.insert(key.trim_matches('\''), value.trim_matches('\''));
    }
    let options: Vec<String> = options.iter().map(|(key, value)| format!("'{key}' = '{value}'")).collect();
    let settings: String = table.settings.iter().map(|setting| format!("SET {setting};\n")).collect();
    format!(
        "{settings}CREATE TABLE t (o BIGINT METADATA FROM 'offset' VIRTUAL, {}) WITH ({});\n\
         CREATE TABLE p WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = 'json') AS SELECT * FROM t;\n",
        table.columns,
        options.join(", ")
    )
}

/// Runs the job of a table and compares.
fn read(bootstrap: &str, file: &str, topic: &str, table: &Table, cases: &[Case]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let script = script(bootstrap, file, topic, table);
    std::fs::write(directory.path().join("q.sql"), &script).unwrap();
    let running = start(streamer(directory.path()).args(["run", "q.sql", "--metrics-addr", "none"]));
    let memory = running.watch_memory();
    let output = running.finish();
    let (shown, memory_kb) = (text(&output), memory.join().unwrap());
    if !output.status.success() {
        return vec![format!("{topic}: the job fails\n{script}\n{shown}")];
    }
    let mut found = Vec::new();
    for never in ["panicked", "unaccounted"] {
        if shown.contains(never) {
            found.push(format!("{topic} says {never}: {shown}"));
        }
    }
    if memory_kb > MEMORY_KB_MAX {
        found.push(format!("{topic}: the job held {memory_kb} kB"));
    }
    let files = crate::support::visible_files(&directory.path().join("out"));
    let mut outcomes = rows(&files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect::<String>());
    let written = outcomes.values().map(Vec::len).sum::<usize>() as u64;
    let mut kept = BTreeMap::new();
    for kind in ["bad", "future"] {
        outcomes_of_ledger(directory.path(), kind, &mut outcomes, &mut kept);
    }
    let mut offset = 0;
    let mut tombstones = 0;
    for case in cases {
        for record in &case.records {
            let actual = outcomes.remove(&offset).unwrap_or_default();
            let of_ledger =
                actual.iter().any(|o| matches!(o, Outcome::Ledger("bad", reason, ..) if reason != "NULL_EVENT_TIME"));
            if of_ledger && kept.get(&offset) != Some(&start_of(record)) {
                found.push(format!("{}: the ledger has other bytes", case.id));
            }
            if record.outcomes == [Outcome::Tombstone] && actual.is_empty() {
                tombstones += 1;
            } else if !same(&record.outcomes, &actual) {
                found.push(format!("{} ({}): {}", case.id, case.about, show(&actual)));
            }
            offset += 1;
        }
    }
    found.extend(outcomes.iter().map(|(offset, more)| format!("{topic}: offset {offset} {}", show(more))));
    // read = processed + late + bad + future + tombstones
    match ledger(&shown).get(&format!("{topic}-0")) {
        Some([read, processed, late, bad, future, gone])
            if *processed == written && *gone == tombstones && *read == processed + late + bad + future + gone => {}
        counts => found.push(format!("{topic}: the job counts {counts:?}, {written} rows were written: {shown}")),
    }
    found
}

/// What the ledger keeps of a record.
fn start_of(record: &Record) -> Vec<u8> {
    record.value.iter().flatten().take(KEPT_BYTES).copied().collect()
}

/// Rows by offset, among lines of JSON.
fn rows(lines: &str) -> BTreeMap<i64, Vec<Outcome>> {
    let mut found: BTreeMap<i64, Vec<Outcome>> = BTreeMap::new();
    for line in lines.lines() {
        let mut row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        let offset = row.remove("o").unwrap().as_i64().unwrap();
        found.entry(offset).or_default().push(Outcome::Row(serde_json::Value::from(row).to_string()));
    }
    found
}

/// Adds what a table of the ledger holds.
fn outcomes_of_ledger(
    directory: &Path,
    kind: &'static str,
    outcomes: &mut BTreeMap<i64, Vec<Outcome>>,
    kept: &mut BTreeMap<i64, Vec<u8>>,
) {
    let query = format!("SELECT `offset` AS o, reason, field, message, raw FROM ledger.{kind}");
    let output = run(directory, &["sql", "-f", "q.sql", "--format", "jsonl", "-c", &query]);
    assert!(output.status.success(), "{}", text(&output));
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        let offset = row["o"].as_i64().unwrap();
        let outcome =
            Outcome::Ledger(kind, text("reason").unwrap(), text("field"), text("message").unwrap_or_default());
        outcomes.entry(offset).or_default().push(outcome);
        // A row that was taken out where event time is given has no bytes any more.
        if let Some(raw) = text("raw") {
            kept.insert(offset, base64::engine::general_purpose::STANDARD.decode(raw).unwrap());
        }
    }
}

/// Whether a record became what was expected: rows as JSON, messages in part.
fn same(expected: &[Outcome], actual: &[Outcome]) -> bool {
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    expected.len() == actual.len()
        && expected.iter().zip(actual).all(|pair| match pair {
            (Outcome::Row(expected), Outcome::Row(actual)) => json(expected) == json(actual),
            (Outcome::Ledger(table, reason, field, part), Outcome::Ledger(in_table, code, at, message)) => {
                (table, reason, field) == (in_table, code, at) && message.contains(part.as_str())
            }
            _ => false,
        })
}

/// Outcomes as a file of cases has them.
fn show(outcomes: &[Outcome]) -> String {
    let line = |outcome: &Outcome| match outcome {
        Outcome::Row(row) => format!("\n> {}", row.chars().take(300).collect::<String>()),
        Outcome::Ledger(table, reason, field, message) => {
            let word = if *table == "bad" { "!" } else { table };
            let field = field.as_ref().map(|field| format!(" @{field}")).unwrap_or_default();
            format!("\n{word} {reason}{field} : {message}")
        }
        Outcome::Tombstone => "\n~".to_owned(),
    };
    if outcomes.is_empty() { "is nowhere".to_owned() } else { outcomes.iter().map(line).collect() }
}

/// Sends records in order; headers may have any bytes for a name, which the safe wrapper does not allow.
fn send(bootstrap: &str, topic: &str, records: &[&Record]) {
    let mut config = ClientConfig::new();
    // Large records are kept compressed, for the mock keeps 5 MiB of a partition.
    config.set("bootstrap.servers", bootstrap).set("acks", "all").set("compression.type", "gzip");
    config.set("message.max.bytes", "100000000").set("queue.buffering.max.ms", "5");
    let producer: BaseProducer = config.create().unwrap();
    for record in records {
        produce(producer.client().native_ptr(), topic, record);
        producer.poll(Duration::ZERO);
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

#[expect(unsafe_code, reason = "names of headers that are no text")]
fn produce(client: *mut sys::rd_kafka_t, topic: &str, record: &Record) {
    use sys::rd_kafka_vtype_t as part;
    let topic = CString::new(topic).unwrap();
    let bytes = |of: &Option<Vec<u8>>| match of {
        // An empty value is not the same as none, so it points somewhere.
        Some(bytes) => (bytes.as_ptr().cast::<std::ffi::c_void>(), bytes.len()),
        None => (std::ptr::null(), 0),
    };
    let ((value, value_len), (key, key_len)) = (bytes(&record.value), bytes(&record.key));
    // SAFETY: all pointers are live for the call, which copies; the headers go over to librdkafka.
    let code = unsafe {
        let headers = sys::rd_kafka_headers_new(record.headers.len());
        for (name, value) in &record.headers {
            let (name_len, len) = (name.len() as isize, value.len() as isize);
            sys::rd_kafka_header_add(headers, name.as_ptr().cast(), name_len, value.as_ptr().cast(), len);
        }
        sys::rd_kafka_producev(
            client,
            part::RD_KAFKA_VTYPE_TOPIC,
            topic.as_ptr(),
            part::RD_KAFKA_VTYPE_PARTITION,
            0_i32,
            part::RD_KAFKA_VTYPE_MSGFLAGS,
            sys::RD_KAFKA_MSG_F_COPY,
            part::RD_KAFKA_VTYPE_VALUE,
            value,
            value_len,
            part::RD_KAFKA_VTYPE_KEY,
            key,
            key_len,
            part::RD_KAFKA_VTYPE_TIMESTAMP,
            record.time.unwrap_or(TIME_MS),
            part::RD_KAFKA_VTYPE_HEADERS,
            headers,
            part::RD_KAFKA_VTYPE_END,
        )
    };
    assert_eq!(code, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
}
