//! Scripts and what becomes of them: plans as `explain` prints them, and every refusal with its place and hint.

mod ddl;
mod dialect;

mod windowed;

use super::*;
use crate::connectors;
use crate::plan::NodeKind;
use crate::sql::types::flink_type;
use crate::table::ColumnKind;

const SOURCE: &str = "CREATE TABLE readings (
  device_id STRING NOT NULL,
  site STRING,
  v DOUBLE,
  n INT,
  ts TIMESTAMP(3),
  part INT METADATA FROM 'partition' VIRTUAL,
  off BIGINT METADATA FROM 'offset' VIRTUAL,
  upper_site AS UPPER(site),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'kafka', 'topic' = 'r', 'properties.bootstrap.servers' = 'localhost:9092', 'format' = 'json', 'scan.watermark.idle-timeout' = '10 s');
CREATE TABLE pairs (device_id STRING, x DOUBLE) WITH ('connector' = 'print');
CREATE TABLE strict (device_id STRING NOT NULL, site STRING NOT NULL, d DECIMAL(5, 2)) WITH ('connector' = 'print');
CREATE TABLE windows (device_id STRING, s TIMESTAMP(3), e TIMESTAMP(3), c BIGINT, a DOUBLE) WITH ('connector' = 'print');
";

fn plan(script: &str) -> Result<Script> {
    plan_script(&format!("{SOURCE}{script}"), &|_| None)
}

/// The plan of the script's only job, without the lines that say the same everywhere.
#[track_caller]
fn check(script: &str, expected: &str) {
    let planned = plan(script).unwrap_or_else(|e| panic!("{script}\n{e}"));
    let [job] = &planned.jobs[..] else { panic!("{} jobs", planned.jobs.len()) };
    let text: String = job
        .plan
        .explain_places()
        .lines()
        .filter(|l| !l.contains('·') && !l.contains('⇄'))
        .map(|l| format!("{l}\n"))
        .collect();
    let expected: String = expected
        .trim_start_matches('\n')
        .trim_end()
        .lines()
        .map(|l| format!("{}\n", l.strip_prefix("        ").unwrap_or(l)))
        .collect();
    assert_eq!(text, expected, "\n{text}");
}

const READ: &str =
    "Source readings columns=[device_id, site, v, n, ts, part, off, UPPER(site)] watermark=[ts - INTERVAL '5' SECOND]";

#[test]
fn a_projection_and_its_filter_are_one_step() {
    check(
        "INSERT INTO pairs SELECT device_id, y + 1 FROM (SELECT device_id, v * 2 AS y, n FROM readings WHERE site = 'a') WHERE n > 3;",
        &format!(
            "
        Sink pairs
          Calc [device_id, (v * 2e0) + 1e0] where=[(site = 'a') AND (n > 3)]
            {READ}"
        ),
    );
}

#[test]
fn unnest_keeps_the_columns_that_are_read_and_the_event_time() {
    check(
        "INSERT INTO pairs SELECT u.tag, v * 2 FROM readings CROSS JOIN UNNEST(ARRAY[site, device_id]) AS u(tag) WHERE n > 3;",
        &format!(
            "
        Sink pairs
          Calc [tag, v * 2e0] where=[n > 3]
            Unnest [__ARRAY(site, device_id)] keeps=[$2, $3]
              Calc [device_id, site, v, n]
                {READ}"
        ),
    );
    check(
        "SELECT tag, window_start, COUNT(*) FROM TABLE(TUMBLE((SELECT t.ts, u.tag FROM readings AS t LEFT JOIN UNNEST(MAP[site, n]) WITH ORDINALITY AS u(tag, n, i) ON TRUE), DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY tag, window_start, window_end;",
        &format!(
            "
        Sink result
          Calc [tag, window_start, COUNT(*)]
            WindowAggregate TUMBLE($0, 60000 ms) keys=[tag] output=[tag, window_start, window_end, COUNT(*)]
              Unnest outer [__MAP(site, n)] with ordinality keeps=[$2]
                Calc [site, n, ts]
                  {READ}"
        ),
    );
}

