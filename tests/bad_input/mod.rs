//! Bad input, case by case: records no row can be made of, scripts and settings that cannot be.
//!
//! The cases are data, in `cases/`, and each has a name (`J1` … for JSON, `C` for CSV, `K` for Kafka records, `S` for
//! scripts and settings; `J14a` is a case of the same kind as `J14`). The real binary meets them; records come from
//! librdkafka's mock cluster in the process of the tests. How a file is written is told in [`cases`].
//!
//! Not here, for want of a broker that can be told to do so: a record with a wrong checksum (K7), a client without
//! zstd (K8; ours has it), rights taken away while running (K14), offset metadata of other tools (K17), ten thousand
//! partitions (K18). Aborted transactions, gaps, partitions added, offsets out of range and refused rows of a sink
//! (K9 to K12, K15, K16, K19, K20) are in `kafka_tables`, in the crash harness and beside the connector.

mod cases;
mod records;
mod scripts;

use std::collections::BTreeSet;

use cases::Case;

/// Formats and record level: a topic per table.
const RECORDS: &[(&str, &str)] = &[
    ("json", include_str!("cases/json.txt")),
    ("csv", include_str!("cases/csv.txt")),
    ("kafka", include_str!("cases/kafka.txt")),
];

/// Scripts, settings and what surrounds them.
const SCRIPTS: &[(&str, &str)] =
    &[("sql", include_str!("cases/sql.txt")), ("config", include_str!("cases/config.txt"))];

/// Cases that have to be there.
const CASES_MIN: usize = 120;

/// Text of a file of cases: while it is being written, the one on disk.
fn text_of(name: &str, compiled: &str) -> String {
    let path = crate::support::root().join("tests/bad_input/cases").join(format!("{name}.txt"));
    std::fs::read_to_string(path).unwrap_or_else(|_| compiled.to_owned())
}

/// Fails with every difference at once.
fn no_differences(differences: &[String]) {
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn no_case_is_lost_and_none_has_the_name_of_another() {
    let mut names = BTreeSet::new();
    for (file, compiled) in RECORDS.iter().chain(SCRIPTS) {
        let cases = cases::parse(file, &text_of(file, compiled));
        for Case { id, .. } in cases {
            assert!(names.insert(id.clone()), "{file}: {id} is there twice");
        }
    }
    println!("{} cases", names.len());
    assert!(names.len() >= CASES_MIN, "only {} cases", names.len());
    for (family, last) in [("J", 30), ("C", 10), ("S", 25)] {
        for number in 1..=last {
            let name = format!("{family}{number}");
            let of_it = |id: &String| id.strip_prefix(&name).is_some_and(|rest| !rest.starts_with(char::is_numeric));
            assert!(names.iter().any(of_it), "there is no case {name}");
        }
    }
}

#[test]
fn bad_records_of_json() {
    no_differences(&records::differences("json", &text_of("json", RECORDS[0].1)));
}

#[test]
fn bad_records_of_csv() {
    no_differences(&records::differences("csv", &text_of("csv", RECORDS[1].1)));
}

#[test]
fn strange_records_of_kafka() {
    no_differences(&records::differences("kafka", &text_of("kafka", RECORDS[2].1)));
}

#[test]
fn wrong_scripts() {
    no_differences(&scripts::differences("sql", &text_of("sql", SCRIPTS[0].1)));
}

#[test]
fn wrong_settings() {
    no_differences(&scripts::differences("config", &text_of("config", SCRIPTS[1].1)));
}
