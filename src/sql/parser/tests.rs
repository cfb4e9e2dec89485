//! Scripts in, statements and errors out: tables of both, and random text that must never break the parser.

use arrow::datatypes::{DataType, Field, TimeUnit};
use proptest::prelude::*;

mod wrong;

use super::ast::{ColumnDef, ColumnDefKind, CreateTable, ObjectKind, SqlType};
use super::types::arrow_type_of;
use super::*;
use crate::error::ErrorKind;

fn parse(text: &str) -> (Vec<Statement>, Vec<Error>) {
    parse_script(text, &|name| match name {
        "TOPIC" => Some("readings".to_owned()),
        "EMPTY" | "file:/empty" => Some(String::new()),
        "file:/run/a b" => Some("of a file".to_owned()),
        _ => None,
    })
}

/// The statements of a script without errors.
fn accept(text: &str) -> Vec<Statement> {
    let (statements, errors) = parse(text);
    assert!(errors.is_empty(), "{text}\n{errors:?}");
    statements
}

/// The query of a script that is one query, as sqlparser writes it.
fn query(text: &str) -> String {
    match accept(text).as_slice() {
        [Statement { kind: StatementKind::Query(query), .. }] => query.to_string(),
        other => panic!("{text}: {other:?}"),
    }
}

fn names<'a>(names: impl IntoIterator<Item = &'a ast::Spanned<String>>) -> String {
    names.into_iter().map(|name| name.value.as_str()).collect::<Vec<_>>().join(",")
}

fn type_shape(data_type: &SqlType) -> String {
    format!("{}{}", data_type.text, if data_type.nullable { "" } else { " NOT NULL" })
}

fn column_shape(column: &ColumnDef) -> String {
    let kind = match &column.kind {
        ColumnDefKind::Physical(data_type) => type_shape(data_type),
        ColumnDefKind::Metadata { data_type, key, virtual_ } => {
            let key = key.as_ref().map_or(String::new(), |key| format!(" FROM {}", key.value));
            format!("{} METADATA{key}{}", type_shape(data_type), if *virtual_ { " VIRTUAL" } else { "" })
        }
        ColumnDefKind::Computed(expr) => format!("AS {expr}"),
    };
    let comment = column.comment.as_ref().map_or(String::new(), |comment| format!(" # {comment}"));
    format!("{} {kind}{comment}", column.name.value)
}

fn table_shape(table: &CreateTable) -> String {
    let mut shape = format!(
        "TABLE {}{}{}{} [{}]",
        path(&table.name),
        if table.replace { " replace" } else { "" },
        if table.temporary { " temporary" } else { "" },
        if table.if_not_exists { " if-not-exists" } else { "" },
        table.columns.iter().map(column_shape).collect::<Vec<_>>().join("; "),
    );
    if let Some(watermark) = &table.watermark {
        shape += &format!(" watermark {}: {}", watermark.column.value, watermark.expr);
    }
    for (word, list) in [("key", &table.primary_key), ("partitions", &table.partitioned_by)] {
        if !list.is_empty() {
            shape += &format!(" {word} {}", names(list));
        }
    }
    if let Some(comment) = &table.comment {
        shape += &format!(" # {comment}");
    }
    shape += &options_shape(&table.options);
    match &table.from {
        Some(ast::DefinedBy::Like(like)) => {
            let rules: Vec<String> = like.rules.iter().map(|rule| format!("{rule:?}")).collect();
            shape += &format!(" like {} {}", path(&like.table), rules.join(""));
        }
        Some(ast::DefinedBy::Query { order, query }) => shape += &format!(" as ({}) {query}", names(order)),
        None => {}
    }
    shape
}

fn path(name: &ast::TableName) -> String {
    name.database.as_ref().map_or_else(|| name.value.clone(), |database| format!("{database}/{}", name.value))
}

fn options_shape(options: &ast::OptionList) -> String {
    options.iter().map(|(key, value)| format!(" {}={}", key.value, value.value)).collect()
}

fn change_shape(change: &ast::Alteration) -> String {
    let elements = |elements: &ast::Elements| {
        let mut shape = String::new();
        for (column, position) in &elements.columns {
            let at = match position {
                None => String::new(),
                Some(ast::Position::First) => " first".to_owned(),
                Some(ast::Position::After(other)) => format!(" after {}", other.value),
            };
            shape += &format!("[{}{at}]", column_shape(column));
        }
        if let Some(watermark) = &elements.watermark {
            shape += &format!(" watermark {}: {}", watermark.column.value, watermark.expr);
        }
        if !elements.primary_key.is_empty() {
            shape += &format!(" key {}", names(&elements.primary_key));
        }
        shape
    };
    match change {
        ast::Alteration::RenameTo(name) => format!("to {}", path(name)),
        ast::Alteration::RenameColumn { from, to } => format!("{} to {}", from.value, to.value),
        ast::Alteration::Add(added) => format!("add {}", elements(added)),
        ast::Alteration::Modify(modified) => format!("modify {}", elements(modified)),
        ast::Alteration::DropColumns(columns) => format!("drop {}", names(columns)),
        ast::Alteration::DropPrimaryKey => "drop key".to_owned(),
        ast::Alteration::DropWatermark => "drop watermark".to_owned(),
        ast::Alteration::Set(options) => format!("set{}", options_shape(options)),
        ast::Alteration::Reset(keys) => format!("reset {}", names(keys)),
    }
}

