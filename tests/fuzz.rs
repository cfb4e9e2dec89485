//! Whatever bytes come, nothing panics, hangs or takes a neighbour with it: decoders, SQL, options, manifests, state.
//!
//! Valid inputs are bent at random, a bounded time for each target: `STREAMER_FUZZ_SECONDS`, two by default. The seeds
//! are 0, 1, 2, … from `STREAMER_FUZZ_SEED` on, so a find comes again; what was found is kept as a case in
//! `bad_input` or beside the code it was in.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use streamer::error::ErrorKind;
use streamer::formats;
use streamer::state::{manifest::Manifest, snapshot};
use streamer::table::Options;

use crate::support::{root, run, text};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Runs `test` on values of `strategy`, some per seed, until the time is over.
fn fuzz<S: Strategy>(target: &str, strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let time = Duration::from_secs(number("STREAMER_FUZZ_SECONDS", 2));
    let (start, first) = (Instant::now(), number("STREAMER_FUZZ_SEED", 0));
    let mut seed = first;
    while seed == first || start.elapsed() < time {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config { cases: 16, failure_persistence: None, max_shrink_time: 20_000, ..Config::default() };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        if let Err(found) = TestRunner::new_with_rng(config, rng).run(strategy, &test) {
            panic!("{target}, STREAMER_FUZZ_SEED={seed}: {found}");
        }
        seed += 1;
    }
    println!("{target}: {} inputs", (seed - first) * 16);
}

/// What is done to bytes: where, what kind of change, and with what.
type Change = (Index, u8, u8, Index);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec((any::<Index>(), 0..7_u8, any::<u8>(), any::<Index>()), 0..6)
}

/// One of `valid`, bent; words of `words` are put in.
fn bent(valid: &[Vec<u8>], words: &[&str], which: &Index, changes: &[Change]) -> Vec<u8> {
    let mut bytes = which.get(valid).clone();
    for (at, kind, byte, other) in changes {
        let at = at.index(bytes.len() + 1);
        let to = (at + other.index(40)).min(bytes.len());
        match kind {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, *byte),
            2 => drop(bytes.drain(at..to)),
            3 => {
                let twice = bytes[at..to].to_vec();
                bytes.splice(to..to, twice);
            }
            4 | 5 => {
                let word = other.get(words).bytes();
                bytes.splice(at..at, word);
            }
            _ => bytes.iter_mut().skip(at).take(1).for_each(|old| *old ^= 1 << (byte % 8)),
        }
    }
    bytes
}

fn schema() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let row = Fields::from(vec![field("x", DataType::Int32), field("y", DataType::Utf8)]);
    Arc::new(Schema::new(vec![
        field("a", DataType::Int64),
        field("b", DataType::Utf8),
        field("c", DataType::Float64),
        field("d", DataType::Decimal128(10, 2)),
        field("e", DataType::Boolean),
        field("f", DataType::Timestamp(TimeUnit::Millisecond, None)),
        field("g", DataType::Date32),
        field("h", DataType::Binary),
        field("r", DataType::Struct(row)),
        field("l", DataType::List(Arc::new(field("item", DataType::Int32)))),
    ]))
}

/// A message is a number of rows or none, and what comes before and after it is not touched.
fn decoder_holds(format: &str, good: &[u8], message: &[u8]) -> Result<(), TestCaseError> {
    let decoder = || formats::decoder(format, schema(), &Options::default(), &format!("{format}.")).unwrap();
    let mut alone = decoder();
    prop_assert_eq!(alone.push(good), Ok(1));
    let alone = alone.finish().unwrap();
    let mut among = decoder();
    prop_assert_eq!(among.push(good), Ok(1));
    let rows = among.push(message);
    prop_assert_eq!(among.rows(), 1 + rows.as_ref().copied().unwrap_or(0));
    if let Err(bad) = &rows {
        prop_assert!(!bad.code.is_empty() && !bad.message.is_empty() && bad.message.len() < 1_000, "{:?}", bad);
    }
    prop_assert_eq!(among.push(good), Ok(1));
    let among = among.finish().unwrap();
    prop_assert_eq!(among.num_rows(), 2 + rows.unwrap_or(0));
    prop_assert_eq!(&among.slice(0, 1), &alone);
    prop_assert_eq!(&among.slice(among.num_rows() - 1, 1), &alone);
    Ok(())
}

