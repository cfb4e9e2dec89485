//! The binary as a user sees it: wrong scripts, wrong options, help.

use std::path::Path;

use crate::support::{root, run, text};

/// Each `tests/wrong/x.sql` gives exactly the text of `tests/wrong/x.stderr`; `UPDATE_EXPECT=1` rewrites it.
#[test]
fn wrong_scripts_get_helpful_errors() {
    let directory = root().join("tests/wrong");
    let mut scripts: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "sql"))
        .collect();
    scripts.sort();
    assert!(scripts.len() >= 20, "{} wrong scripts", scripts.len());
    let mut differing = Vec::new();
    for script in scripts {
        let name = script.file_name().unwrap().to_str().unwrap();
        let output = run(&directory, &["run", name]);
        let shown = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(output.status.code(), Some(3), "{name}: {}", text(&output));
        assert!(!shown.contains("panicked"), "{name}: {shown}");
        assert!(shown.contains("error: "), "{name}: {shown}");
        if name != "nothing_to_run.sql" {
            assert!(shown.contains(&format!("--> {name}:")), "{name} does not say where:\n{shown}");
        }
        let golden = script.with_extension("stderr");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&golden, &shown).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != shown {
            differing.push(format!("{name}:\n{shown}"));
        }
    }
    assert!(differing.is_empty(), "errors have changed; UPDATE_EXPECT=1 accepts them:\n{}", differing.join("\n"));
}

/// Wrong options: exit code and a word that helps.
#[test]
fn wrong_options_get_helpful_errors() {
    let directory = tempfile::tempdir().unwrap();
    let script = "CREATE TABLE t (a INT) WITH ('connector' = 'datagen', 'number-of-rows' = '3');\nSELECT a FROM t;\n";
    std::fs::write(directory.path().join("q.sql"), script).unwrap();
    std::fs::write(directory.path().join("file"), "x").unwrap();
    let cases: &[(&[&str], i32, &str)] = &[
        (&[], 2, "Usage"),
        (&["simulat"], 2, "simulate"),
        (&["run"], 2, "FILE"),
        (&["run", "q.sql", "--duraton", "3s"], 2, "--duration"),
        (&["run", "q.sql", "--duration", "soon"], 2, "10 s"),
        (&["run", "q.sql", "--rows", "many"], 2, "--rows"),
        (&["run", "absent.sql"], 3, "absent.sql"),
        (&["run", "q.sql", "--set", "A"], 2, "NAME=VALUE"),
        (&["run", "q.sql", "--metrics-addr", "somewhere"], 3, "127.0.0.1:9464"),
        (&["run", "q.sql", "--metrics-addr", "0.0.0.0:0"], 3, "--expose-metrics"),
        (&["run", "q.sql", "--state", "file"], 4, "--state"),
        (&["run", "q.sql", "--format", "xml"], 2, "jsonl"),
        (&["run", "q.sql", "--show", "t"], 3, "none"),
        (&["run", "q.sql", "--rows", "0"], 2, "--rows"),
        (&["check", "q.sql", "--set", "A"], 2, "NAME=VALUE"),
        (&["completions", "dish"], 2, "bash"),
    ];
    for (arguments, code, word) in cases {
        let output = run(directory.path(), arguments);
        let shown = text(&output);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {shown}");
        assert!(shown.contains(word), "{arguments:?} does not say {word:?}: {shown}");
        assert!(!shown.contains("panicked"), "{arguments:?}: {shown}");
    }
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let output = run(Path::new("."), &["--help"]);
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    for part in ["streamer run queries/anomaly.sql", "Exit codes", "simulate", "explain"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn the_main_query_has_no_errors_and_shares_its_source() {
    let checked = run(&root(), &["check", "queries/anomaly.sql"]);
    assert!(checked.status.success(), "{}", text(&checked));
    let explained = run(&root(), &["explain", "queries/anomaly.sql"]);
    let plan = String::from_utf8_lossy(&explained.stdout).into_owned();
    let stream = plan.split("-- Stream plan").nth(1).unwrap();
    assert_eq!(stream.matches("Source edge_iiot_stream").count(), 1, "{plan}");
    assert_eq!(stream.matches("OverAggregate").count(), 1, "{plan}");
    assert_eq!(stream.matches("Sink ").count(), 3, "{plan}");
}