fn insert_shape(insert: &Insert) -> String {
    let partition: Vec<String> =
        insert.partition.iter().map(|(name, value)| format!("{}={value}", name.value)).collect();
    let partition = if partition.is_empty() { String::new() } else { format!(" partition {}", partition.join(",")) };
    let options = options_shape(&insert.options);
    format!("INSERT {}{options}{partition}({}) {}", path(&insert.table), names(&insert.columns), insert.query)
}

fn shape(kind: &StatementKind) -> String {
    let object = |kind: &ObjectKind| match kind {
        ObjectKind::Table => "table",
        ObjectKind::View => "view",
    };
    match kind {
        StatementKind::Set { key, value } => format!("SET {}={}", key.value, value.value),
        StatementKind::SetList => "SET".to_owned(),
        StatementKind::Reset { key } => format!("RESET {}", key.as_ref().map_or("*", |key| key.value.as_str())),
        StatementKind::CreateTable(table) => table_shape(table),
        StatementKind::CreateView(view) => format!(
            "VIEW {}{}{} ({}) {}",
            view.name.value,
            if view.temporary { " temporary" } else { "" },
            if view.if_not_exists { " if-not-exists" } else { "" },
            names(&view.columns),
            view.query
        ),
        StatementKind::Insert(insert) => insert_shape(insert),
        StatementKind::StatementSet(inserts) => {
            format!("SET OF {}", inserts.iter().map(insert_shape).collect::<Vec<_>>().join(" | "))
        }
        StatementKind::Query(query) => format!("QUERY {query}"),
        StatementKind::Explain { statement } => format!("EXPLAIN {}", shape(&statement.kind)),
        StatementKind::Drop { what, name, if_exists, .. } => {
            format!("DROP {} {} {if_exists}", object(what), path(name))
        }
        StatementKind::Describe { name } => format!("DESCRIBE {}", path(name)),
        StatementKind::Show(show) => match &show.what {
            ast::Shown::Columns(name) => format!("SHOW columns of {}", path(name)),
            ast::Shown::Create(kind, name) => format!("SHOW create {} {}", object(kind), path(name)),
            other => format!("SHOW {other:?} {:?}", show.like),
        },
        StatementKind::CreateDatabase { name, if_not_exists } => format!("DATABASE {} {if_not_exists}", name.value),
        StatementKind::DropDatabase { name, if_exists, cascade } => {
            format!("DROP DATABASE {} {if_exists} {cascade}", name.value)
        }
        StatementKind::Use(name) => format!("USE {}", name.value),
        StatementKind::AlterTable { name, if_exists, change } => {
            format!("ALTER {} {if_exists} {}", path(name), change_shape(change))
        }
        StatementKind::AlterView { name, change } => match change {
            ast::ViewAlteration::RenameTo(new) => format!("ALTER VIEW {} to {}", path(name), path(new)),
            ast::ViewAlteration::Query(query) => format!("ALTER VIEW {} as {query}", path(name)),
        },
    }
}

