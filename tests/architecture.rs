//! The layer table of `ARCHITECTURE.md`, kept true: who may name whom, which crate belongs to which room,
//! how files open and how long they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Modules everyone may name.
const FOUNDATION: &[&str] = &["durable", "error", "failpoint", "limits", "metrics", "stream", "table", "time"];

/// Non-test lines of one file.
const FILE_LINES_MAX: usize = 600;

/// Crates that belong to one room: (crate, modules that may name it).
const CONFINED: &[(&str, &[&str])] = &[
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("rustyline", &["cli"]),
    ("axum", &["server"]),
    ("prometheus_client", &["server"]),
    ("sqlparser", &["sql"]),
    ("rdkafka", &["connectors", "broker"]),
    ("rdkafka_sys", &["connectors", "broker"]),
    ("parquet", &["connectors", "cli"]),
    ("tokio_postgres", &["connectors"]),
    ("rustls", &["connectors"]),
    ("annotate_snippets", &["error"]),
    ("dashmap", &["metrics"]),
];

/// Words that only some modules may use: (word, modules, why).
const CONFINED_WORDS: &[(&str, &[&str], &str)] = &[
    ("SystemTime::now", &["time"], "only `time` reads a clock"),
    ("Instant::now", &["time"], "only `time` reads a clock"),
    ("process::exit", &["main"], "only `main` ends the process"),
    ("RandomState::new", &["time"], "only `time` seeds randomness"),
    ("unbounded_channel", &[], "every channel has a bound"),
];

struct Source {
    path: PathBuf,
    module: String,
    /// Without comments and without the unit tests.
    code: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(directory: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    files(&root().join("src"), &mut paths);
    paths
        .into_iter()
        .filter(|path| path.file_stem().is_some_and(|s| s != "tests") && !path.iter().any(|part| part == "tests"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let relative = path.strip_prefix(root().join("src")).unwrap();
            let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
            Source { code: code_of(&text), module, path, text }
        })
        .collect()
}

/// Drops line comments and everything from the unit tests on.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            break;
        }
        code.push_str(line.split("//").next().unwrap_or(""));
        code.push('\n');
    }
    code
}

