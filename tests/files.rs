//! Scripts over files only: nothing is started but the script itself, and it runs to the end of its input.

use crate::support::{run, text};

fn write(directory: &std::path::Path, name: &str, content: &str) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

const TABLE: &str = "CREATE TABLE readings (
  device_id STRING, v DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = 'input', 'format' = 'json');
";

fn rows() -> String {
    [("a", 1.0, 0), ("b", 10.0, 1), ("a", 3.0, 9), ("a", 5.0, 10), ("b", 20.0, 19), ("a", 7.0, 31)]
        .map(|(d, v, s)| format!("{{\"device_id\":\"{d}\",\"v\":{v},\"ts\":\"2026-01-01 00:00:{s:02}\"}}\n"))
        .concat()
}

#[test]
fn a_final_select_writes_json_lines_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "input/a.json", &rows());
    let query = format!(
        "{TABLE}SELECT device_id, window_start, COUNT(*) AS n, SUM(v) AS total
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))
GROUP BY device_id, window_start, window_end;"
    );
    write(directory.path(), "q.sql", &query);
    for parallelism in ["1", "2", "4"] {
        let output = run(directory.path(), &["run", "q.sql", "--parallelism", parallelism]);
        assert!(output.status.success(), "{}", text(&output));
        let mut lines: Vec<_> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                r#"{"device_id":"a","window_start":"2026-01-01 00:00:00","n":2,"total":4.0}"#,
                r#"{"device_id":"a","window_start":"2026-01-01 00:00:10","n":1,"total":5.0}"#,
                r#"{"device_id":"a","window_start":"2026-01-01 00:00:30","n":1,"total":7.0}"#,
                r#"{"device_id":"b","window_start":"2026-01-01 00:00:00","n":1,"total":10.0}"#,
                r#"{"device_id":"b","window_start":"2026-01-01 00:00:10","n":1,"total":20.0}"#,
            ],
            "{}",
            text(&output)
        );
        assert!(output.stderr.is_empty(), "{}", text(&output));
    }
}

#[test]
fn over_rows_and_range_and_union() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "input/a.json", &rows());
    let query = format!(
        "{TABLE}SELECT device_id, v, SUM(v) OVER w AS s FROM readings
WINDOW w AS (PARTITION BY device_id ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
UNION ALL
SELECT device_id, v, SUM(v) OVER (PARTITION BY device_id ORDER BY ts
  RANGE BETWEEN INTERVAL '10' SECOND PRECEDING AND CURRENT ROW) FROM readings;"
    );
    write(directory.path(), "q.sql", &query);
    let output = run(directory.path(), &["run", "q.sql", "--format", "csv"]);
    assert!(output.status.success(), "{}", text(&output));
    let shown = std::str::from_utf8(&output.stdout).unwrap();
    let mut lines: Vec<_> = shown.lines().filter(|l| !l.starts_with("device_id")).collect();
    lines.sort_unstable();
    let mut expected = vec![
        "a,1.0,1.0",
        "a,3.0,4.0",
        "a,5.0,8.0",
        "a,7.0,12.0",
        "b,10.0,10.0",
        "b,20.0,30.0", // ROWS 1
        "a,1.0,1.0",
        "a,3.0,4.0",
        "a,5.0,9.0",
        "a,7.0,7.0",
        "b,10.0,10.0",
        "b,20.0,20.0", // RANGE 10 s
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected, "{}", text(&output));
}

/// Rows of an OVER go into windows: they keep their event time, and come from several partitions at once.
#[test]
fn a_window_over_the_rows_of_an_over() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "input/a.json", &rows());
    let other = TABLE.replace("readings", "others").replace("'input'", "'other'");
    write(directory.path(), "other/b.json", &rows().replace("\"a\"", "\"c\""));
    let query = format!(
        "{TABLE}{other}CREATE VIEW both_tables AS SELECT * FROM readings UNION ALL SELECT * FROM others;
CREATE VIEW summed AS SELECT device_id, ts, SUM(v) OVER (PARTITION BY device_id ORDER BY ts
  ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM both_tables;
SELECT window_start, COUNT(*) AS n, SUM(s) AS total
FROM TABLE(TUMBLE(TABLE summed, DESCRIPTOR(ts), INTERVAL '20' SECOND)) GROUP BY window_start, window_end;"
    );
    write(directory.path(), "q.sql", &query);
    for parallelism in ["1", "4"] {
        let output = run(directory.path(), &["run", "q.sql", "--parallelism", parallelism]);
        assert!(output.status.success(), "{}", text(&output));
        // a: 1, 4, 8 | 12; c the same; b: in both tables at the same times, so 10, 20, 30, 40 in some order of ties.
        let lines: Vec<_> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
        assert_eq!(
            lines,
            [
                r#"{"window_start":"2026-01-01 00:00:00","n":10,"total":126.0}"#,
                r#"{"window_start":"2026-01-01 00:00:20","n":2,"total":24.0}"#
            ],
            "{}",
            text(&output)
        );
    }
}

#[test]
fn inserts_run_one_after_the_other_and_read_each_other() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "input/a.json", &rows());
    let query = format!(
        "{TABLE}CREATE TABLE copied (device_id STRING, v DOUBLE) WITH (
  'connector' = 'filesystem', 'path' = 'out/copied', 'format' = 'parquet');
INSERT INTO copied SELECT device_id, v * 2 FROM readings WHERE v > 4;
SELECT device_id, v FROM copied;"
    );
    write(directory.path(), "q.sql", &query);
    let output = run(directory.path(), &["run", "q.sql"]);
    assert!(output.status.success(), "{}", text(&output));
    let mut lines: Vec<_> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    lines.sort_unstable();
    let expected = ["a\",\"v\":10.0", "a\",\"v\":14.0", "b\",\"v\":20.0", "b\",\"v\":40.0"];
    assert_eq!(lines, expected.map(|r| format!("{{\"device_id\":\"{r}}}")), "{}", text(&output));
}

#[test]
fn a_bad_line_fails_a_file_job_and_says_where() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "input/a.json", "{\"device_id\":\"a\",\"v\":1}\n{\"device_id\":\"a\",\"v\":tru\n");
    write(directory.path(), "q.sql", &format!("{TABLE}SELECT device_id FROM readings;"));
    let output = run(directory.path(), &["run", "q.sql"]);
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("a.json"), "{shown}");
}