/// Statements that are read, and what they mean.
const ACCEPTED: &[(&str, &str)] = &[
    // script
    ("", ""),
    (" ;; \n ; ", ""),
    ("-- only a comment", ""),
    ("/* a; b */ SHOW TABLES -- c; d\n;", "SHOW Tables(None) None"),
    ("SHOW VIEWS", "SHOW Views(None) None"),
    ("DESCRIBE t; DESC `a b`; DESCRIBE EXTENDED t", "DESCRIBE t / DESCRIBE a b / DESCRIBE t"),
    (
        "USE CATALOG default_catalog; USE default_database; USE default_catalog.plant",
        "USE default_database / USE plant",
    ),
    (
        "CREATE DATABASE IF NOT EXISTS default_catalog.d COMMENT 'x' WITH ('a' = 'b'); DROP DATABASE IF EXISTS d RESTRICT; DROP DATABASE d CASCADE",
        "DATABASE d true / DROP DATABASE d true false / DROP DATABASE d false true",
    ),
    (
        "SHOW TABLES FROM d LIKE '%x'; SHOW COLUMNS IN d.t NOT LIKE 'a_'; SHOW CREATE TABLE t; SHOW CREATE VIEW v; SHOW CURRENT DATABASE; SHOW FULL MODULES",
        "SHOW Tables(Some(Spanned { value: \"d\", span: Span { line: 1, column: 18, end_line: 1, end_column: 19 } })) Some((false, \"%x\")) / SHOW columns of d/t / SHOW create table t / SHOW create view v / SHOW CurrentDatabase None / SHOW Nothing(\"module name\") None",
    ),
    // ALTER
    (
        "ALTER TABLE IF EXISTS d.t RENAME TO u; ALTER TABLE t RENAME a TO `b c`",
        "ALTER d/t true to u / ALTER t false a to b c",
    ),
    (
        "ALTER TABLE t ADD a INT FIRST; ALTER TABLE t ADD (b AS a + 1 AFTER a, c STRING METADATA FROM 'x' COMMENT 'c' FIRST, WATERMARK FOR ts AS ts, PRIMARY KEY (a) NOT ENFORCED)",
        "ALTER t false add [a INT first] / ALTER t false add [b AS a + 1 after a][c STRING METADATA FROM x # c first] watermark ts: ts key a",
    ),
    (
        "ALTER TABLE t MODIFY (a BIGINT NOT NULL AFTER b); ALTER TABLE t MODIFY WATERMARK FOR ts AS ts - INTERVAL '1' SECOND",
        "ALTER t false modify [a BIGINT NOT NULL after b] / ALTER t false modify  watermark ts: ts - INTERVAL '1' SECOND",
    ),
    (
        "ALTER TABLE t DROP a; ALTER TABLE t DROP (a, b); ALTER TABLE t DROP PRIMARY KEY; ALTER TABLE t DROP CONSTRAINT pk; ALTER TABLE t DROP WATERMARK",
        "ALTER t false drop a / ALTER t false drop a,b / ALTER t false drop key / ALTER t false drop key / ALTER t false drop watermark",
    ),
    (
        "ALTER TABLE t SET ('a' = 'b', c.d = '${TOPIC}'); ALTER TABLE t RESET ('a', c.d)",
        "ALTER t false set a=b c.d=readings / ALTER t false reset a,c.d",
    ),
    ("ALTER VIEW v RENAME TO w; ALTER VIEW d.v AS SELECT 1", "ALTER VIEW v to w / ALTER VIEW d/v as SELECT 1"),
    // LIKE and AS
    ("CREATE TABLE t LIKE d.u", "TABLE t [] like d/u "),
    (
        "CREATE TABLE t (a INT, PRIMARY KEY (b) NOT ENFORCED) WITH ('x' = 'y') LIKE u (EXCLUDING ALL OVERWRITING OPTIONS INCLUDING GENERATED)",
        "TABLE t [a INT] key b x=y like u (All, Excluding)(Options, Overwriting)(Generated, Including)",
    ),
    (
        "CREATE OR REPLACE TABLE t WITH ('a' = '${TOPIC}') AS SELECT '$${x}' AS a",
        "TABLE t replace [] a=readings as () SELECT '${x}' AS a",
    ),
    ("CREATE TABLE t (b, a) WITH ('x' = 'y') AS VALUES (1, 2)", "TABLE t [] x=y as (b,a) VALUES (1, 2)"),
    // SET
    ("SET 'table.local-time-zone' = 'UTC';", "SET table.local-time-zone=UTC"),
    ("SET execution.checkpointing.interval = 10s;", "SET execution.checkpointing.interval=10s"),
    ("set a.b-c.d = 1 min ; SET 'x'=''", "SET a.b-c.d=1 min / SET x="),
    ("SET 'k' = 'it''s; -- here'", "SET k=it's; -- here"),
    ("SET state.dir = file:///state/a-b_c", "SET state.dir=file:///state/a-b_c"),
    ("SET k = ", "SET k="),
    ("SET", "SET"),
    ("RESET; RESET 'a.b'; RESET a.b-c", "RESET * / RESET a.b / RESET a.b-c"),
    // CREATE TABLE
    ("CREATE TABLE t (a INT)", "TABLE t [a INT]"),
    (
        "CREATE TEMPORARY TABLE IF NOT EXISTS T (A int) WITH ('connector' = 'print')",
        "TABLE T temporary if-not-exists [A INT] connector=print",
    ),
    ("CREATE TABLE default_catalog.default_database.t (a INT)", "TABLE default_database/t [a INT]"),
    ("CREATE TABLE default_database.`my t` (`a``b` INT)", "TABLE default_database/my t [a`b INT]"),
    ("CREATE TABLE t (id STRING NOT NULL, n BIGINT NULL)", "TABLE t [id STRING NOT NULL; n BIGINT]"),
    ("CREATE TABLE t (a INT COMMENT 'x''y', b INT) COMMENT 'all'", "TABLE t [a INT # x'y; b INT] # all"),
    ("CREATE TABLE t (a INT, b AS a * 2)", "TABLE t [a INT; b AS a * 2]"),
    (
        "CREATE TABLE t (a INT, b AS a < 3 AND a > 1 COMMENT 'c', d INT)",
        "TABLE t [a INT; b AS a < 3 AND a > 1 # c; d INT]",
    ),
    ("CREATE TABLE t (p AS PROCTIME(), a INT)", "TABLE t [p AS PROCTIME(); a INT]"),
    ("CREATE TABLE t (a INT, b AS CAST(a AS DECIMAL(10, 2)))", "TABLE t [a INT; b AS CAST(a AS DECIMAL(10,2))]"),
    ("CREATE TABLE t (a INT, b AS COALESCE(a, 1) + f(a, 2))", "TABLE t [a INT; b AS COALESCE(a, 1) + f(a, 2)]"),
    ("CREATE TABLE t (o BIGINT METADATA, a INT)", "TABLE t [o BIGINT METADATA; a INT]"),
    (
        "CREATE TABLE t (ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL COMMENT 'c')",
        "TABLE t [ts TIMESTAMP_LTZ(3) METADATA FROM timestamp VIRTUAL # c]",
    ),
    ("CREATE TABLE t (f STRING NOT NULL METADATA VIRTUAL)", "TABLE t [f STRING NOT NULL METADATA VIRTUAL]"),
    (
        "CREATE TABLE t (ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)",
        "TABLE t [ts TIMESTAMP(3)] watermark ts: ts - INTERVAL '5' SECOND",
    ),
    (
        "CREATE TABLE t (WATERMARK FOR `timestamp` AS `timestamp`, `timestamp` TIMESTAMP(3), b INT)",
        "TABLE t [timestamp TIMESTAMP(3); b INT] watermark timestamp: `timestamp`",
    ),
    (
        "CREATE TABLE t (a INT, b INT, PRIMARY KEY (a, b) NOT ENFORCED)",
        "TABLE t [a INT NOT NULL; b INT NOT NULL] key a,b",
    ),
    ("CREATE TABLE t (a INT PRIMARY KEY NOT ENFORCED, b INT)", "TABLE t [a INT NOT NULL; b INT] key a"),
    ("CREATE TABLE t (a INT, CONSTRAINT pk PRIMARY KEY (a) NOT ENFORCED)", "TABLE t [a INT NOT NULL] key a"),
    (
        "CREATE TABLE t (a INT, d STRING) COMMENT 'c' PARTITIONED BY (d) WITH ('path' = '/x')",
        "TABLE t [a INT; d STRING] partitions d # c path=/x",
    ),
    (
        "CREATE TABLE t (a INT) WITH (connector = 'kafka', value.format='json', 'a-b' = 'c', scan-x.y = '')",
        "TABLE t [a INT] connector=kafka value.format=json a-b=c scan-x.y=",
    ),
    (
        "CREATE TABLE t (watermark INT, metadata INT, data INT, key INT, status INT, version INT)",
        "TABLE t [watermark INT; metadata INT; data INT; key INT; status INT; version INT]",
    ),
    // variables
    ("CREATE TABLE t (a INT) WITH ('topic' = '${TOPIC}')", "TABLE t [a INT] topic=readings"),
    ("CREATE TABLE t (a INT) WITH ('s' = '${NO:-embedded}/${TOPIC:-x}')", "TABLE t [a INT] s=embedded/readings"),
    (
        "CREATE TABLE t (a INT) WITH ('a' = '${EMPTY}', 'b' = '${EMPTY:-x}', 'c' = '${NO:-}')",
        "TABLE t [a INT] a= b=x c=",
    ),
    (
        "CREATE TABLE t (a INT) WITH ('a' = '${file:/run/a b}', 'b' = '${file:/no:-x}', 'c' = '${file:/empty:-y}')",
        "TABLE t [a INT] a=of a file b=x c=y",
    ),
    ("CREATE TABLE t (a INT) WITH ('a' = '$${x}', 'b' = 'a$b{c}')", "TABLE t [a INT] a=${x} b=a$b{c}"),
    ("SELECT '$${x}' -- ${y}", "QUERY SELECT '${x}'"),
    // views, inserts, sets
    ("CREATE VIEW v AS SELECT 1", "VIEW v () SELECT 1"),
    (
        "CREATE TEMPORARY VIEW IF NOT EXISTS v (a, `b c`) COMMENT 'x' AS SELECT 1, 2",
        "VIEW v temporary if-not-exists (a,b c) SELECT 1, 2",
    ),
    ("INSERT INTO t SELECT a FROM s", "INSERT t() SELECT a FROM s"),
    ("INSERT INTO t (a, b) SELECT a, b FROM s", "INSERT t(a,b) SELECT a, b FROM s"),
    ("INSERT INTO t (SELECT 1)", "INSERT t() (SELECT 1)"),
    (
        "INSERT INTO default_catalog.default_database.t VALUES (1, 'a'), (2, NULL)",
        "INSERT default_database/t() VALUES (1, 'a'), (2, NULL)",
    ),
    (
        "INSERT INTO d.t /*+ OPTIONS('a'='b', c.d='e') */ PARTITION (p='x', q=1 + 1) (a, b) SELECT 1, 2",
        "INSERT d/t a=b c.d=e partition p='x',q=1 + 1(a,b) SELECT 1, 2",
    ),
    ("EXECUTE INSERT INTO t SELECT 1", "INSERT t() SELECT 1"),
    (
        "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b SELECT 2; END;",
        "SET OF INSERT a() SELECT 1 | INSERT b() SELECT 2",
    ),
    (
        "BEGIN STATEMENT SET; INSERT INTO a SELECT 1; END; SHOW TABLES",
        "SET OF INSERT a() SELECT 1 / SHOW Tables(None) None",
    ),
    ("EXPLAIN SELECT 1", "EXPLAIN QUERY SELECT 1"),
    ("EXPLAIN ESTIMATED_COST, CHANGELOG_MODE SELECT 1", "EXPLAIN QUERY SELECT 1"),
    ("EXPLAIN PLAN FOR INSERT INTO t SELECT 1", "EXPLAIN INSERT t() SELECT 1"),
    ("EXPLAIN STATEMENT SET BEGIN INSERT INTO t SELECT 1; END", "EXPLAIN SET OF INSERT t() SELECT 1"),
    ("DROP TABLE t; DROP TEMPORARY VIEW IF EXISTS v", "DROP table t false / DROP view v true"),
];

