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

/// Two filters of one table meet in a window: both paths keep state of their own across a restart.
#[test]
fn a_union_of_two_filters_is_counted_once_across_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let query = "CREATE TABLE t (n BIGINT, ts AS CAST(TO_TIMESTAMP_LTZ(n, 3) AS TIMESTAMP(3)), WATERMARK FOR ts AS ts)
WITH ('connector' = 'datagen', 'rows-per-second' = '2000', 'fields.n.kind' = 'sequence', 'fields.n.start' = '0',
      'fields.n.end' = '9999');
CREATE VIEW u AS SELECT n, ts FROM t WHERE MOD(n, 2) = 0 UNION ALL SELECT n, ts FROM t WHERE MOD(n, 2) = 1;
CREATE TABLE o (window_end TIMESTAMP(3), n BIGINT, total BIGINT) WITH (
  'connector' = 'filesystem', 'path' = 'out', 'format' = 'parquet');
INSERT INTO o SELECT window_end, COUNT(*), SUM(n)
FROM TABLE(TUMBLE(TABLE u, DESCRIPTOR(ts), INTERVAL '4' SECOND)) GROUP BY window_start, window_end;";
    write(directory.path(), "q.sql", query);
    for rows in ["1500", "3000", "100000"] {
        let output = run(directory.path(), &["run", "q.sql", "--state", "state", "--rows", rows]);
        assert!(output.status.success(), "{}", text(&output));
    }
    let windows = crate::support::parquet(&directory.path().join("out"));
    let mut counts = crate::support::longs(&windows, "n");
    counts.sort_unstable();
    assert_eq!(counts, [2000, 4000, 4000]);
    assert_eq!(crate::support::longs(&windows, "total").iter().sum::<i64>(), 9999 * 10_000 / 2);
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

/// All files and folders below a directory, sorted.
fn tree(directory: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        found.push(path.to_string_lossy().into_owned());
        if path.is_dir() {
            found.extend(tree(&path));
        }
    }
    found.sort();
    found
}

#[test]
fn a_select_over_files_leaves_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "input/a.json", &rows());
    write(directory.path(), "q.sql", &format!("{TABLE}SELECT device_id FROM readings;"));
    let before = tree(directory.path());
    let output = run(directory.path(), &["run", "q.sql"]);
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(tree(directory.path()), before);
}

#[test]
fn rows_that_are_in_no_result_are_in_the_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let late = "{\"device_id\":\"a\",\"v\":9.0,\"ts\":\"2026-01-01 00:00:02\"}\n";
    write(directory.path(), "input/a.json", &format!("{}{late}not JSON\n", rows()));
    let skipping = TABLE.replace("'json')", "'json', 'bad-records' = 'ledger')");
    let query = format!(
        "{skipping}SELECT device_id, COUNT(*) FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))
GROUP BY device_id, window_start, window_end;"
    );
    write(directory.path(), "q.sql", &query);
    let output = run(directory.path(), &["run", "q.sql"]);
    assert!(output.status.success(), "{}", text(&output));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("note: 1 row is late and not in the result: streamer sql -f q.sql -c"), "{told}");
    assert!(told.contains("note: 1 row is bad and not in the result"), "{told}");
    let ask = |query: &str| run(directory.path(), &["sql", "-f", "q.sql", "--format", "csv", "-c", query]);
    let output = ask("SELECT reason, event_time FROM ledger.late; SELECT COUNT(*) AS n FROM ledger.bad");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "reason,event_time\nLATE,2026-01-01 00:00:02.000\nn\n1\n",
        "{}",
        text(&output)
    );
    assert!(!directory.path().join("data/state/q/ledger/future").exists());
}

