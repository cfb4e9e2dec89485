//! Declarations that take over, change and hide others: what the tables are then, and every refusal.

use super::*;

/// Columns, options and watermark of the table of that name at the end of the script.
#[track_caller]
fn table(script: &str, name: &str) -> String {
    let planned = plan(script).unwrap_or_else(|e| panic!("{script}\n{e}"));
    let table = planned.catalog.table(name).unwrap_or_else(|| panic!("no table {name}"));
    let columns: Vec<String> = table
        .spec
        .columns
        .iter()
        .map(|c| {
            let kind = match &c.kind {
                ColumnKind::Physical => String::new(),
                ColumnKind::Computed => " computed".to_owned(),
                ColumnKind::Metadata { key, .. } => format!(" from {key}"),
            };
            format!("{} {}{}{kind}", c.name, c.sql_type, if c.nullable { "" } else { " NOT NULL" })
        })
        .collect();
    let options: Vec<String> =
        table.spec.options.keys().map(|key| format!("{key}={}", table.spec.options.get(key).unwrap())).collect();
    let watermark = table.watermark.as_ref().map_or_else(String::new, |(at, _)| format!(" watermark {at}"));
    let key =
        if table.spec.primary_key.is_empty() { String::new() } else { format!(" key {:?}", table.spec.primary_key) };
    format!("{}{watermark}{key} [{}]", columns.join(", "), options.join(", "))
}

const BASE: &str = "CREATE TABLE base (id BIGINT, a VARCHAR(5), ts TIMESTAMP(3), b AS id + 1, k INT METADATA FROM 'partition' VIRTUAL,
  WATERMARK FOR ts AS ts, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'kafka', 'topic' = 'x', 'format' = 'json');\n";

#[test]
fn like_takes_what_its_rules_say() {
    let like = |rest: &str| table(&format!("{BASE}CREATE TABLE t {rest};"), "t");
    let columns = "id BIGINT NOT NULL, a VARCHAR(5), ts TIMESTAMP(3), b BIGINT NOT NULL computed, k INT from partition";
    let options = "[connector=kafka, format=json, topic=x]";
    assert_eq!(like("LIKE base"), format!("{columns} watermark 2 key [\"id\"] {options}"));
    assert_eq!(
        like("(more STRING) WITH ('topic' = 'y', 'key.format' = 'raw') LIKE base"),
        format!(
            "{columns}, more STRING watermark 2 key [\"id\"] [connector=kafka, format=json, key.format=raw, topic=y]"
        )
    );
    assert_eq!(
        like("(PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'print') LIKE base (EXCLUDING ALL)"),
        "id BIGINT NOT NULL, a VARCHAR(5), ts TIMESTAMP(3) key [\"id\"] [connector=print]"
    );
    assert_eq!(
        like("WITH ('connector' = 'kafka') LIKE base (EXCLUDING ALL INCLUDING GENERATED INCLUDING METADATA)"),
        format!("{columns} [connector=kafka]")
    );
    assert_eq!(
        like(
            "(b AS id * 2e0, k BIGINT METADATA FROM 'offset' VIRTUAL) LIKE base (OVERWRITING METADATA OVERWRITING GENERATED)"
        ),
        format!(
            "id BIGINT NOT NULL, a VARCHAR(5), ts TIMESTAMP(3), b DOUBLE computed, k BIGINT from offset watermark 2 key [\"id\"] {options}"
        )
    );
}