#[test]
fn statements_mean_what_they_say() {
    for (text, expected) in ACCEPTED {
        let shapes: Vec<String> = accept(text).iter().map(|statement| shape(&statement.kind)).collect();
        assert_eq!(shapes.join(" / "), *expected, "{text}");
    }
}

/// Queries that come through as they are, or as the second text.
const QUERIES: &[(&str, &str)] = &[
    ("SELECT a, B, `c d` FROM T", ""),
    ("VALUES (1), (2)", ""),
    ("WITH x AS (SELECT 1) SELECT * FROM x", ""),
    ("SELECT 'it''s' || 'a\\n'", ""),
    ("SELECT COUNT(*) FILTER (WHERE a > 1) FROM t", ""),
    ("SELECT a FROM t UNION ALL SELECT b FROM u", ""),
    ("SELECT CASE WHEN a <> 0 THEN 1 ELSE 2 END FROM t", ""),
    (
        "SELECT a FROM default_catalog.default_database.t JOIN default_database.u ON t.a = u.a",
        "SELECT a FROM default_database.t JOIN default_database.u ON t.a = u.a",
    ),
    (
        "SELECT /*+ STATE_TTL('t'='1d') */ a FROM t /*+ OPTIONS('k'='v', x.y='z') */ AS u, `s` /*+ LOOKUP('table'='s') */",
        "SELECT a FROM t AS u WITH ('k' = 'v', 'x.y' = 'z'), `s`",
    ),
    (
        "SELECT * FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
        "SELECT * FROM TABLE(TUMBLE(__table_arg(t), DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
    ),
    (
        "SELECT * FROM TUMBLE(TABLE default_catalog.d.t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)",
        "SELECT * FROM TUMBLE(__table_arg(d.t), DESCRIPTOR(ts), INTERVAL '1' MINUTE)",
    ),
    (
        "SELECT * FROM HOP(DATA => TABLE t, TIMECOL => DESCRIPTOR(ts), SLIDE => INTERVAL '1' MINUTE, SIZE => INTERVAL '2' MINUTE)",
        "SELECT * FROM HOP(DATA => __table_arg(t), TIMECOL => DESCRIPTOR(ts), SLIDE => INTERVAL '1' MINUTE, SIZE => INTERVAL '2' MINUTE)",
    ),
    (
        "SELECT * FROM TABLE(SESSION(TABLE t PARTITION BY k, j, DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
        "SELECT * FROM TABLE(SESSION(__table_arg(t, k, j), DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
    ),
    (
        "SELECT * FROM SESSION(DATA => TABLE t PARTITION BY (k, j), TIMECOL => DESCRIPTOR(ts), GAP => INTERVAL '1' MINUTE)",
        "SELECT * FROM SESSION(DATA => __table_arg(t, k, j), TIMECOL => DESCRIPTOR(ts), GAP => INTERVAL '1' MINUTE)",
    ),
    ("SELECT AVG(v) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 99 PRECEDING AND CURRENT ROW) FROM t", ""),
    (
        "SELECT SUM(v) OVER w FROM t WINDOW w AS (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW)",
        "",
    ),
    ("SELECT TUMBLE_END(ts, INTERVAL '20' SECONDS) FROM t GROUP BY TUMBLE(ts, INTERVAL '20' SECONDS)", ""),
    (
        "SELECT * FROM o JOIN r FOR SYSTEM_TIME AS OF o.ts AS x ON o.k = x.k",
        "SELECT * FROM o JOIN r AS x FOR SYSTEM_TIME AS OF o.ts ON o.k = x.k",
    ),
    ("SELECT a FROM t CROSS JOIN UNNEST(xs) AS u (x)", ""),
    ("SELECT * FROM t, LATERAL TABLE(split(s)) AS u (w)", ""),
    ("SELECT a FROM t GROUP BY GROUPING SETS ((a), ())", ""),
    ("SELECT ARRAY[1, 2][1], m['k'], ROW(1, 'a')", ""),
    ("SELECT MAP['a', 1, 'b', 2]", "SELECT __map('a', 1, 'b', 2)"),
    ("SELECT EXTRACT(DAY FROM ts), FLOOR(ts TO HOUR), TIMESTAMPDIFF(SECOND, a, b) FROM t", ""),
    ("SELECT TIMESTAMP '2024-01-01 00:00:00', DATE '2024-01-01', X'0A'", ""),
    ("SELECT INTERVAL '1 02:03:04.5' DAY TO SECOND", ""),
    ("SELECT 1e5, 1.5E-3, .5, 1.25", ""),
    (
        "SELECT CAST(a AS STRING), TRY_CAST(a AS DOUBLE), CAST(a AS INT ARRAY) FROM t",
        "SELECT CAST(a AS STRING), TRY_CAST(a AS DOUBLE), CAST(a AS ARRAY<INT>) FROM t",
    ),
    (
        "SELECT CAST(a AS TIMESTAMP_LTZ(3)), CAST(b AS TIMESTAMP(3) WITH LOCAL TIME ZONE) FROM t",
        "SELECT CAST(a AS TIMESTAMP_LTZ(3)), CAST(b AS TIMESTAMP_LTZ(3)) FROM t",
    ),
    (
        "SELECT CAST(a AS ROW<x INT, y MAP<STRING, ARRAY<ARRAY<INT>>>>) FROM t",
        "SELECT CAST(a AS ROW<x INT, y MAP<STRING, ARRAY<ARRAY<INT>>>>) FROM t",
    ),
    ("SELECT a -- x\n /* y */ FROM t", "SELECT a FROM t"),
    ("SELECT a FROM t WHERE a IN (SELECT b FROM u) AND EXISTS (SELECT 1 FROM u)", ""),
    (
        "SELECT * FROM t MATCH_RECOGNIZE(PARTITION BY k ORDER BY ts MEASURES A.v AS v ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (A B+? C{2,3}) DEFINE B AS B.v > 1)",
        "",
    ),
    ("SELECT 日本, größe FROM `naïve`", ""),
];