/// As in Flink, whose CREATE VIEW plans no job.
#[test]
fn a_view_that_no_job_can_be_made_of_is_a_mistake_only_where_it_is_read() {
    let views = "CREATE VIEW counted AS SELECT site, COUNT(*) AS c FROM readings GROUP BY site;
CREATE VIEW above AS SELECT c + 1 AS d FROM counted;
CREATE VIEW first3 AS SELECT site FROM readings LIMIT 3;
";
    let script = plan(&format!("{views}SELECT v FROM readings;")).unwrap();
    let told: Vec<&str> = script.unused.iter().map(Error::message).collect();
    assert_eq!(told, ["an aggregate without a window is not supported yet", "LIMIT is not supported on streams"]);
    let refusals = |query: &str| -> Vec<String> {
        let error = plan(&format!("{views}{query}")).unwrap_err();
        error.flatten().iter().map(|error| error.message().to_owned()).collect()
    };
    let both = ["an aggregate without a window is not supported yet", "LIMIT is not supported on streams"];
    assert_eq!(refusals("SELECT d FROM above;"), both, "all that is wrong, once there are errors");
    assert_eq!(refusals("INSERT INTO pairs SELECT site, 1 FROM first3; SELECT d FROM above;"), both);
    let script = plan(&format!("{views}DROP VIEW above; DROP VIEW counted; SELECT v FROM readings;")).unwrap();
    assert_eq!(script.unused.len(), 1, "{:?}", script.unused);
}

/// What Flink refuses, too, is a mistake wherever it stands.
#[test]
fn a_view_that_means_nothing_is_a_mistake_of_its_own_and_of_nobody_else() {
    let error = plan("CREATE VIEW a AS SELECT nope FROM readings; CREATE VIEW b AS SELECT * FROM a; SELECT * FROM b;");
    let messages: Vec<String> = error.unwrap_err().flatten().iter().map(|error| error.message().to_owned()).collect();
    assert_eq!(messages, ["column \"nope\" not found in table \"readings\""]);
}

#[test]
fn rows_of_constants_have_a_bound() {
    let rows = |count: usize| {
        let rows: Vec<String> = (0..count).map(|i| format!("({i}, 'x')")).collect();
        plan(&format!("SELECT v FROM readings JOIN (VALUES {}) AS w (id, name) ON n = w.id;", rows.join(", ")))
    };
    assert!(rows(1_000).is_ok());
    let error = rows(10_001).unwrap_err();
    assert_eq!(error.message(), "a join with 10001 rows of constants, 10000 are possible");
}

#[test]
fn what_is_computed_once_stays_one_step() {
    check(
        "INSERT INTO pairs SELECT device_id, y FROM (SELECT device_id, ABS(v) AS y FROM readings) WHERE y > 2.5e0;",
        &format!(
            "
        Sink pairs
          Calc [device_id, y] where=[y > 2.5e0]
            Calc [device_id, ABS(v)]
              {READ}"
        ),
    );
}

/// A multiset has its elements, a map to numbers keys and values, as Flink 2.3 shows them.
#[test]
fn a_map_to_numbers_is_no_multiset() {
    let collections = "CREATE TABLE c (m MAP<STRING, INT NOT NULL>, ms MULTISET<STRING>) WITH ('connector' = 'filesystem', 'path' = 'c', 'format' = 'json');";
    for (query, columns) in [
        ("SELECT * FROM (SELECT m FROM c) AS c CROSS JOIN UNNEST(m) AS u", &["m", "KEY", "VALUE"][..]),
        ("SELECT * FROM (SELECT ms FROM c) AS c CROSS JOIN UNNEST(ms) AS u (x)", &["ms", "x"]),
    ] {
        let script = plan(&format!("{collections}{query}")).unwrap_or_else(|e| panic!("{query}\n{e}"));
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(script.jobs[0].kind, JobKind::Select { columns });
    }
    for query in ["SELECT u.x FROM c CROSS JOIN UNNEST(ms) AS u (x, n)", "SELECT MAP_KEYS(ms) FROM c"] {
        assert!(plan(&format!("{collections}{query}")).is_err(), "{query}");
    }
}

#[test]
fn literals_have_flinks_types() {
    let script = plan("SELECT 1, 3000000000, 0.5, 1e3, n + 1, 'x' FROM readings;").unwrap();
    let schema = &script.jobs[0].plan.nodes.last().unwrap().schema;
    let types: Vec<String> = schema.fields().iter().map(|f| flink_type(f.data_type())).collect();
    assert_eq!(types, ["INT", "BIGINT", "DECIMAL(2, 1)", "DOUBLE", "INT", "STRING"]);
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["EXPR$0", "EXPR$1", "EXPR$2", "EXPR$3", "EXPR$4", "EXPR$5"]);
    assert_eq!(script.jobs[0].kind, JobKind::Select { columns: names.iter().map(|n| (*n).to_owned()).collect() });
}

