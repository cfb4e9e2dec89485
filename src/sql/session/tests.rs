//! Ad-hoc queries over tables in memory.

use arrow::array::{ArrayRef, Float64Array, Int32Array, StringArray, TimestampMillisecondArray};
use arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;

use super::*;
use crate::sql::plan_script;

const SCRIPT: &str = "CREATE TABLE readings (device_id STRING, v DOUBLE, n INT, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) WITH ('connector' = 'filesystem', 'path' = 'r', 'format' = 'json');
CREATE TABLE places (device_id STRING, site STRING) WITH ('connector' = 'filesystem', 'path' = 'p', 'format' = 'json');
CREATE VIEW high (device, reading) AS SELECT device_id, v FROM readings WHERE v > 2;
CREATE VIEW higher AS SELECT device, reading FROM high WHERE reading > 3;
CREATE VIEW minutes AS SELECT device_id, window_start, COUNT(*) AS c
  FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY device_id, window_start, window_end;";

fn rows_of(table: &TableSpec) -> Result<Arc<dyn TableProvider>> {
    let texts = |values: &[&str]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let columns: Vec<ArrayRef> = match table.name.as_str() {
        "readings" => vec![
            texts(&["a", "b", "a", "a"]),
            Arc::new(Float64Array::from(vec![Some(1.0), Some(10.0), None, Some(4.0)])),
            Arc::new(Int32Array::from(vec![1, 2, 3, 4])),
            Arc::new(TimestampMillisecondArray::from(vec![0, 1000, 61_000, 62_000])),
        ],
        "places" => vec![texts(&["a", "c"]), texts(&["north", "south"])],
        _ => vec![texts(&["too late"])],
    };
    let schema = match table.name.as_str() {
        "readings" | "places" => table.schema(),
        _ => RecordBatch::try_from_iter([("reason", columns[0].clone())])?.schema(),
    };
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
}

fn open() -> Result<Session> {
    let script = plan_script(SCRIPT, &|_| None)?;
    let mut session = session(&script, |table, _| rows_of(table))?;
    for name in ["ledger.late", "ledger.bad", "ledger.future"] {
        let ledger = TableSpec { name: name.to_owned(), ..(*script.tables[0]).clone() };
        session.register(name, rows_of(&ledger)?);
    }
    Ok(session)
}

/// Rows of the answer, columns separated by a space.
async fn answer(text: &str) -> Result<Vec<String>> {
    let batches = open()?.query(text)?.collect().await?;
    let shown = pretty_format_batches(&batches)?.to_string();
    let cells = |line: &str| line.split('|').map(str::trim).filter(|c| !c.is_empty()).collect::<Vec<_>>().join(" ");
    Ok(shown.lines().filter(|line| line.starts_with('|')).skip(1).map(cells).collect())
}

async fn check(text: &str, expected: &[&str]) {
    let found = answer(text).await.unwrap_or_else(|e| panic!("{text}\n{}", e.render(Some(("-c", text)), false)));
    assert_eq!(found, expected, "{text}");
}

#[tokio::test]
async fn unnest_over_bounded_tables() {
    check(
        "SELECT device_id, x FROM readings CROSS JOIN UNNEST(ARRAY[n, NULL]) AS u(x) WHERE n < 3 ORDER BY n, x",
        &["a", "a 1", "b", "b 2"],
    )
    .await;
    check(
        "SELECT n, k, w FROM readings, UNNEST(MAP[device_id, n * 10]) AS u(k, w) ORDER BY n",
        &["1 a 10", "2 b 20", "3 a 30", "4 a 40"],
    )
    .await;
    check(
        "SELECT n, p FROM readings LEFT JOIN UNNEST(ARRAY_REMOVE(ARRAY[ROW(n, 'x')], ROW(2, 'x'))) AS u(p, q) ON TRUE WHERE n < 3 ORDER BY n",
        &["1 1", "2"],
    )
    .await;
    let error =
        answer("SELECT x FROM readings CROSS JOIN UNNEST(ARRAY[n]) WITH ORDINALITY AS u(x, o)").await.unwrap_err();
    assert!(error.message().contains("WITH ORDINALITY is not supported in an ad-hoc query"), "{}", error.message());
}