#[test]
fn queries_come_through() {
    for (text, expected) in QUERIES {
        let expected = if expected.is_empty() { text } else { expected };
        assert_eq!(query(text), *expected, "{text}");
    }
}

#[test]
fn types_map_to_arrow() {
    use DataType as D;
    let list = |inner: D| D::List(Field::new("item", inner, true).into());
    let map = |key: D, value: D, nullable: bool| {
        let key = D::Struct(vec![Field::new("key", key, true)].into());
        let fields = vec![Field::new("key", key, false), Field::new("value", value, nullable)];
        D::Map(Field::new("entries", D::Struct(fields.into()), false).into(), false)
    };
    let utc = |unit| D::Timestamp(unit, Some("UTC".into()));
    let cases = [
        ("TINYINT", "TINYINT", D::Int8),
        ("SMALLINT", "SMALLINT", D::Int16),
        ("INTEGER", "INT", D::Int32),
        ("BIGINT", "BIGINT", D::Int64),
        ("FLOAT", "FLOAT", D::Float32),
        ("DOUBLE PRECISION", "DOUBLE", D::Float64),
        ("DECIMAL", "DECIMAL(10, 0)", D::Decimal128(10, 0)),
        ("DEC(5)", "DECIMAL(5, 0)", D::Decimal128(5, 0)),
        ("NUMERIC(38, 38)", "DECIMAL(38, 38)", D::Decimal128(38, 38)),
        ("BOOLEAN", "BOOLEAN", D::Boolean),
        ("CHAR", "CHAR(1)", D::Utf8),
        ("VARCHAR(2147483647)", "STRING", D::Utf8),
        ("varchar(20)", "VARCHAR(20)", D::Utf8),
        ("BYTES", "BYTES", D::Binary),
        ("VARBINARY(9)", "VARBINARY(9)", D::Binary),
        ("DATE", "DATE", D::Date32),
        ("TIME", "TIME(0)", D::Time32(TimeUnit::Millisecond)),
        ("TIMESTAMP", "TIMESTAMP(6)", D::Timestamp(TimeUnit::Microsecond, None)),
        ("TIMESTAMP(3)", "TIMESTAMP(3)", D::Timestamp(TimeUnit::Millisecond, None)),
        ("TIMESTAMP(9) WITHOUT TIME ZONE", "TIMESTAMP(9)", D::Timestamp(TimeUnit::Nanosecond, None)),
        ("TIMESTAMP_LTZ(3)", "TIMESTAMP_LTZ(3)", utc(TimeUnit::Millisecond)),
        ("TIMESTAMP WITH LOCAL TIME ZONE", "TIMESTAMP_LTZ(6)", utc(TimeUnit::Microsecond)),
        ("ARRAY<ARRAY<INT>>", "ARRAY<ARRAY<INT>>", list(list(D::Int32))),
        ("INT ARRAY", "ARRAY<INT>", list(D::Int32)),
        ("ARRAY<INT NOT NULL>", "ARRAY<INT NOT NULL>", D::List(Field::new("item", D::Int32, false).into())),
        ("MAP<STRING, INT>", "MAP<STRING, INT>", map(D::Utf8, D::Int32, true)),
        ("MULTISET<STRING>", "MULTISET<STRING>", crate::table::map::multiset_type(D::Utf8)),
        (
            "ROW<a INT 'comment', `b c` STRING NOT NULL>",
            "ROW<a INT, `b c` STRING NOT NULL>",
            D::Struct(vec![Field::new("a", D::Int32, true), Field::new("b c", D::Utf8, false)].into()),
        ),
        ("ROW(`value` INT)", "ROW<`value` INT>", D::Struct(vec![Field::new("value", D::Int32, true)].into())),
    ];
    for (text, canonical, data_type) in cases {
        let statements = accept(&format!("CREATE TABLE t (c {text})"));
        let [Statement { kind: StatementKind::CreateTable(table), .. }] = statements.as_slice() else { panic!() };
        let ColumnDefKind::Physical(parsed) = &table.columns[0].kind else { panic!() };
        let expected = SqlType { data_type, text: canonical.to_owned(), nullable: true };
        assert_eq!(*parsed, expected, "{text}");
        // the same type as target of a CAST
        let statements = accept(&format!("SELECT CAST(c AS {text})"));
        let [Statement { kind: StatementKind::Query(query), .. }] = statements.as_slice() else { panic!() };
        let select = query.body.as_select().expect("a select");
        let datafusion::sql::sqlparser::ast::SelectItem::UnnamedExpr(datafusion::sql::sqlparser::ast::Expr::Cast {
            data_type,
            ..
        }) = &select.projection[0]
        else {
            panic!("{text}")
        };
        assert_eq!(arrow_type_of(data_type).expect(text), expected, "{text} as {data_type:?}");
    }
}