#[test]
fn rows_that_are_counted_are_kept_unless_the_policy_drops_them() {
    let directory = tempfile::tempdir().unwrap();
    // An empty array stops no job; a row without event time does, unless it is to be kept or dropped.
    write(directory.path(), "input/a.json", &format!("{}[]\n", rows()));
    let query = "CREATE TABLE counts (n BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO counts SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))
GROUP BY window_start, window_end;";
    write(directory.path(), "fail.sql", &format!("{TABLE}{query}"));
    let output = run(directory.path(), &["run", "fail.sql"]);
    assert!(output.status.success() && text(&output).contains("FROM ledger.bad"), "{}", text(&output));
    let bad = "SELECT reason, field, raw IS NOT NULL AS raw FROM ledger.bad ORDER BY reason";
    let ask = |script: &str| run(directory.path(), &["sql", "-f", script, "--format", "csv", "-c", bad]);
    let output = ask("fail.sql");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "reason,field,raw\nNO_ROW,,true\n", "{}", text(&output));

    write(directory.path(), "input/a.json", &format!("{}[]\n{{\"device_id\":\"a\"}}\n", rows()));
    for (policy, told) in [("ledger", "FROM ledger.bad"), ("drop", "bad rows of readings were counted and dropped")] {
        let table = TABLE.replace("'json')", &format!("'json', 'bad-records' = '{policy}')"));
        write(directory.path(), &format!("{policy}.sql"), &format!("{table}{query}"));
        let output = run(directory.path(), &["run", &format!("{policy}.sql")]);
        assert!(output.status.success() && text(&output).contains(told), "{}", text(&output));
        assert_eq!(text(&output).contains("ledger.bad"), policy == "ledger", "{}", text(&output));
    }
    let output = ask("ledger.sql");
    let expected = "reason,field,raw\nNO_ROW,,true\nNULL_EVENT_TIME,ts,false\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{}", text(&output));
}

#[test]
fn a_row_late_before_and_behind_an_over_is_one_late_row() {
    let directory = tempfile::tempdir().unwrap();
    // The OVER takes it, for it is the first of its device; neither window does.
    let late = "{\"device_id\":\"c\",\"v\":9.0,\"ts\":\"2026-01-01 00:00:02\"}\n";
    write(directory.path(), "input/a.json", &format!("{}{late}", rows()));
    let script = format!(
        "{TABLE}CREATE TABLE direct (n BIGINT) WITH ('connector' = 'blackhole');
CREATE TABLE behind (n BIGINT) WITH ('connector' = 'blackhole');
CREATE VIEW sums AS SELECT ts, SUM(v) OVER
  (PARTITION BY device_id ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM readings;
EXECUTE STATEMENT SET BEGIN
INSERT INTO direct SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))
  GROUP BY window_start, window_end;
INSERT INTO behind SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE sums, DESCRIPTOR(ts), INTERVAL '10' SECOND))
  GROUP BY window_start, window_end;
END;"
    );
    write(directory.path(), "q.sql", &script);
    let output = run(directory.path(), &["run", "q.sql"]);
    assert!(output.status.success(), "{}", text(&output));
    let ask = |query: &str| run(directory.path(), &["sql", "-f", "q.sql", "--format", "csv", "-c", query]);
    let output = ask("SELECT COUNT(*) AS n FROM ledger.late WHERE reason = 'LATE'");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "n\n1\n", "{}", text(&output));
}

#[test]
fn a_table_around_the_state_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "input/a.json", &rows());
    write(directory.path(), "q.sql", &format!("{TABLE}SELECT device_id FROM readings;"));
    let output = run(directory.path(), &["run", "q.sql", "--state", "input/state"]);
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(3), "{shown}");
    assert!(shown.contains("overlaps the state of the job") && shown.contains("--> q.sql:3:"), "{shown}");
    assert!(!directory.path().join("input/state").exists());
}

/// Runs `streamer sql` over the rows, statements from a pipe.
fn piped(directory: &std::path::Path, arguments: &[&str], statements: &str) -> std::process::Output {
    use std::io::Write;
    let mut command = crate::support::streamer(directory);
    command.args(["sql", "-f", "q.sql"]).args(arguments);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    // a child that has refused already reads nothing
    drop(child.stdin.take().unwrap().write_all(statements.as_bytes()));
    child.wait_with_output().unwrap()
}