const JSON: &str = r#"{"a":1,"b":"x\u00e9\ud83d\ude00\n","c":-2.5e3,"d":12.34,"e":true,"f":"2026-01-01 00:00:00.123","g":"2026-01-01","h":"AAEC","r":{"x":1,"y":"z"},"l":[1,null,3],"more":[{"k":[[]]}]}"#;

const CSV: &str = "1,\"x, \"\"y\"\"\n\",-2.5e3,12.34,true,2026-01-01 00:00:00.123,2026-01-01,AAEC,1;z,1;2;3";

#[test]
fn bent_json_harms_nobody() {
    let array = format!("[{JSON}, {JSON}]");
    let valid = [JSON.as_bytes().to_vec(), array.into_bytes(), b"{}".to_vec()];
    let words =
        ["{", "}", "[", "]", ",", ":", "\"", "\\", "\\ud83d", "null", "1e999", "-", "\u{feff}", "é", "9999999999"];
    fuzz("json", &(any::<Index>(), changes()), |(which, changes)| {
        decoder_holds("json", JSON.as_bytes(), &bent(&valid, &words, &which, &changes))
    });
}

#[test]
fn bent_csv_harms_nobody() {
    let valid = [CSV.as_bytes().to_vec()];
    let words = [",", "\"", "\"\"", "\n", "\r\n", ";", "\u{feff}", "é", "1e999", "#", "+9999999999-01-01 00:00:00"];
    fuzz("csv", &(any::<Index>(), changes()), |(which, changes)| {
        decoder_holds("csv", CSV.as_bytes(), &bent(&valid, &words, &which, &changes))
    });
}

#[test]
fn random_bytes_harm_nobody() {
    fuzz("bytes", &prop::collection::vec(any::<u8>(), 0..200), |message| {
        decoder_holds("json", JSON.as_bytes(), &message)?;
        decoder_holds("csv", CSV.as_bytes(), &message)
    });
}

/// A script is a plan or errors, and none of them is ours: a panic of the planner is an error of kind `Internal`.
fn plans_or_refuses(script: &str) -> Result<(), TestCaseError> {
    let Err(error) = streamer::sql::plan_script(script, &|_| Some("x".to_owned())) else { return Ok(()) };
    let ours =
        error.flatten().into_iter().find(|error| error.kind() == ErrorKind::Internal).map(|error| error.to_string());
    prop_assert!(ours.is_none(), "{:?}\n{}", ours, script);
    Ok(())
}

fn scripts(directory: &Path, found: &mut Vec<Vec<u8>>) {
    let mut paths: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            scripts(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            found.push(std::fs::read(path).unwrap());
        }
    }
}

#[test]
fn bent_scripts_are_planned_or_refused() {
    let mut valid = Vec::new();
    for folder in ["tests/parity/cases", "queries", "tests/wrong"] {
        scripts(&root().join(folder), &mut valid);
    }
    let words = [
        "SELECT ",
        " FROM ",
        "(",
        ")",
        ",",
        ";",
        "'",
        "`",
        " NULL ",
        " CASE WHEN ",
        " END ",
        " OVER ",
        " GROUP BY ",
        "*",
        " CAST(",
        " AS INT)",
        " ARRAY[",
        "]",
        " INTERVAL '1' DAY ",
        "-",
        " NOT ",
        " IN ",
        " WATERMARK FOR ",
        "1e400",
        "99999999999999999999",
        "''",
        "--",
        "/*",
        "\0",
        "é",
        " UNION ALL SELECT ",
        " MAP['a', 1]",
        "TUMBLE(",
        "TABLE ",
    ];
    fuzz("sql", &(any::<Index>(), changes()), |(which, changes)| {
        plans_or_refuses(&String::from_utf8_lossy(&bent(&valid, &words, &which, &changes)))
    });
}