#[test]
fn mistakes_are_shown_where_they_are() {
    for (text, place, message, hint) in wrong::WRONG {
        let (_, errors) = parse(text);
        let [error] = errors.as_slice() else { panic!("{text}\n{errors:#?}") };
        let span = error.span().expect("a span");
        let shown = ((span.line, span.column, span.end_column), error.message(), error.hint_text().unwrap_or(""));
        assert_eq!(shown, (*place, *message, *hint), "{text}");
    }
}

#[test]
fn one_mistake_hides_no_other() {
    let text = "SET 'a' = 'b';
CREATE TABLE t (
  value INT,
  b FOO,
  m MAP<STRING, BAR>, -- a comma inside
  c AS a <,
  d INT
) WITH ('x' = 5, 'y' = '${NOPE}', 'z' = 'ok' 'q' = '1');
SELCT 1;
SELECT a FROM t WHERE;
EXECUTE STATEMENT SET BEGIN
  INSERT INTO x SELECT a != 2 FROM t;
  INSERT INTO y SELECT , FROM t;
END;
SELECT 1";
    let (statements, errors) = parse(text);
    let shapes: Vec<String> = statements.iter().map(|statement| shape(&statement.kind)).collect();
    assert_eq!(shapes, ["SET a=b", "QUERY SELECT 1"]);
    let places: Vec<(u32, u32)> = errors.iter().filter_map(Error::span).map(|span| (span.line, span.column)).collect();
    // the variable is looked up before the statement is read: what else is in it shows in the next run
    assert_eq!(places, [(8, 24), (9, 1), (10, 22), (12, 26), (13, 24)], "{errors:#?}");

    let (_, errors) = parse(&text.replace("${NOPE}", "${TOPIC}"));
    let places: Vec<(u32, u32)> = errors.iter().filter_map(Error::span).map(|span| (span.line, span.column)).collect();
    let in_table = [(3, 3), (4, 5), (5, 17), (6, 11), (8, 15), (8, 47)];
    assert_eq!(places[..6], in_table, "{errors:#?}");
}