#[test]
fn windows_in_all_their_forms() {
    for (call, shown) in [
        ("TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' MINUTE))", "TUMBLE($4, 60000 ms)"),
        (
            "TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '10' SECOND)",
            "TUMBLE($4, 60000 ms, offset 10000 ms)",
        ),
        (
            "TABLE(TUMBLE(DATA => TABLE readings, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '1' HOUR))",
            "TUMBLE($4, 3600000 ms)",
        ),
        (
            "TABLE(HOP(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '1' MINUTE))",
            "HOP($4, slide 10000 ms, size 60000 ms)",
        ),
        (
            "TABLE(CUMULATE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '1' HOUR))",
            "CUMULATE($4, step 60000 ms, size 3600000 ms)",
        ),
    ] {
        check(
            &format!(
                "INSERT INTO windows SELECT device_id, window_start, window_end, COUNT(*), AVG(v) FROM {call} GROUP BY device_id, window_start, window_end;"
            ),
            &format!(
                "
        Sink windows
          Calc [device_id, window_start, window_end, COUNT(*), AVG(v)]
            WindowAggregate {shown} keys=[device_id] output=[device_id, window_start, window_end, COUNT(*), AVG(v)]
              {READ}"
            ),
        );
    }
}

#[test]
fn a_filter_before_a_window_narrows_its_input() {
    check(
        "INSERT INTO windows SELECT site, window_start, window_end, c, CAST(NULL AS DOUBLE) FROM (
           SELECT site, window_start, window_end, COUNT(*) AS c
           FROM TABLE(TUMBLE((SELECT * FROM readings WHERE v > 1e0), DESCRIPTOR(ts), INTERVAL '1' MINUTE))
           GROUP BY site, window_start, window_end HAVING COUNT(*) > 2);",
        &format!(
            "
        Sink windows
          Calc [site, window_start, window_end, COUNT(*), NULL] where=[COUNT(*) > 2]
            WindowAggregate TUMBLE($1, 60000 ms) keys=[site] output=[site, window_start, window_end, COUNT(*)]
              Calc [site, ts] where=[v > 1e0]
                {READ}"
        ),
    );
}

#[test]
fn a_window_over_window_time_cascades() {
    let script = plan(
        "CREATE VIEW minutes AS SELECT device_id, window_time AS t, SUM(v) AS s
           FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
           GROUP BY device_id, window_start, window_end, window_time;
         INSERT INTO windows SELECT device_id, window_start, window_end, COUNT(*), AVG(s)
           FROM TABLE(TUMBLE(TABLE minutes, DESCRIPTOR(t), INTERVAL '1' HOUR)) GROUP BY device_id, window_start, window_end;",
    )
    .unwrap();
    let aggregates = script.jobs[0].plan.nodes.iter().filter(|n| matches!(n.kind, NodeKind::WindowAggregate(_)));
    assert_eq!(aggregates.count(), 2);
}