fn refusal(text: &str) -> String {
    match open().and_then(|session| session.queries(text)) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.render(Some(("-c", text)), false),
    }
}

#[tokio::test]
async fn all_of_sql_over_tables_and_views() {
    check("SELECT device_id, n FROM readings ORDER BY n DESC LIMIT 2", &["a 4", "a 3"]).await;
    check("SELECT device_id, COUNT(*), SUM(v) FROM readings GROUP BY device_id ORDER BY 1", &["a 3 5.0", "b 1 10.0"])
        .await;
    check("SELECT DISTINCT device_id FROM readings ORDER BY device_id", &["a", "b"]).await;
    check(
        "SELECT r.n, p.site FROM readings r JOIN places p ON r.device_id = p.device_id ORDER BY r.n",
        &["1 north", "3 north", "4 north"],
    )
    .await;
    check("SELECT device, reading FROM high ORDER BY reading", &["a 4.0", "b 10.0"]).await;
    check("SELECT COUNT(*) FROM higher", &["2"]).await;
    check(
        "SELECT FLOOR(ts TO MINUTE) AS m, COUNT(*) FROM readings GROUP BY FLOOR(ts TO MINUTE) ORDER BY m",
        &["1970-01-01T00:00:00 2", "1970-01-01T00:01:00 2"],
    )
    .await;
    check("SELECT n FROM readings WHERE device_id IN (SELECT device_id FROM places) ORDER BY n", &["1", "3", "4"])
        .await;
    check("VALUES (1), (2)", &["1", "2"]).await;
    check("SELECT x + 1, y FROM (VALUES (1, 'a'), (2, 'b')) AS t (x, y) ORDER BY x", &["2 a", "3 b"]).await;
}

#[tokio::test]
async fn functions_over_windows_of_rows() {
    check(
        "SELECT n, ROW_NUMBER() OVER (PARTITION BY device_id ORDER BY ts) FROM readings ORDER BY n",
        &["1 1", "2 1", "3 2", "4 3"],
    )
    .await;
    check("SELECT n, LAG(n) OVER (ORDER BY n) + 0 AS l FROM readings WHERE n > 1 ORDER BY n", &["2", "3 2", "4 3"])
        .await;
    // frames that slide, that grow, and that look ahead
    let over = |call: &str, frame: &str| format!("SELECT {call} OVER (ORDER BY n {frame}) FROM readings ORDER BY n");
    let two = "ROWS BETWEEN 1 PRECEDING AND CURRENT ROW";
    check(&over("SUM(n)", two), &["1", "3", "5", "7"]).await;
    check(&over("AVG(v)", two), &["1.0", "5.5", "10.0", "4.0"]).await;
    check(&over("MAX(v)", two), &["1.0", "10.0", "10.0", "4.0"]).await;
    check(&over("MIN(device_id)", two), &["a", "a", "a", "a"]).await;
    check(&over("COUNT(v)", two), &["1", "2", "1", "1"]).await;
    check(&over("STDDEV_POP(n)", two), &["0", "0", "0", "0"]).await;
    check(&over("SUM(n)", "ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING"), &["3", "5", "7", "4"]).await;
    check(&over("SUM(n)", ""), &["1", "3", "6", "10"]).await;
    check("SELECT n, SUM(n) OVER (PARTITION BY device_id) FROM readings ORDER BY n", &["1 8", "2 2", "3 8", "4 8"])
        .await;
}