#[test]
fn a_missing_variable_is_a_matter_of_configuration() {
    let (_, errors) = parse("CREATE TABLE t (a INT) WITH ('a' = '${NOPE}')");
    assert_eq!(errors.iter().map(Error::kind).collect::<Vec<_>>(), [ErrorKind::Config]);
}

#[test]
fn spans_count_characters_over_lines_and_tabs() {
    let statements = accept("-- ü\n\tSET 'größe' = '日本';\r\n  SELECT\n\t'é',\n 1 ;\nINSERT INTO t SELECT 1");
    let spans: Vec<Span> = statements.iter().map(|statement| statement.span).collect();
    let expected = [
        Span { line: 2, column: 2, end_line: 2, end_column: 20 },
        Span { line: 3, column: 3, end_line: 5, end_column: 3 },
        Span { line: 6, column: 1, end_line: 6, end_column: 23 },
    ];
    assert_eq!(spans, expected);
    let StatementKind::Set { key, value } = &statements[0].kind else { panic!() };
    assert_eq!((key.span, value.span), (Span::new(2, 6, 13), Span::new(2, 16, 20)));
    let StatementKind::Insert(insert) = &statements[2].kind else { panic!() };
    assert_eq!((insert.span, insert.table.span), (Span::new(6, 1, 23), Span::new(6, 13, 14)));
}

#[test]
fn table_parts_have_their_own_spans() {
    let text = "CREATE TABLE default_database.t (\n  a INT,\n  WATERMARK FOR a AS a - 1\n) WITH ('k' = 'v', b.c = 'd')";
    let statements = accept(text);
    let StatementKind::CreateTable(table) = &statements[0].kind else { panic!() };
    assert_eq!(table.name.span, Span::new(1, 14, 32));
    assert_eq!((table.columns[0].span, table.columns[0].name.span), (Span::new(2, 3, 8), Span::new(2, 3, 4)));
    let watermark = table.watermark.as_ref().expect("a watermark");
    assert_eq!((watermark.span, watermark.column.span), (Span::new(3, 3, 27), Span::new(3, 17, 18)));
    let options: Vec<(Span, Span)> = table.options.iter().map(|(key, value)| (key.span, value.span)).collect();
    assert_eq!(options, [(Span::new(4, 9, 12), Span::new(4, 15, 18)), (Span::new(4, 20, 23), Span::new(4, 26, 29))]);
    use datafusion::sql::sqlparser::ast::Spanned as _;
    assert_eq!(ast::script_span(watermark.expr.span()), Some(Span::new(3, 22, 27)));
}

#[test]
fn size_and_depth_are_bounded() {
    let first = |text: &str| parse(text).1.first().map(|error| error.message().to_owned()).unwrap_or_default();
    let nested = |count: usize, open: &str, middle: &str, close: &str| {
        format!("SELECT {}{middle}{}", open.repeat(count), close.repeat(count))
    };
    let max = limits::SQL_DEPTH_MAX;
    for (open, close) in
        [("(", ")"), ("(SELECT ", ")"), ("f(", ")"), ("ARRAY[", "]"), ("CAST(", " AS INT)"), ("a IN (", ")")]
    {
        assert_eq!(first(&nested(max, open, "1", close)), "", "{open}");
        let deep = first(&nested(70_000, open, "1", close));
        assert!(deep.contains("more than 64") || deep.contains("more than 500"), "{open}: {deep}");
    }
    for open in ["NOT ", "- ", "1 + ", "CASE WHEN a THEN ", "SELECT 1 UNION ALL ", "ARRAY<", "INTERVAL "] {
        assert_ne!(first(&nested(50_000, open, "1", "")), "", "{open}");
    }
    let types = format!("CREATE TABLE t (a {}INT{})", "ARRAY<".repeat(100_000), ">".repeat(100_000));
    assert_eq!(first(&types), "more than 64 parentheses or types inside each other");
    assert_eq!(
        first(&format!("CREATE TABLE t (a INT{})", " ARRAY".repeat(100_000))),
        "more than 64 types inside each other"
    );
    assert_eq!(first(&" ".repeat(limits::SCRIPT_BYTES_MAX)), "");
    assert!(first(&" ".repeat(limits::SCRIPT_BYTES_MAX + 1)).starts_with("the script has 1048577 bytes"));
}