#[test]
fn group_windows_are_window_functions_in_an_older_form() {
    let plan_of = |query: &str| {
        let script = plan(query).unwrap_or_else(|e| panic!("{query}\n{e}"));
        let columns: Vec<String> = match &script.jobs[0].kind {
            JobKind::Select { columns } => columns.clone(),
            other => panic!("{other:?}"),
        };
        (script.jobs[0].plan.explain_places(), columns)
    };
    let (older, columns) = plan_of(
        "SELECT r.site, HOP_START(r.ts, INTERVAL '1' MINUTE, INTERVAL '1' HOUR) AS s, HOP_ROWTIME(r.ts, INTERVAL '1' MINUTE, INTERVAL '1' HOUR) AS t, COUNT(*) AS c \
         FROM readings AS r WHERE v > 1 GROUP BY HOP(r.ts, INTERVAL '1' MINUTE, INTERVAL '1' HOUR), r.site HAVING HOP_END(r.ts, INTERVAL '1' MINUTE, INTERVAL '1' HOUR) > TIMESTAMP '2024-01-01 00:00:00';",
    );
    let newer = plan_of(
        "SELECT r.site, window_start AS s, window_time AS t, COUNT(*) AS c \
         FROM TABLE(HOP(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '1' HOUR)) AS r WHERE v > 1 \
         GROUP BY window_start, window_end, window_time, r.site HAVING window_end > TIMESTAMP '2024-01-01 00:00:00';",
    );
    assert!(older.contains("GROUP HOP("), "its partials are merged in another order");
    let renamed = ["start", "end", "time"].iter().fold(older.replace("GROUP HOP(", "HOP("), |plan, part| {
        plan.replace(&format!("{part} of window"), &format!("window_{part}"))
    });
    assert_eq!((renamed, columns), newer);
    let ambiguous =
        "WITH w AS (SELECT window_time, n FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' MINUTE)))
        SELECT ⟦window_time⟧ FROM TABLE(TUMBLE(TABLE w, DESCRIPTOR(window_time), INTERVAL '1' HOUR))";
    for query in [ambiguous.to_owned(), ambiguous.replace("SELECT ⟦window_time⟧", "SELECT *")] {
        let error = plan(&query.replace(['⟦', '⟧'], "")).unwrap_err();
        assert!(error.message().contains("\"window_time\" is ambiguous"), "{error}");
    }
    let inner = "SELECT TUMBLE_END(ts, INTERVAL '1' MINUTE), COUNT(*) FROM (SELECT ts, n FROM readings WHERE n > 3) GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE);";
    assert_eq!(plan_of(inner).1, ["EXPR$0", "EXPR$1"], "a part of the window has no name of its own");

    refused(
        "SELECT ⟦TUMBLE_START⟧(ts, INTERVAL '2' MINUTE), COUNT(*) FROM readings GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)",
        "does not belong to the window",
        "ts, INTERVAL '1' MINUTE",
    );
    refused(
        "SELECT COUNT(*) FROM readings GROUP BY ⟦TUMBLE⟧(ts + INTERVAL '1' MINUTE, INTERVAL '1' MINUTE)",
        "must be an event-time column",
        "WATERMARK FOR",
    );
}

#[test]
fn over_in_all_its_frames() {
    for (frame, shown) in [
        ("ROWS BETWEEN 99 PRECEDING AND CURRENT ROW", "ROWS 99"),
        ("ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", "ROWS UNBOUNDED"),
        ("RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW", "RANGE 3600000 ms"),
        ("", "RANGE UNBOUNDED"),
    ] {
        check(
            &format!(
                "INSERT INTO pairs SELECT device_id, v - AVG(v) OVER w FROM readings WINDOW w AS (PARTITION BY device_id ORDER BY ts {frame});"
            ),
            &format!(
                "
        Sink pairs
          Calc [device_id, v - AVG(v)]
            OverAggregate keys=[device_id] order=$2 frame={shown} calls=[AVG(v)]
              Calc [device_id, v, ts]
                {READ}"
            ),
        );
    }
}

#[test]
fn union_all_and_column_lists() {
    check(
        "INSERT INTO pairs (x, device_id) SELECT v, device_id FROM readings UNION ALL SELECT n, site FROM readings;",
        &format!(
            "
        Sink pairs
          Calc [device_id, v]
            Union
              Calc [v, device_id]
                #0 {READ}
              Calc [CAST(n AS DOUBLE), site]
                #0 (as above)"
        ),
    );
}

#[test]
fn a_sink_casts_as_flink_does_and_keeps_not_null() {
    check(
        "INSERT INTO strict (device_id, site, d) SELECT device_id, site, v FROM readings;",
        &format!(
            "
        Sink strict
          Calc [device_id, NOT_NULL(site), CAST(v AS DECIMAL(5, 2))]
            {READ}"
        ),
    );
}

const ANOMALY: &str = "
CREATE VIEW scored AS
SELECT device_id, ts, v, part, off,
  AVG(v) OVER w AS mean, STDDEV_POP(v) OVER w AS deviation