#[test]
fn queries_from_a_pipe_and_from_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "input/a.json", &rows());
    write(directory.path(), "q.sql", TABLE);
    let shown = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let output = piped(
        directory.path(),
        &[],
        "\\d\nSELECT COUNT(*) AS n\n  FROM readings;\n-- the columns\nDESCRIBE readings; SELECT 1 AS a\n-- end\n",
    );
    let expected = "table name\nledger.bad\nledger.future\nledger.gap\nledger.late\nreadings\nn\n6\n\
                    name,type,null,key,extras,watermark\ndevice_id,STRING,true,,,\n\
                    v,DOUBLE,true,,,\n\
                    ts,TIMESTAMP(3) *ROWTIME*,true,,,ts - INTERVAL '1' SECOND\na\n1\n";
    assert_eq!(shown(&output), expected, "{}", text(&output));
    let output = piped(directory.path(), &[], "SELECT 1 AS a;\nSELECT\n  x FROM readings;\nSELECT 2 AS b;\n");
    assert_eq!((output.status.code(), shown(&output).as_str()), (Some(3), "a\n1\n"), "{}", text(&output));
    assert!(text(&output).contains("stdin:3:3"), "{}", text(&output));

    let ask = |arguments: &[&str]| run(directory.path(), &[&["sql", "-f", "q.sql"], arguments].concat());
    let empty = ask(&["-c", "SELECT device_id FROM readings WHERE v > 100", "-c", "SHOW TABLES; SELECT 1 AS a"]);
    assert!(shown(&empty).starts_with("device_id\ntable name\n") && shown(&empty).ends_with("readings\na\n1\n"));
    let file = ask(&["-c", "SELECT * FROM readings", "--format", "parquet"]);
    let copy = directory.path().join("copy.parquet");
    std::fs::write(&copy, file.stdout).unwrap();
    let batches =
        parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(std::fs::File::open(copy).unwrap(), 100);
    assert_eq!(batches.unwrap().map(|b| b.unwrap().num_rows()).sum::<usize>(), 6);
    for two in [&["-c", "SELECT 1; SELECT 2"][..], &["-c", "SELECT 1", "-c", "SELECT 2"]] {
        let output = ask(&[&["--format", "parquet"], two].concat());
        assert_eq!(output.status.code(), Some(3), "{}", text(&output));
        assert!(output.stdout.is_empty());
    }
}

/// Without keys a window has one instance at any parallelism, so a window behind it goes on at the usual one.
#[test]
fn a_window_over_a_window_without_keys_goes_on_after_a_stop() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "input/a.json", &rows());
    let query = format!(
        "{TABLE}CREATE VIEW tens AS SELECT window_time AS t, COUNT(*) AS c
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, window_time;
SELECT window_start, SUM(c) AS n FROM TABLE(TUMBLE(TABLE tens, DESCRIPTOR(t), INTERVAL '30' SECOND))
GROUP BY window_start, window_end;"
    );
    write(directory.path(), "q.sql", &query);
    let arguments = ["run", "q.sql", "--state", "state", "--batch-rows", "2", "--parallelism", "2"];
    let stopped = run(directory.path(), &[&arguments[..], &["--rows", "2"]].concat());
    assert!(stopped.status.success() && stopped.stdout.is_empty(), "{}", text(&stopped));
    let done = run(directory.path(), &arguments);
    assert!(done.status.success(), "{}", text(&done));
    let rows = String::from_utf8_lossy(&done.stdout);
    let expected =
        "{\"window_start\":\"2026-01-01 00:00:00\",\"n\":5}\n{\"window_start\":\"2026-01-01 00:00:30\",\"n\":1}\n";
    assert_eq!(rows, expected, "{}", text(&done));
}

#[test]
fn rows_are_stamped_with_the_time_they_are_read_at() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "input/a.json", "{\"n\": 1}\n{\"n\": 2}\n{\"n\": 4}\n");
    let table = "CREATE TABLE t (n INT, proc AS PROCTIME())
WITH ('connector' = 'filesystem', 'path' = 'input', 'format' = 'json');
";
    let query = format!(
        "{table}SELECT COUNT(*) AS c, SUM(n) AS s, MIN(proc) > TIMESTAMP '2026-01-01 00:00:00' AS later
FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(proc), INTERVAL '99' DAY)) GROUP BY window_start, window_end;"
    );
    write(directory.path(), "q.sql", &query);
    let output = run(directory.path(), &["run", "q.sql"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{\"c\":3,\"s\":7,\"later\":true}\n", "{}", text(&output));
    write(directory.path(), "t.sql", table);
    let adhoc = [
        "sql",
        "-f",
        "t.sql",
        "--format",
        "csv",
        "-c",
        "SELECT SUM(n) AS s FROM t WHERE proc > TIMESTAMP '2026-01-01 00:00:00'",
    ];
    let output = run(directory.path(), &adhoc);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "s\n7\n", "{}", text(&output));
}