#[tokio::test]
async fn the_ledger_has_a_database_of_its_own() {
    for name in ["ledger.late", "`ledger`.`late`", "default_catalog.ledger.late", "`default_catalog`.`ledger`.`late`"] {
        check(&format!("SELECT reason FROM {name}"), &["too late"]).await;
        check(&format!("DESCRIBE {name}"), &["reason STRING false"]).await;
    }
    check("SELECT late.reason, l.reason FROM ledger.late, ledger.bad AS l", &["too late too late"]).await;
    check("SELECT ledger.late.reason FROM ledger.late", &["too late"]).await;
    let shown = refusal("SELECT * FROM ledger.lat");
    assert!(shown.contains("\"ledger.lat\" not found") && shown.contains("did you mean \"ledger.late\"?"), "{shown}");
    assert!(refusal("SELECT * FROM other.late").contains("database \"other\" does not exist"));
}

#[test]
fn a_script_cannot_name_the_ledger() {
    let told = |statement: &str| {
        let error = plan_script(&format!("{SCRIPT}\n{statement}"), &|_| None).map(drop).expect_err(statement);
        assert!(error.span().is_some_and(|span| span.line == 8), "{error:?}");
        error.render(None, false)
    };
    for statement in [
        "SELECT * FROM ledger.late;",
        "INSERT INTO ledger.late SELECT device_id FROM places;",
        "CREATE VIEW l AS SELECT * FROM default_catalog.ledger.late;",
        "SELECT * FROM TABLE(TUMBLE(TABLE ledger.late, DESCRIPTOR(event_time), INTERVAL '1' MINUTE));",
    ] {
        let shown = told(statement);
        assert!(shown.contains("ledger") && shown.contains("streamer sql"), "{statement}: {shown}");
    }
}

#[tokio::test]
async fn statements_that_show_what_there_is() -> Result<()> {
    const ROWTIME: &str = "ts TIMESTAMP(3) *ROWTIME* true ts - INTERVAL '1' SECOND";
    let tables = ["high", "higher", "ledger.bad", "ledger.future", "ledger.late", "places", "readings"];
    check("SHOW TABLES;", &tables).await;
    check("SHOW TABLES FROM default_database LIKE 'HI%'", &["high", "higher"]).await;
    check("SHOW TABLES IN ledger NOT LIKE '%t_re'", &["bad", "late"]).await;
    check("show views", &["high", "higher"]).await;
    check("SHOW DATABASES", &["default_database"]).await;
    check("SHOW CURRENT CATALOG; ", &["default_catalog"]).await;
    check("SHOW COLUMNS FROM readings LIKE '%s%'", &[ROWTIME]).await;
    check("SHOW JARS", &[]).await;
    assert!(refusal("SHOW TABLES FROM ledgr").contains("database \"ledgr\" does not exist"));
    check("DESC readings", &["device_id STRING true", "v DOUBLE true", "n INT true", ROWTIME]).await;
    assert!(refusal("DESCRIBE reading").contains("did you mean \"readings\"?"));
    assert_eq!(open()?.queries("SELECT 1; -- and\nSHOW TABLES;\n")?.len(), 2);
    assert_eq!(open()?.queries("-- nothing\n")?.len(), 0);
    assert!(open()?.query("SELECT 1; SELECT 2").is_err());
    assert!(open()?.query(" ").is_err());
    Ok(())
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (text, place, hint) in [
        ("SELECT device_id,\n  vv FROM readings", "-c:2:3", "did you mean \"v\"?"),
        ("SELECT n FROM raedings", "-c:1:15", "did you mean \"readings\"?"),
        ("SELECT n FROM readings; SELECT m FROM readings", "-c:1:32", "did you mean \"n\"?"),
        ("SELECT COUNTT(n) FROM readings", "-c:1:8", "COUNT"),
        ("INSERT INTO places SELECT 'a', 'b'", "-c:1:1", "SELECT"),
        ("SELECT * FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' MINUTE))", "-c:1:1", "FLOOR"),
        ("SELECT * FROM minutes", "-c:1:15", "FLOOR"),
    ] {
        let shown = refusal(text);
        assert!(shown.contains(place) && shown.contains(hint), "{text}\n{shown}");
    }
}