FROM readings
WINDOW w AS (PARTITION BY device_id ORDER BY ts ROWS BETWEEN 99 PRECEDING AND CURRENT ROW);
CREATE VIEW alerts AS
SELECT device_id, ts, v, CASE WHEN deviation > 0 THEN ABS(v - mean) / deviation END AS z FROM scored;
CREATE TABLE a1 (device_id STRING, ts TIMESTAMP(3), z DOUBLE, severity STRING) WITH ('connector' = 'print');
CREATE TABLE a2 (device_id STRING, z DOUBLE) WITH ('connector' = 'print');
EXECUTE STATEMENT SET BEGIN
INSERT INTO a1 SELECT device_id, ts, z, CASE WHEN z > 5e0 THEN 'critical' ELSE 'warning' END FROM alerts WHERE z > 2.5e0;
INSERT INTO a2 SELECT device_id, z FROM alerts WHERE z > 2.5e0;
INSERT INTO windows SELECT device_id, window_start, window_end, COUNT(*), AVG(v)
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '30' SECOND)) GROUP BY device_id, window_start, window_end;
END;";

#[test]
fn the_inserts_of_a_set_share_source_and_over() {
    let script = plan(ANOMALY).unwrap();
    let [job] = &script.jobs[..] else { panic!("{} jobs", script.jobs.len()) };
    let count = |is: fn(&NodeKind) -> bool| job.plan.nodes.iter().filter(|n| is(&n.kind)).count();
    assert_eq!(count(|k| matches!(k, NodeKind::Source(_))), 1, "{}", job.plan.explain_places());
    assert_eq!(count(|k| matches!(k, NodeKind::OverAggregate(_))), 1, "{}", job.plan.explain_places());
    assert_eq!(count(|k| matches!(k, NodeKind::WindowAggregate(_))), 1);
    assert_eq!(count(|k| matches!(k, NodeKind::Sink(_))), 3);
    assert_eq!(job.kind, JobKind::StatementSet);
    // every edge goes back: the order is topological
    assert!(job.plan.nodes.iter().enumerate().all(|(id, n)| n.inputs.iter().all(|i| *i < id)));
}

#[test]
fn each_insert_outside_a_set_is_a_job() {
    let script = plan("INSERT INTO pairs SELECT device_id, v FROM readings; SET 'pipeline.name' = 'second'; INSERT INTO pairs SELECT site, v FROM readings; SELECT v FROM readings;").unwrap();
    let kinds: Vec<_> = script.jobs.iter().map(|j| j.kind.clone()).collect();
    assert_eq!(kinds, [JobKind::Insert, JobKind::Insert, JobKind::Select { columns: vec!["v".into()] }]);
    assert_eq!(script.jobs[0].plan.settings.pipeline_name, None);
    assert_eq!(script.jobs[1].plan.settings.pipeline_name.as_deref(), Some("second"));
    assert_eq!(script.tables.len(), 4);
}