#[test]
fn alter_makes_the_table_another() {
    let altered = |changes: &str| table(&format!("{BASE}{changes};"), "base");
    let rest = "ts TIMESTAMP(3), b BIGINT NOT NULL computed, k INT from partition";
    let end = "key [\"id\"] [connector=kafka, format=json, topic=x]";
    assert_eq!(
        altered("ALTER TABLE base ADD (x INT FIRST, y AS x + 1 AFTER x); ALTER TABLE base RENAME a TO aa"),
        format!("x INT, y INT computed, id BIGINT NOT NULL, aa VARCHAR(5), {rest} watermark 4 {end}")
    );
    assert_eq!(
        altered(
            "ALTER TABLE base MODIFY a STRING NOT NULL FIRST; ALTER TABLE base DROP WATERMARK; ALTER TABLE base RENAME ts TO t"
        ),
        format!(
            "a STRING NOT NULL, id BIGINT NOT NULL, t TIMESTAMP(3), b BIGINT NOT NULL computed, k INT from partition {end}"
        )
    );
    assert_eq!(
        altered(
            "ALTER TABLE base DROP PRIMARY KEY; ALTER TABLE base DROP (b, id); ALTER TABLE base RESET ('topic'); ALTER TABLE base SET ('format' = 'csv')"
        ),
        "a VARCHAR(5), ts TIMESTAMP(3), k INT from partition watermark 1 [connector=kafka, format=csv]"
    );
    assert_eq!(
        table(
            &format!(
                "{BASE}ALTER TABLE base DROP b; ALTER TABLE base RENAME id TO n; ALTER TABLE base RENAME TO other;"
            ),
            "other"
        ),
        format!(
            "n BIGINT NOT NULL, a VARCHAR(5), ts TIMESTAMP(3), k INT from partition watermark 2 {}",
            end.replace("id", "n")
        )
    );
}

#[test]
fn the_same_name_is_another_table_in_another_database() {
    let script = "CREATE DATABASE plant; CREATE TABLE plant.pairs (x INT) WITH ('connector' = 'print');
        USE plant; CREATE TABLE `a.b` (y INT) WITH ('connector' = 'print'); CREATE VIEW v AS SELECT y FROM `a.b`;";
    assert_eq!(table(script, "plant.pairs"), "x INT [connector=print]");
    assert_eq!(table(script, "pairs"), "device_id STRING, x DOUBLE [connector=print]");
    assert_eq!(table(script, "plant.`a.b`"), "y INT [connector=print]");
    check(
        "CREATE DATABASE d; CREATE TABLE d.readings (v INT) WITH ('connector' = 'datagen'); CREATE TABLE d.o (v INT) WITH ('connector' = 'print');
         USE d; INSERT INTO o WITH o AS (SELECT v FROM readings) SELECT o.v FROM o;",
        "
        Sink d.o
          Source d.readings columns=[v]",
    );
}

#[test]
fn a_hint_changes_one_reference() {
    let planned = plan(
        "INSERT INTO pairs SELECT readings.device_id, v FROM readings /*+ OPTIONS('topic' = 'other') */ WHERE readings.n > 1
         UNION ALL SELECT device_id, v FROM readings;",
    )
    .unwrap();
    let topics: Vec<&str> =
        planned.jobs[0].plan.sources().map(|(_, source)| source.table.options.get("topic").unwrap()).collect();
    assert_eq!(topics, ["other", "r"]);
    assert_eq!(planned.tables[0].options.get("topic"), Some("r"));
}