/// Every way to make the parser look again at what it has seen, as often as a script has room for.
#[test]
fn large_scripts_end_soon() {
    let fill = |piece: &str| piece.repeat(limits::SCRIPT_BYTES_MAX / 16 / piece.len() - 40);
    for piece in ["\"a\";", "SELECT 1;", "FOO ", "'", "a FROM, ", "(SELECT 1), ", "CAST(a AS ROW<a INT>), "] {
        parse(&fill(piece));
        parse(&format!("SELECT {}", fill(piece)));
        parse(&format!("CREATE TABLE t ({} b INT)", fill(piece)));
    }
    for piece in ["a INT, ", "a INT FROM, ", "a AS b b, ", "a ROW<a INT, a INT>, "] {
        assert!(parse(&format!("CREATE TABLE t ({} b INT)", fill(piece))).1.len() <= 100);
        assert!(parse(&format!("CREATE TABLE t (a INT) WITH ({})", fill(piece))).1.len() <= 100);
    }
    assert!(parse(&format!("CREATE TABLE t (a INT) WITH ({} 'b' = 'c')", fill("'a' = 'b', "))).1.len() <= 100);
}

/// A script with most of what the parser reads, as the start of random changes.
const SEED: &str = "SET 'table.local-time-zone' = 'UTC';
CREATE TEMPORARY TABLE IF NOT EXISTS t (
  id STRING NOT NULL, `v w` DOUBLE COMMENT 'x', r ROW<a INT, b MAP<STRING, ARRAY<INT>>>,
  ts TIMESTAMP(3) METADATA FROM 'timestamp' VIRTUAL, d AS CAST(ts AS DATE),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND, PRIMARY KEY (id) NOT ENFORCED
) COMMENT 'c' PARTITIONED BY (id) WITH ('connector' = 'kafka', 'topic' = '${TOPIC:-x}', a.b-c = '1');
CREATE VIEW v (a, b) AS SELECT id, MAP['k', 1] FROM t WHERE `v w` <> 2 AND id IN (SELECT 'a' FROM u);
EXECUTE STATEMENT SET BEGIN
INSERT INTO o (a, b) SELECT window_start, COUNT(*) FILTER (WHERE a > 1) OVER (PARTITION BY id ORDER BY ts)
FROM TABLE(SESSION(DATA => TABLE t PARTITION BY id, TIMECOL => DESCRIPTOR(ts), GAP => INTERVAL '1' MINUTE));
INSERT INTO p VALUES (1, 'a''b'), (2, CAST(NULL AS TIMESTAMP_LTZ(3))); -- end
END; EXPLAIN SELECT /* c */ * FROM a JOIN b FOR SYSTEM_TIME AS OF a.ts ON a.k = b.k";

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_ends_in_statements_or_errors(text in any::<String>()) {
        let (_, errors) = parse(&text);
        prop_assert!(errors.iter().all(|error| error.span().is_some()));
    }

    /// Pieces of SQL in any order reach further than any characters do.
    #[test]
    fn any_pieces_end_in_statements_or_errors(pieces in proptest::collection::vec(
        prop::sample::select(vec![
            "SELECT", "FROM", "(", ")", ",", ";", "CREATE TABLE t (", "WITH (", "'a'", "=", "a", "1", "`b`", "CAST(", "AS",
            "ROW<", ">", "MAP[", "]", "TABLE", "TABLE(", "PARTITION BY", "INTERVAL", "'1'", "DAY", "WATERMARK FOR", "CASE",
            "WHEN", "END", "EXECUTE STATEMENT SET BEGIN", "INSERT INTO", "*", "-", "NOT", "'${X}'", "\"", "'", "/*", "--",
            "\n", "PRIMARY KEY", "EXPLAIN", "SET", "UNNEST(", "JOIN", "ON", "OVER (", "MATCH_RECOGNIZE (", "é", "\0", "=>",
            "/*+", "/*+ OPTIONS('a'='b') */", "LIKE", "INCLUDING", "ALTER TABLE t", "ALTER VIEW v", "ADD (", "MODIFY", "RENAME", "TO", "AFTER",
            "FIRST", "RESET", "DROP", "SHOW", "USE", "CREATE DATABASE", "PARTITION (", "VALUES (", "CREATE FUNCTION f AS", ".",
        ]), 0..60)
    ) {
        parse(&pieces.join(" "));
    }

    #[test]
    fn a_changed_script_ends_in_statements_or_errors(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..3), 1..6)
    ) {
        let mut text: Vec<char> = SEED.chars().collect();
        for (at, other, change) in changes {
            let (at, other) = (at.index(text.len()), other.index(text.len()));
            match change {
                0 => { text.remove(at); }
                1 => { let c = text[other]; text.insert(at, c); }
                _ => text.swap(at, other),
            }
        }
        let text: String = text.into_iter().collect();
        let (_, errors) = parse(&text);
        for error in &errors {
            prop_assert!(error.span().is_some(), "{error:?}");
            prop_assert!(!error.render(Some(("f.sql", &text)), false).is_empty());
        }
    }
}

#[test]
fn the_seed_is_right() {
    assert_eq!(accept(SEED).len(), 5);
}