/// Modules named by `crate::x` and `use crate::{x::…, y}`.
fn named(code: &str) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    let identifier = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    for (at, found) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + found.len()..];
        match rest.strip_prefix('{') {
            None => drop(modules.insert(identifier(rest))),
            Some(list) => {
                let mut depth = 0;
                let mut start = true;
                for (i, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && !c.is_whitespace() => {
                            modules.insert(identifier(&list[i..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    modules
}

/// The table of `ARCHITECTURE.md`: lines `| layer | module | may also name |`.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<String>>();
    text.lines()
        .filter(|line| line.starts_with("| ") && line.matches('|').count() == 4)
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let module = words(cells[2]).into_iter().next()?;
            cells[1].parse::<u32>().ok()?;
            Some((module, words(cells[3])))
        })
        .collect()
}

/// What the crash harness arms must be somewhere, and mean one place.
#[test]
fn every_failpoint_stands_in_the_code_once() {
    let code: String = sources().into_iter().map(|source| source.text).collect();
    let placed: Vec<&str> = code
        .match_indices("failpoint(\"")
        .map(|(at, found)| {
            let rest = &code[at + found.len()..];
            &rest[..rest.find('"').unwrap()]
        })
        .collect();
    for name in streamer::failpoint::FAILPOINTS {
        assert_eq!(placed.iter().filter(|placed| *placed == name).count(), 1, "{name}");
    }
    assert_eq!(placed.len(), streamer::failpoint::FAILPOINTS.len());
}

#[test]
fn modules_name_only_what_the_table_allows() {
    let table = table();
    let mut wrong = Vec::new();
    for source in sources() {
        if matches!(source.module.as_str(), "lib" | "main") {
            continue;
        }
        let foundation = FOUNDATION.contains(&source.module.as_str());
        let Some(allowed) = table.get(&source.module).or_else(|| foundation.then_some(&EMPTY)) else {
            wrong.push(format!("{}: module \"{}\" is not in the table", source.path.display(), source.module));
            continue;
        };
        for name in named(&source.code) {
            let known = FOUNDATION.contains(&name.as_str()) || table.contains_key(&name);
            let fine = name == source.module || allowed.contains(&name) || FOUNDATION.contains(&name.as_str());
            if known && !fine {
                wrong.push(format!("{}: names \"{name}\"", source.path.display()));
            } else if !known {
                wrong.push(format!("{}: names \"crate::{name}\", which is no module", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "the layer table of ARCHITECTURE.md is broken:\n{}", wrong.join("\n"));
}

static EMPTY: BTreeSet<String> = BTreeSet::new();

#[test]
fn foundation_names_no_room_and_error_names_nothing() {
    for source in sources().iter().filter(|s| FOUNDATION.contains(&s.module.as_str())) {
        let allowed: &[&str] = match source.module.as_str() {
            "durable" => &["error"],
            "error" => &[],
            "failpoint" => &["error"],
            "limits" => &["error"],
            "time" => &["error"],
            "metrics" => &["stream", "time"],
            "stream" => &["error", "time"],
            "table" => &["error", "time"],
            other => panic!("the foundation has a new file \"{other}\""),
        };
        for name in named(&source.code) {
            assert!(allowed.contains(&name.as_str()), "{} names \"{name}\"", source.path.display());
        }
    }
}

#[test]
fn crates_and_words_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (krate, rooms) in CONFINED {
            let uses = source.code.contains(&format!("{krate}::"))
                && !source.code.contains(&format!("datafusion::{krate}::"))
                || source.code.contains(&format!("datafusion::sql::{krate}::"));
            if uses && !rooms.contains(&source.module.as_str()) {
                wrong.push(format!("{}: crate \"{krate}\" belongs to {rooms:?}", source.path.display()));
            }
        }
        for (word, rooms, why) in CONFINED_WORDS {
            if source.code.contains(word) && !rooms.contains(&source.module.as_str()) {
                wrong.push(format!("{}: \"{word}\": {why}", source.path.display()));
            }
        }
        if source.module == "operators" && (source.code.contains("tokio") || source.code.contains(".await")) {
            wrong.push(format!("{}: operators are synchronous", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_is_at_two_borders_with_c() {
    let with: Vec<_> =
        sources().into_iter().filter(|s| s.code.contains("unsafe {") || s.code.contains("unsafe fn")).collect();
    let paths: Vec<_> = with.iter().map(|s| s.path.strip_prefix(root()).unwrap().display().to_string()).collect();
    let allowed = ["src/connectors/kafka/ffi.rs", "src/main.rs"];
    assert!(paths.iter().all(|p| allowed.contains(&p.as_str())), "{paths:?}");
}

#[test]
fn files_open_with_what_they_are_and_stay_short() {
    let mut wrong = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//!") {
            wrong.push(format!("{}: does not open with //!", source.path.display()));
        }
        let lines = code_lines(&source.text);
        if lines > FILE_LINES_MAX {
            wrong.push(format!("{}: {lines} lines before its tests; make it a folder", source.path.display()));
        }
        for word in ["TODO", "FIXME"] {
            if source.text.contains(word) {
                wrong.push(format!("{}: has a {word}: do it, or file it", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn code_lines(text: &str) -> usize {
    text.lines().take_while(|line| !line.trim_start().starts_with("#[cfg(test)]")).count()
}

#[test]
fn the_checks_see_what_they_are_for() {
    assert_eq!(
        named("use crate::{plan::Node, error};\nlet x = crate::sql::y();"),
        ["error", "plan", "sql"].map(String::from).into()
    );
    assert_eq!(named("use $crate::sql; mycrate::x"), BTreeSet::new());
    assert_eq!(code_of("a // crate::sql\n#[cfg(test)]\nmod tests { crate::cli }"), "a \n");
    assert!(table().get("operators").is_some_and(|allowed| allowed.contains("plan")));
}

/// Names of tests in the last column of a table of failures.
fn cited(document: &str) -> Vec<(String, Vec<String>)> {
    let rows = document.lines().filter(|line| line.starts_with("| ") && line.matches('|').count() == 5);
    rows.filter(|row| {
        !row.starts_with("| where |") && !row.starts_with("| what happens |") && !row.contains("`records`")
    })
    .map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let names = cells.last().unwrap().split('`').skip(1).step_by(2).map(str::to_owned).collect();
        (cells[0].trim().to_owned(), names)
    })
    .collect()
}

#[test]
fn every_failure_in_the_documents_is_shown_by_tests_that_exist() {
    let mut paths = Vec::new();
    for directory in ["src", "tests"] {
        files(&root().join(directory), &mut paths);
    }
    let code: String = paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    for (document, least) in [("docs/failures.md", 20), ("docs/failures-state.md", 8)] {
        let rows = cited(&std::fs::read_to_string(root().join(document)).unwrap());
        assert!(rows.len() >= least, "{document} has only {} rows", rows.len());
        for (row, names) in &rows {
            assert!(!names.is_empty() || document.ends_with("state.md"), "{document}: \"{row}\" is shown by nothing");
            for name in names {
                assert!(code.contains(&format!("fn {name}(")), "{document}: \"{row}\": there is no test {name}");
            }
        }
    }
}