#[test]
fn rows_of_the_script_are_a_source() {
    let planned =
        plan("INSERT INTO pairs SELECT a, b FROM (VALUES ('x', 1e0), ('y', 2.5e0)) AS t (a, b) WHERE b > 1;").unwrap();
    let sources: Vec<_> = planned.jobs[0].plan.sources().collect();
    let [(_, source)] = &sources[..] else { panic!("{} sources", sources.len()) };
    assert!(source.table.name.starts_with("values_"), "{}", source.table.name);
    assert!(connectors::bounded(&source.table).unwrap());
    let types = |sql: &str| {
        let script = plan(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        let schema = Arc::clone(&script.jobs[0].plan.nodes.last().unwrap().schema);
        schema.fields().iter().map(|f| format!("{} {}", f.name(), flink_type(f.data_type()))).collect::<Vec<_>>()
    };
    assert_eq!(types("VALUES (1, 'a'), (-2, 'bcd')"), ["EXPR$0 INT", "EXPR$1 STRING"]);
    assert_eq!(types("VALUES (1, 0.5), (3000000000, 12.25)"), ["EXPR$0 BIGINT", "EXPR$1 DECIMAL(4, 2)"]);
    assert_eq!(types("VALUES (1), (2.5)"), ["EXPR$0 DECIMAL(11, 1)"]);
    assert_eq!(types("SELECT a FROM (VALUES (NULL, 1), (1e0, 2)) AS t (a, b)"), ["a DOUBLE"]);
    assert_eq!(types("SELECT 1 AS one, CAST('x' AS CHAR(3))"), ["one INT", "EXPR$1 STRING"]);
}

#[test]
fn a_view_follows_its_tables() {
    let script = "CREATE TABLE t (a INT, b INT) WITH ('connector' = 'datagen'); CREATE VIEW v AS SELECT * FROM t;
        ALTER TABLE t ADD c INT FIRST; INSERT INTO pairs SELECT CAST(a AS STRING), b FROM v;";
    check(
        script,
        "
        Sink pairs
          Calc [flink_cast_string(a), b]
            Source t columns=[c, a, b]"
            .replace("Calc [flink_cast_string(a), b]", "Calc [CAST(a AS STRING), CAST(b AS DOUBLE)]")
            .as_str(),
    );
    refused(
        "CREATE VIEW w AS SELECT v FROM readings; ALTER TABLE readings RENAME v TO x; SELECT v FROM ⟦w⟧",
        "view \"w\" does not fit its tables any more",
        "create it again",
    );
}

#[test]
fn rows_without_a_value_that_must_be_there_are_dropped_by_the_sink() {
    check(
        "SET 'table.exec.sink.not-null-enforcer' = 'DROP'; INSERT INTO strict SELECT device_id, site, 1 FROM readings;",
        &format!(
            "
        Sink strict without NULL in [site]
          Calc [device_id, site, CAST(1 AS DECIMAL(5, 2))]
            {READ}"
        ),
    );
}

#[test]
fn declarations_that_flink_refuses_too() {
    for (script, message, hint) in [
        (
            "CREATE TABLE t (PRIMARY KEY (⟦site⟧) NOT ENFORCED) LIKE readings",
            "may be NULL in the copied table",
            "NOT NULL",
        ),
        (
            "CREATE TABLE t (a INT, PRIMARY KEY (a, ⟦a⟧) NOT ENFORCED) WITH ('connector' = 'print')",
            "in the primary key twice",
            "remove",
        ),
        (
            "CREATE TABLE t (a INT, b AS ⟦SUM(a) OVER (ORDER BY a)⟧) WITH ('connector' = 'print')",
            "OVER cannot stand in a column",
            "in a query",
        ),
        (
            "CREATE TABLE t (ts TIMESTAMP(3), WATERMARK FOR ts AS CAST(⟦ts⟧ AS TIMESTAMP_LTZ(3))) WITH ('connector' = 'print')",
            "a watermark must be a time stamp like its column",
            "ts - INTERVAL",
        ),
        ("CREATE VIEW w AS SELECT a, ⟦a⟧ FROM (VALUES (1)) AS t (a)", "appears twice", "name one of them"),
    ] {
        refused(script, message, hint);
    }
}

#[test]
fn what_does_not_fit_is_refused_at_its_place() {
    for (script, message, hint) in [
        ("CREATE TABLE t (⟦v⟧ INT) LIKE readings", "table \"readings\" has a column \"v\" already", "another name"),
        (
            "CREATE TABLE t (⟦upper_site⟧ AS 1) LIKE readings",
            "has a column \"upper_site\" already",
            "OVERWRITING GENERATED",
        ),
        ("CREATE TABLE t (⟦WATERMARK FOR ts AS ts⟧) LIKE readings", "has a watermark", "OVERWRITING WATERMARKS"),
        (
            "CREATE TABLE t WITH (⟦'topic'⟧ = 'x') LIKE readings (INCLUDING OPTIONS)",
            "has the option \"topic\" already",
            "OVERWRITING",
        ),
        ("CREATE TABLE t LIKE ⟦raedings⟧", "table \"raedings\" not found", "readings"),
        ("CREATE TABLE t (⟦a⟧, b) WITH ('connector' = 'print') AS SELECT 1 AS a", "2 columns are listed", "list all"),
        ("CREATE TABLE t (a, ⟦c⟧) WITH ('connector' = 'print') AS SELECT 1 AS a, 2 AS b", "no column \"c\"", "b"),
        (
            "CREATE TABLE t (⟦a⟧ AS 1) WITH ('connector' = 'print') AS SELECT 1 AS a",
            "cannot be computed",
            "another name",
        ),
        ("ALTER TABLE ⟦raedings⟧ SET ('a' = 'b')", "table \"raedings\" not found", "readings"),
        ("ALTER TABLE readings RENAME ⟦site⟧ TO s", "used by the computed column \"upper_site\"", "first"),
        ("ALTER TABLE readings RENAME n TO ⟦v⟧", "column \"v\" exists already", "another name"),
        ("ALTER TABLE readings DROP ⟦nn⟧", "column \"nn\" not found in table \"readings\"", "n"),
        ("ALTER TABLE readings ADD ⟦v⟧ INT", "column \"v\" exists already", "MODIFY"),
        ("ALTER TABLE readings ADD ⟦WATERMARK FOR ts AS ts⟧", "has a watermark already", "MODIFY"),
        ("ALTER TABLE pairs MODIFY ⟦WATERMARK FOR x AS x⟧", "has not a watermark", "ADD"),
        ("ALTER TABLE pairs RESET (⟦'connector'⟧)", "cannot be reset", "SET"),
        ("ALTER TABLE pairs RENAME TO ⟦strict⟧", "\"strict\" exists already", "another name"),
        ("CREATE VIEW v AS SELECT 1 AS a; ALTER TABLE ⟦v⟧ ADD b INT", "\"v\" is a view", "ALTER VIEW"),
        ("USE ⟦nowhere⟧", "database \"nowhere\" does not exist", "CREATE DATABASE"),
        ("SELECT v FROM ⟦plant.readings⟧", "database \"plant\" does not exist", ""),
        ("CREATE TABLE ⟦plant.t⟧ (a INT) WITH ('connector' = 'print')", "database \"plant\" does not exist", ""),
        ("CREATE DATABASE ⟦ledger⟧", "kept by the job", "another name"),
        (
            "CREATE DATABASE d; CREATE TABLE d.t (a INT) WITH ('connector' = 'print'); DROP DATABASE ⟦d⟧",
            "not empty",
            "CASCADE",
        ),
        (
            "CREATE TEMPORARY VIEW pairs AS SELECT 1 AS x; DROP VIEW ⟦pairs⟧",
            "view \"pairs\" is temporary",
            "DROP TEMPORARY VIEW",
        ),
        ("INSERT INTO pairs PARTITION (⟦x⟧ = 1) SELECT device_id FROM readings", "not partitioned by \"x\"", ""),
        (
            "SELECT v FROM ⟦readings⟧ /*+ OPTIONS('scan.watermark.idle-timeout' = 'soon') */",
            "\"soon\" is not a duration",
            "",
        ),
    ] {
        refused(script, message, hint);
    }
}

/// A type without values is found wherever it stands, and its place is told; also in `CREATE TABLE … AS`.
#[test]
fn null_without_a_type_is_refused_at_its_place_however_deep() {
    let create = "CREATE TABLE made WITH ('connector' = 'print') AS ";
    for (select, message) in [
        ("SELECT 1, ARRAY[ROW(1, NULL)]", "a field of a ROW is NULL"),
        ("SELECT 1, ROW(ROW(NULL))", "a field of a ROW is NULL"),
        ("SELECT 1, MAP['a', ROW(1, NULL)]", "a field of a ROW is NULL"),
        ("SELECT 1 AS a, ⟦NULL⟧", "a column of a result is NULL"),
    ] {
        refused(select, message, "CAST(NULL AS type)");
        refused(&format!("{create}{select}"), message, "CAST(NULL AS type)");
    }
}