/// `script` with the expected place between ⟦ and ⟧: one error, there, with this message and hint.
#[track_caller]
fn refused(script: &str, message: &str, hint: &str) {
    let whole = format!("{SOURCE}{script}");
    let text = whole.replace(['⟦', '⟧'], "");
    let error = plan_script(&text, &|_| None).map(|_| ()).expect_err(script);
    let all = error.clone().flatten();
    assert_eq!(all.len(), 1, "{script}: {error}");
    assert!(error.message().contains(message), "{script}: {error}");
    assert!(error.hint_text().is_some_and(|h| h.contains(hint)), "{script}: {error} {:?}", error.hint_text());
    let span = error.span().unwrap_or_else(|| panic!("{script}: {error} has no place"));
    if let Some(start) = whole.find('⟦') {
        let before = &whole[..start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
        assert_eq!((span.line, span.column), (line as u32, column as u32), "{script}: {error}");
    }
}

#[test]
fn names_that_do_not_exist() {
    refused(
        "SELECT ⟦temprature⟧ FROM readings",
        "column \"temprature\" not found in table \"readings\"",
        "columns: device_id",
    );
    refused("SELECT ⟦device_idd⟧ FROM readings", "column \"device_idd\" not found", "did you mean \"device_id\"");
    refused("SELECT ⟦Site⟧ FROM readings", "column \"Site\" not found", "did you mean \"site\"");
    refused("SELECT v FROM ⟦reading⟧", "\"reading\" not found", "did you mean \"readings\"");
    refused(
        "INSERT INTO ⟦pair⟧ SELECT device_id, v FROM readings",
        "table \"pair\" not found",
        "did you mean \"pairs\"",
    );
    refused("SELECT ⟦UPER⟧(site) FROM readings", "unknown function \"UPER\"", "did you mean \"UPPER\"");
    refused(
        "INSERT INTO pairs (device_id, ⟦y⟧) SELECT device_id, v FROM readings",
        "column \"y\" not found in table \"pairs\"",
        "x",
    );
    refused(
        "SELECT v FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(⟦tss⟧), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, v",
        "column \"tss\" not found",
        "did you mean \"ts\"",
    );
    refused("SET ⟦'table.exec.source.idle-timeot'⟧ = '1 s'", "unknown setting", "table.exec.source.idle-timeout");
}

#[test]
fn what_streams_cannot_do() {
    refused(
        "SELECT v FROM readings ORDER BY ⟦v⟧",
        "ORDER BY is not supported on streams, but of event time",
        "streamer sql",
    );
    refused("SELECT v, ts FROM readings ORDER BY ⟦ts⟧ DESC", "ORDER BY is not supported on streams", "streamer sql");
    refused("SELECT v FROM readings LIMIT 10", "LIMIT is not supported", "streamer sql");
    refused("SELECT DISTINCT ⟦v⟧ FROM readings", "SELECT DISTINCT", "GROUP BY window_start");
    refused(
        "SELECT r.v FROM readings r JOIN pairs p ON ⟦r.device_id = p.device_id⟧",
        "JOIN of streams is not supported yet, but within windows",
        "TUMBLE",
    );
    refused(
        "SELECT r.v FROM readings r LEFT JOIN pairs p ON ⟦r.device_id = p.device_id⟧",
        "LEFT JOIN of streams is not supported yet",
        "TUMBLE",
    );
    refused("SELECT r.v FROM readings r, pairs p", "CROSS JOIN of streams is not supported yet", "TUMBLE");
    refused(
        "SELECT r.v FROM readings r JOIN pairs FOR SYSTEM_TIME AS OF r.ts AS p ON r.device_id = p.device_id",
        "FOR SYSTEM_TIME AS OF",
        "join after",
    );
    refused("SELECT v FROM readings UNION SELECT v FROM readings", "UNION is not supported", "UNION ALL");
    refused("SELECT v FROM readings INTERSECT SELECT v FROM readings", "INTERSECT is not supported", "streamer sql");
    refused(
        "SELECT v FROM readings WHERE device_id IN (SELECT device_id FROM pairs)",
        "IN or EXISTS with a subquery of streams is not supported yet",
        "TUMBLE",
    );
    refused("SELECT v FROM readings WHERE EXISTS (SELECT x FROM pairs)", "IN or EXISTS with a subquery", "TUMBLE");
    refused("SELECT (SELECT MAX(x) FROM pairs) FROM readings", "a scalar subquery is not supported", "same row");
    refused("SELECT v FROM readings WHERE n = ANY (SELECT x FROM pairs)", "= ANY (SELECT …) is not supported", "n IN");
    refused("SELECT v FROM readings WHERE n <> ALL (SELECT x FROM pairs)", "<> ALL (SELECT …) is not", "n NOT IN");
    refused("SELECT v FROM readings SORT BY v", "SORT BY is not supported on streams", "no Flink SQL");
    refused("SELECT v FROM readings TABLESAMPLE BERNOULLI (10)", "TABLESAMPLE is not supported", "WHERE");
}

/// `CASE k WHEN 2` asks what `k = 2` asks, whatever stands in the other branches.
#[test]
fn values_of_case_are_compared_each_by_its_type() {
    let script = |select: &str| plan_script(&format!("{SOURCE}SELECT {select} FROM readings;"), &|_| None);
    script("CASE site WHEN 'a' THEN 1 WHEN 2 THEN 2 END").unwrap();
    script("CASE n WHEN 1 THEN 1 WHEN '2' THEN 2 END").unwrap();
    script("CASE n WHEN NULL THEN 1 WHEN 2 THEN 2 END").unwrap();
}

#[test]
fn what_would_be_updated_with_every_row() {
    refused("SELECT site, COUNT(*) FROM readings GROUP BY ⟦site⟧", "an aggregate without a window", "window_start");
    refused("SELECT COUNT(*) FROM readings", "an aggregate without a window", "window_start");
    refused(
        "SELECT window_start, COUNT(*) FROM TABLE(CUMULATE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '1' HOUR)) GROUP BY ⟦window_start⟧",
        "needs both window_start and window_end",
        "GROUP BY window_start, window_end",
    );
    refused("SELECT site, ⟦TUMBLE⟧(ts, INTERVAL '1' MINUTE) FROM readings", "TUMBLE in GROUP BY", "FROM TABLE(TUMBLE(");
    refused(
        "SELECT site, COUNT(*) FROM TABLE(SESSION(TABLE readings PARTITION BY device_id, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY ⟦site, window_start, window_end⟧",
        "the keys that SESSION is partitioned by",
        "PARTITION BY k",
    );
    refused("SELECT v FROM readings CROSS JOIN UNNEST(v) AS t (a)", "UNNEST takes an array or a map", "UNNEST(t.a)");
    refused(
        "SELECT site FROM (SELECT site, ROW_NUMBER() OVER (PARTITION BY ⟦site ORDER BY v⟧ DESC) AS rn FROM readings) WHERE rn <= 3",
        "a Top-N outside a window is not supported yet",
        "window_start, window_end",
    );
    refused(
        "SELECT site FROM (SELECT site, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY v) AS rn FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' MINUTE))) WHERE rn >= 3",
        "needs an upper bound",
        "rn <= 3",
    );
    let side =
        |size: &str| format!("(SELECT * FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '{size}' MINUTE)))");
    refused(
        &format!(
            "SELECT a.v FROM {} a JOIN {} b ON ⟦a.window_start = b.window_start⟧ AND a.window_end = b.window_end",
            side("1"),
            side("2")
        ),
        "must have the same windows",
        "same window function",
    );
    refused(
        &format!(
            "SELECT a.v FROM {0} a JOIN {0} b ON ⟦a.window_start = b.window_start AND a.site = b.site⟧",
            side("1")
        ),
        "must compare window_start and window_end",
        "l.window_end = r.window_end",
    );
    refused("SET 'execution.runtime-mode' = ⟦'batch'⟧", "'batch' is not supported", "streaming");
}

#[test]
fn windows_and_overs_that_do_not_fit() {
    let window = |call: &str| {
        format!("SELECT window_start, window_end, COUNT(*) FROM TABLE({call}) GROUP BY window_start, window_end")
    };
    refused(
        &window("TUMBLE(TABLE readings, DESCRIPTOR(⟦n⟧), INTERVAL '1' MINUTE)"),
        "column \"n\" is no time stamp",
        "TO_TIMESTAMP_LTZ(n, 3)",
    );
    refused(
        &window(
            "TUMBLE((SELECT CAST(ts AS TIMESTAMP(3)) + INTERVAL '1' SECOND AS ts FROM readings), DESCRIPTOR(⟦ts⟧), INTERVAL '1' MINUTE)",
        ),
        "not an event-time column",
        "WATERMARK FOR ts",
    );
    refused(
        &window("HOP(TABLE readings, DESCRIPTOR(ts), INTERVAL '7' SECOND, INTERVAL ⟦'1'⟧ MINUTE)"),
        "not a multiple of its slide",
        "slide comes first",
    );
    refused(
        &window("CUMULATE(TABLE readings, DESCRIPTOR(ts), INTERVAL '7' SECOND, INTERVAL ⟦'1'⟧ MINUTE)"),
        "not a multiple of its step",
        "step comes first",
    );
    refused(
        &window("HOP(TABLE readings, DESCRIPTOR(ts), INTERVAL '0.001' SECOND, INTERVAL ⟦'30'⟧ DAY)"),
        "a row would be in 2592000000 windows, and 20000 are the most",
        "a larger slide",
    );
    refused(&window("TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL ⟦'1'⟧ MONTH)"), "cannot be months", "DAY");
    refused(&window("TUMBLE(TABLE readings, DESCRIPTOR(ts), ⟦60⟧)"), "must be an INTERVAL", "INTERVAL '30' SECOND");
    refused(&window("TUMBLE(⟦readings⟧, DESCRIPTOR(ts), INTERVAL '1' MINUTE)"), "must be a table", "TABLE readings");
    let both = "CREATE TABLE clicks (proc AS PROCTIME(), ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen');\n";
    refused(
        &format!("{both}{}", window("TUMBLE(TABLE clicks, DESCRIPTOR(⟦proc⟧), INTERVAL '1' MINUTE)")),
        "column \"proc\" is PROCTIME(), and its table goes by event time",
        "WATERMARK FOR",
    );
    refused(&window("⟦TUMBLE⟧(TABLE readings, DESCRIPTOR(ts))"), "misses its argument SIZE", "TUMBLE(TABLE t");
    refused("SELECT AVG(v) OVER (PARTITION BY site) FROM readings", "OVER needs ORDER BY", "ORDER BY ts");
    refused("SELECT AVG(v) OVER (ORDER BY ⟦ts DESC⟧) FROM readings", "DESC", "ORDER BY ts");
    refused("SELECT AVG(v) OVER (ORDER BY n) FROM readings", "column \"n\" is none", "WATERMARK FOR");
    refused(
        "SELECT AVG(v) OVER (ORDER BY ts ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM readings",
        "must start before the current row",
        "CURRENT ROW",
    );
    refused(
        "SELECT AVG(v) OVER (ORDER BY ts), AVG(v) OVER (PARTITION BY site ORDER BY ts) FROM readings",
        "must be the same",
        "WINDOW w AS",
    );
}

#[test]
fn types_and_sinks_that_do_not_fit() {
    refused(
        "INSERT INTO pairs SELECT device_id, ⟦site⟧ FROM readings",
        "column \"site\" has the type STRING, column \"x\" of table \"pairs\" has the type DOUBLE",
        "CAST(site AS DOUBLE)",
    );
    refused(
        "INSERT INTO pairs SELECT ⟦v⟧, device_id FROM readings",
        "has the type DOUBLE, column \"device_id\"",
        "CAST",
    );
    refused(
        "INSERT INTO pairs SELECT ⟦device_id⟧ FROM readings",
        "the query has 1 column, table \"pairs\" takes 2",
        "list the columns",
    );
    refused(
        "INSERT INTO pairs (⟦device_id⟧) SELECT device_id, v FROM readings",
        "1 columns are listed, the query has 2",
        "list one column",
    );
    refused("SELECT ⟦ts⟧ + 1 FROM readings", "+ does not take TIMESTAMP(3) and INT", "INTERVAL '1' SECOND");
    refused(
        "SELECT site, v FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, site",
        "column \"v\" is neither in GROUP BY",
        "MAX(v)",
    );
}

#[test]
fn declarations_that_do_not_fit() {
    let with = "WITH ('connector' = 'print')";
    refused(&format!("CREATE TABLE t (a STRING, WATERMARK FOR ⟦b⟧ AS b) {with}"), "column \"b\" is not declared", "a");
    refused(
        &format!("CREATE TABLE t (a BIGINT, WATERMARK FOR ⟦a⟧ AS a) {with}"),
        "has the type BIGINT",
        "TO_TIMESTAMP_LTZ(a, 3)",
    );
    refused(
        &format!("CREATE TABLE t (a TIMESTAMP(6), WATERMARK FOR ⟦a⟧ AS a) {with}"),
        "has the type TIMESTAMP(6)",
        "TIMESTAMP(3)",
    );
    refused(
        &format!("CREATE TABLE t (a STRING, b AS ⟦aa⟧) {with}"),
        "column \"aa\" not found in table \"t\"",
        "did you mean \"a\"",
    );
    refused(&format!("CREATE TABLE ⟦readings⟧ (a STRING) {with}"), "exists already", "IF NOT EXISTS");
    refused(
        "CREATE TABLE t (a INT, p INT METADATA FROM ⟦'partitio'⟧) WITH ('connector' = 'kafka', 'topic' = 't',
         'properties.bootstrap.servers' = 'k:9092', 'format' = 'json')",
        "no metadata \"partitio\"",
        "partition",
    );
    refused("DROP TABLE ⟦windowz⟧", "table \"windowz\" not found", "windows");
}

#[test]
fn all_errors_at_once_and_no_echo() {
    let error = plan(
        "CREATE TABLE bad (a STRING, b AS nope) WITH ('connector' = 'print');
CREATE VIEW w AS SELECT nope FROM readings;
INSERT INTO bad SELECT a FROM w;
SELECT vv FROM readings;",
    )
    .unwrap_err();
    let messages: Vec<String> = error.flatten().iter().map(|e| e.message().to_owned()).collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
}

#[test]
fn deep_expressions_do_not_overflow() {
    let error = plan(&format!("SELECT {} 1 FROM readings", "1 + ".repeat(100_000))).unwrap_err();
    assert!(error.message().contains("operators"), "{}", error.message());
    assert!(plan(&format!("SELECT {} n FROM readings", "n + ".repeat(300))).is_ok());
}