/// Names of options.
const KEYS: &[&str] = &[
    "properties.bootstrap.servers",
    "topic",
    "topic-pattern",
    "scan.startup.mode",
    "scan.startup.specific-offsets",
    "scan.startup.timestamp-millis",
    "scan.bounded.mode",
    "scan.watermark.idle-timeout",
    "path",
    "format",
    "json.timestamp-format.standard",
    "csv.field-delimiter",
    "csv.escape-character",
    "number-of-rows",
    "rows-per-second",
    "fields.a.kind",
    "fields.a.min",
    "fields.a.max",
    "fields.a.start",
    "fields.a.end",
    "url",
    "table-name",
    "sslmode",
    "sink.rolling-policy.file-size",
    "sink.rolling-policy.rollover-interval",
    "sink.parallelism",
    "bad-records",
    "key.format",
    "key.fields",
    "properties.sasl.jaas.config",
    "connection.max-retry-timeout",
    "sink.buffer-flush.interval",
];

/// What is and what is not a value of one.
const VALUES: &[&str] = &[
    "",
    " ",
    "embedded",
    "json",
    "csv",
    "raw",
    "-1",
    "0",
    "99999999999999999999",
    "9223372036854775807",
    "1e400",
    "NaN",
    "10 s",
    "-5 d",
    "1 parsec",
    "true",
    "a;a",
    "partition:0,offset:1",
    "partition:",
    "sequence",
    "random",
    "\\",
    "\\u00",
    "é",
    "[",
    "(",
    "jdbc:postgresql://h:1/d",
    "jdbc:postgresql://",
    "postgres://u:p@[::1",
    "::",
    "a:b:c",
    ",",
    "timestamp",
    "specific-offsets",
    "latest-offset",
    "org.apache.PlainLoginModule required username=\"",
    "${",
    "{p}",
    "s3://x",
    "/",
    "..",
];

#[test]
fn options_are_taken_or_refused() {
    let connectors = ["kafka", "filesystem", "datagen", "jdbc", "print", "blackhole"];
    let option = (any::<Index>(), any::<Index>(), prop::option::of("\\PC{0,12}"));
    let strategy = (any::<Index>(), prop::collection::vec(option, 0..8), any::<bool>());
    fuzz("options", &strategy, |(connector, options, writes)| {
        let mut all = std::collections::BTreeMap::from([("connector", (*connector.get(&connectors[..])).to_owned())]);
        for (key, value, random) in options {
            all.insert(*key.get(KEYS), random.unwrap_or_else(|| (*value.get(VALUES)).to_owned()));
        }
        let all: Vec<String> =
            all.iter().map(|(key, value)| format!("'{key}' = '{}'", value.replace('\'', "''"))).collect();
        let table = format!("CREATE TABLE t (a INT, b STRING) WITH ({});\n", all.join(", "));
        plans_or_refuses(&(table + if writes { "INSERT INTO t SELECT 1, 'x';" } else { "SELECT a, b FROM t;" }))
    });
}

/// What was bent is never taken for something else.
#[test]
fn bent_manifests_and_snapshots_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("in.json"), "{\"a\":1}\n{\"a\":2}\n").unwrap();
    let script = "CREATE TABLE f (a INT) WITH ('connector' = 'filesystem', 'path' = 'in.json', 'format' = 'json');
SELECT a FROM f;\n";
    std::fs::write(directory.path().join("q.sql"), script).unwrap();
    let output = run(directory.path(), &["run", "q.sql", "--state", "st"]);
    assert!(output.status.success(), "{}", text(&output));
    let manifests = std::fs::read_dir(directory.path().join("st/checkpoint/m")).unwrap();
    let manifests: Vec<Vec<u8>> = manifests.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    let columns: Vec<(&str, Arc<dyn arrow::array::Array>)> = vec![
        ("n", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]))),
        ("s", Arc::new(StringArray::from(vec![Some("x"), Some(""), None]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let snapshots = [snapshot::encode(&[batch.clone(), batch]).unwrap(), snapshot::encode(&[]).unwrap()];
    let words = ["{", "}", "\"", "0", "1", ",", "null", "\0\0\0\0", "é"];
    fuzz("state", &(any::<Index>(), changes()), |(which, changes)| {
        let bytes = bent(&manifests, &words, &which, &changes);
        if let Ok(read) = Manifest::read(&bytes) {
            let valid = manifests
                .iter()
                .any(|text| Manifest::read(text).unwrap().to_text().unwrap() == read.to_text().unwrap());
            prop_assert!(valid, "{}", String::from_utf8_lossy(&bytes));
        }
        let bytes = bent(&snapshots, &words, &which, &changes);
        prop_assert!(snapshot::decode(&bytes).is_err() || snapshots.contains(&bytes));
        Ok(())
    });
}
