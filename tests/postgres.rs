//! Tables of a real PostgreSQL: exactly once through kills and crashes, values as they are, and what is refused.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::support::postgres::Cluster;
use crate::support::{Running, run, start, streamer, text, wait_until};

fn write(directory: &Path, name: &str, content: &str) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// Numbers from 1 to `rows`, so many a second.
fn numbers(rows: u64, per_second: u64) -> String {
    format!(
        "SET 'execution.checkpointing.interval' = '100 ms';\n\
         CREATE TABLE numbers (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '{per_second}', \
         'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '{rows}');\n"
    )
}

const RUN: &[&str] = &["run", "q.sql", "--metrics-addr", "none"];
/// The same with the state it would have if its input had no end.
const RUN_ON: &[&str] = &["run", "q.sql", "--metrics-addr", "none", "--state", "data/state/q"];

fn go(directory: &Path) -> Running {
    start(streamer(directory).args(RUN_ON))
}

/// Runs the script to its end; it must end well.
fn complete(directory: &Path) -> String {
    let output = run(directory, RUN_ON);
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

fn count(cluster: &Cluster, table: &str) -> u64 {
    let value = cluster.value(&format!("SELECT count(*) FROM {table}"));
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// Every number from 1 to `rows`, once.
fn assert_numbers(cluster: &Cluster, table: &str, rows: u64) {
    let found = cluster.sql(&format!("SELECT count(*), count(DISTINCT id), min(id), max(id) FROM {table}"));
    assert_eq!(found, [format!("{rows}|{rows}|1|{rows}")]);
}

#[test]
fn rows_are_added_or_merged_by_key_and_tables_are_made() {
    let Some(cluster) = Cluster::start("rows_are_added_or_merged_by_key_and_tables_are_made") else { return };
    cluster.sql("CREATE SCHEMA plant; CREATE TABLE plant.log (id text, v float8, at timestamptz DEFAULT now()); \
                 CREATE TABLE newest (\"Id\" char(4) PRIMARY KEY, v float8, kept int DEFAULT 7); CREATE TABLE seen (id text PRIMARY KEY)");
    let directory = tempfile::tempdir().unwrap();
    let rows: String = ["a", "b", "a", "c", "a"]
        .iter()
        .enumerate()
        .map(|(v, id)| format!("{{\"id\":\"{id}\",\"v\":{v}}}\n"))
        .collect();
    write(directory.path(), "input/a.json", &rows);
    let script = format!(
        "CREATE TABLE input (id STRING, v DOUBLE) WITH ('connector' = 'filesystem', 'path' = 'input', 'format' = 'json');\n\
         CREATE TABLE log (id STRING, v DOUBLE) {};\n\
         CREATE TABLE newest (`Id` STRING, v DOUBLE, PRIMARY KEY (`Id`) NOT ENFORCED) {};\n\
         CREATE TABLE seen (id STRING, PRIMARY KEY (id) NOT ENFORCED) {};\n\
         CREATE TABLE made (id STRING, v DOUBLE, PRIMARY KEY (id) NOT ENFORCED) {};\n\
         EXECUTE STATEMENT SET BEGIN\n\
         INSERT INTO log SELECT id, v FROM input;\nINSERT INTO newest SELECT id, v FROM input;\n\
         INSERT INTO seen SELECT id FROM input;\nINSERT INTO made SELECT id, v FROM input;\nEND;\n",
        cluster.with("plant.log", ""),
        cluster.with("newest", ""),
        cluster.with("seen", ""),
        cluster.with("plant.\"Made \"\"here\"\"\"", ", 'sink.create-table' = 'true'"),
    );
    write(directory.path(), "q.sql", &script);
    let shown = complete(directory.path());
    assert!(shown.contains("postgres table plant.log at 127.0.0.1:"), "{shown}");
    assert_eq!(cluster.sql("SELECT id, v FROM plant.log ORDER BY v"), ["a|0", "b|1", "a|2", "c|3", "a|4"]);
    assert_eq!(cluster.sql("SELECT * FROM newest ORDER BY 1"), ["a   |4|7", "b   |1|7", "c   |3|7"]);
    assert_eq!(cluster.sql("SELECT * FROM seen ORDER BY 1"), ["a", "b", "c"]);
    assert_eq!(cluster.sql("SELECT * FROM plant.\"Made \"\"here\"\"\" ORDER BY 1"), ["a|4", "b|1", "c|3"]);

    // the same again: what is there by key stays one row
    write(directory.path(), "input/a.json", &rows);
    let output = run(directory.path(), &["run", "q.sql", "--metrics-addr", "none", "--fresh"]);
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!((count(&cluster, "plant.log"), count(&cluster, "newest"), count(&cluster, "seen")), (10, 3, 3));
}

#[test]
fn every_type_arrives_as_it_is() {
    let Some(cluster) = Cluster::start("every_type_arrives_as_it_is") else { return };
    cluster.sql(
        "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN short AS varchar(5); CREATE TABLE t (b boolean, t smallint, s int2, i int, l bigint, \
         f real, d float8, n numeric(38, 10), n2 numeric, c char(3), v varchar(5), x text, j jsonb, u uuid, ip inet, m mood, sh short, \
         y bytea, da date, ti time, ts timestamp, tz timestamptz, ai int[], at text[], au uuid[], mp jsonb, ro jsonb, aa jsonb, nu numeric(6,2), big int8, null_ int)",
    );
    let directory = tempfile::tempdir().unwrap();
    let script = format!(
        "CREATE TABLE t (b BOOLEAN, t TINYINT, s SMALLINT, i INT, l BIGINT, f FLOAT, d DOUBLE, n DECIMAL(38, 10), n2 DOUBLE, c CHAR(3), \
         v VARCHAR(5), x STRING, j STRING, u STRING, ip STRING, m STRING, sh STRING, y BYTES, da DATE, ti TIME(3), ts TIMESTAMP(6), \
         tz TIMESTAMP_LTZ(3), ai ARRAY<INT>, `at` ARRAY<STRING>, au ARRAY<STRING>, mp MAP<STRING, INT>, ro ROW<a INT, b STRING>, \
         aa ARRAY<ARRAY<INT>>, nu INT, big INT, null_ INT) {};\n\
         INSERT INTO t SELECT TRUE, CAST(-128 AS TINYINT), CAST(32767 AS SMALLINT), CAST(-2147483648 AS INT), 9223372036854775807, CAST(0.1 AS FLOAT), \
         1e-300, CAST('-1234567890123456789012345678.0123456789' AS DECIMAL(38, 10)), 0.1, CAST('ab' AS CHAR(3)), 'züric', 'a''b\\c ü', \
         '{{\"k\": [1, \"ü\"]}}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '10.0.0.0/8', 'bad', 'abcde', X'00ff', DATE '0001-01-01', \
         TIME '23:59:59.123', TIMESTAMP '1969-12-31 23:59:59.123456', TO_TIMESTAMP_LTZ(1700000000123, 3), ARRAY[1, CAST(NULL AS INT), -3], \
         ARRAY['a', 'ü\"'], ARRAY['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'], MAP['k', 1], CAST(ROW(1, 'x') AS ROW<a INT, b STRING>), \
         ARRAY[ARRAY[1], ARRAY[2, 3]], 1234, 5, CAST(NULL AS INT);\n",
        cluster.with("t", ""),
    );
    write(directory.path(), "q.sql", &script);
    complete(directory.path());
    let found = cluster.sql("SET timezone = 'UTC'; SELECT * FROM t");
    let expected = [
        "t|-128|32767|-2147483648|9223372036854775807|0.1|1e-300|-1234567890123456789012345678.0123456789|0.1|ab |züric|a'b\\c ü",
        "{\"k\": [1, \"ü\"]}|a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|10.0.0.0/8|bad|abcde|\\x00ff|0001-01-01|23:59:59.123|1969-12-31 23:59:59.123456",
        "2023-11-14 22:13:20.123+00|{1,NULL,-3}|{a,\"ü\\\"\"}|{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}|{\"k\": 1}|{\"a\": 1, \"b\": \"x\"}|[[1], [2, 3]]|1234.00|5|",
    ];
    assert_eq!(found, [expected.join("|")]);
}

#[test]
fn what_does_not_fit_is_told_at_once_before_the_first_row() {
    let Some(cluster) = Cluster::start("what_does_not_fit_is_told_at_once_before_the_first_row") else { return };
    cluster.sql(
        "CREATE TABLE t (id int, value real, at timestamptz, must int NOT NULL, made int GENERATED ALWAYS AS (1) STORED); \
         CREATE TABLE keyless (id bigint); CREATE UNLOGGED TABLE forgetful (id bigint); CREATE TABLE alerts (id bigint); \
         CREATE ROLE app LOGIN PASSWORD 'right'; GRANT USAGE ON SCHEMA public TO app",
    );
    let directory = tempfile::tempdir().unwrap();
    let attempt = |sink: &str, columns: &str, values: &str| {
        let script = format!("CREATE TABLE o ({columns}) {sink};\nINSERT INTO o VALUES ({values});\n");
        write(directory.path(), "q.sql", &script);
        let output = run(directory.path(), RUN);
        assert!(!output.status.success());
        (output.status.code(), text(&output))
    };
    let (code, shown) = attempt(
        &cluster.with("t", ""),
        "idd INT, `value` DOUBLE, `at` TIMESTAMP(3), made INT",
        "1, 1e0, TIMESTAMP '2026-01-01 00:00:00', 1",
    );
    for part in [
        "has no column \"idd\"",
        "did you mean \"id\"?",
        "column \"value\" is DOUBLE in the script and real",
        "a TIMESTAMP has no zone",
        "column \"made\" of postgres table public.t is filled by the database itself",
        "column \"must\" of postgres table public.t is NOT NULL without a default",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(code, Some(3), "{shown}");
    let cases = [
        ("alert", "", "id BIGINT", "did you mean \"public.alerts\"?"),
        ("keyless", "", "id BIGINT, PRIMARY KEY (id) NOT ENFORCED", "does not keep (id) unique"),
        ("forgetful", "", "id BIGINT", "is UNLOGGED"),
        ("keyless", ", 'password' = 'seven-secrets'", "id BIGINT", "password authentication failed"),
    ];
    let locked = "local all all trust\nhost all streamer all trust\nhost all app all scram-sha-256\n";
    std::fs::write(Path::new(&cluster.data()).join("pg_hba.conf"), locked).unwrap();
    cluster.sql("SELECT pg_reload_conf()");
    for (table, more, columns, words) in cases {
        let sink = cluster.with(table, more).replace(
            "'username' = 'streamer'",
            if more.is_empty() { "'username' = 'streamer'" } else { "'username' = 'app'" },
        );
        let (code, shown) = attempt(&sink, columns, "1");
        assert!(shown.contains(words), "{words}: {shown}");
        assert!(!shown.contains("seven-secrets"), "{shown}");
        assert_eq!(code, Some(3), "{shown}");
    }
    let app =
        cluster.with("keyless", ", 'password' = 'right'").replace("'username' = 'streamer'", "'username' = 'app'");
    let (_, shown) = attempt(&app, "id BIGINT", "1");
    assert!(shown.contains("the role lacks INSERT on postgres table public.keyless"), "{shown}");
    cluster.sql("GRANT INSERT ON keyless TO app");
    let (_, shown) = attempt(&app, "id BIGINT", "1");
    assert!(shown.contains("let the role CREATE in the schema once, or run: CREATE TABLE"), "{shown}");
    cluster.sql("GRANT CREATE ON SCHEMA public TO app");
    complete(directory.path());
    assert_eq!(count(&cluster, "keyless"), 1);
}

#[test]
fn refused_rows_are_in_the_ledger_and_the_others_arrive() {
    let Some(cluster) = Cluster::start("refused_rows_are_in_the_ledger_and_the_others_arrive") else { return };
    cluster.sql("CREATE TABLE t (id int CHECK (id % 100 <> 37), j jsonb, label varchar(6) NOT NULL, once int UNIQUE)");
    let directory = tempfile::tempdir().unwrap();
    let script = numbers(100_000, 500)
        + &format!(
            "CREATE TABLE t (id BIGINT, j STRING, label STRING, once BIGINT) {};\n\
             INSERT INTO t SELECT id, CASE WHEN MOD(id, 100) = 11 THEN '{{oops' ELSE '{{}}' END, \
             CASE WHEN MOD(id, 100) = 12 THEN 'much too long' WHEN MOD(id, 100) = 13 THEN CAST(NULL AS STRING) ELSE 'fine' END, \
             CASE WHEN MOD(id, 100) = 15 THEN id - 1 ELSE id END FROM numbers;\n",
            cluster.with("t", "")
        );
    write(directory.path(), "q.sql", &script);
    let running = go(directory.path());
    wait_until("rows behind the refused ones", || count(&cluster, "t") > 700);
    running.signal("INT");
    let output = running.finish();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("refuses rows; they go to ledger.bad"), "{}", text(&output));
    // what the last epochs refused is told by the next start
    let running = go(directory.path());
    let before = count(&cluster, "t");
    wait_until("rows of the second run", || count(&cluster, "t") > before + 300);
    running.signal("INT");
    assert!(running.finish().status.success());
    let query = "SELECT reason, field, COUNT(*) AS n FROM ledger.bad WHERE message <> '' GROUP BY reason, field ORDER BY reason, field";
    let told = run(directory.path(), &["sql", "-f", "q.sql", "--format", "csv", "-c", query]);
    let shown = text(&told);
    for part in ["22001,label,", "22P02,j,", "23502,label,", "23505,", "23514,"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let most: u64 = cluster.value("SELECT max(id) FROM t").unwrap().parse().unwrap();
    let bad = |id: u64| [37, 11, 12, 13, 15].contains(&(id % 100));
    let expected: Vec<String> = (1..=most).filter(|id| !bad(*id)).map(|id| id.to_string()).collect();
    assert_eq!(cluster.sql("SELECT id FROM t ORDER BY id"), expected);
}

#[test]
fn kill_minus_nine_leaves_every_row_once() {
    let Some(cluster) = Cluster::start("kill_minus_nine_leaves_every_row_once") else { return };
    cluster.sql("CREATE TABLE log (id bigint); CREATE TABLE newest (id bigint PRIMARY KEY, n bigint)");
    let directory = tempfile::tempdir().unwrap();
    let script = numbers(40_000, 4_000)
        + &format!(
            "CREATE TABLE log (id BIGINT) {};\nCREATE TABLE newest (id BIGINT, n BIGINT, PRIMARY KEY (id) NOT ENFORCED) {};\n\
             EXECUTE STATEMENT SET BEGIN\nINSERT INTO log SELECT id FROM numbers;\nINSERT INTO newest SELECT MOD(id, 100), id FROM numbers;\nEND;\n",
            cluster.with("log", ""),
            cluster.with("newest", "")
        );
    write(directory.path(), "q.sql", &script);
    for killed_after_ms in [20, 310, 130, 470, 60, 240] {
        let before = count(&cluster, "log");
        let running = start(streamer(directory.path()).args(RUN_ON).stdout(Stdio::null()).stderr(Stdio::null()));
        wait_until("rows of this run", || count(&cluster, "log") > before);
        std::thread::sleep(Duration::from_millis(killed_after_ms));
        running.signal("KILL");
        drop(running.finish());
    }
    complete(directory.path());
    assert_numbers(&cluster, "log", 40_000);
    assert_eq!(cluster.sql("SELECT count(*), min(n), max(n) FROM newest"), ["100|39901|40000"]);
}

#[test]
fn a_crashed_server_a_locked_table_and_lost_sessions_cost_no_row() {
    let Some(cluster) = Cluster::start("a_crashed_server_a_locked_table_and_lost_sessions_cost_no_row") else { return };
    cluster.sql("CREATE TABLE log (id bigint)");
    let directory = tempfile::tempdir().unwrap();
    let rows = 15_000;
    let script = numbers(rows, 500)
        + &format!(
            "CREATE TABLE log (id BIGINT) {};\nINSERT INTO log SELECT id FROM numbers;\n",
            cluster.with("log", "")
        );
    write(directory.path(), "q.sql", &script);
    let running = go(directory.path());
    let more = |what: &str| {
        let before = count(&cluster, "log");
        wait_until(what, || count(&cluster, "log") > before);
    };
    more("the first rows");
    for _ in 0..2 {
        cluster.stop("immediate");
        std::thread::sleep(Duration::from_millis(700));
        cluster.up();
        more("rows after the crash");
    }
    // longer than the engine waits for a lock
    let lock = start(&mut cluster.psql("BEGIN; LOCK TABLE log IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(11); COMMIT"));
    assert!(lock.finish().status.success());
    more("rows after the lock");
    for _ in 0..3 {
        cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'streamer'");
        more("rows of a new session");
    }
    let output = running.finish();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("takes rows again"), "{}", text(&output));
    assert_numbers(&cluster, "log", rows);
}

#[test]
fn a_second_process_fences_the_first() {
    let Some(cluster) = Cluster::start("a_second_process_fences_the_first") else { return };
    cluster.sql("CREATE TABLE log (id bigint)");
    let directory = tempfile::tempdir().unwrap();
    let script = numbers(1_000_000, 500)
        + &format!(
            "CREATE TABLE log (id BIGINT) {};\nINSERT INTO log SELECT id FROM numbers;\n",
            cluster.with("log", "")
        );
    write(directory.path(), "q.sql", &script);
    let first = go(directory.path());
    wait_until("rows", || count(&cluster, "log") > 0);
    // what a process with the next fence does first
    cluster.sql("UPDATE streamer_markers SET fence = fence + 1");
    let rows = count(&cluster, "log");
    let output = first.finish();
    assert!(!output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("another process has taken over the job"), "{}", text(&output));
    assert_eq!(count(&cluster, "log"), rows, "nothing is delivered behind the fence");
}

#[test]
fn connections_are_encrypted_and_the_server_is_checked() {
    let Some(cluster) = Cluster::start("connections_are_encrypted_and_the_server_is_checked") else { return };
    let directory = tempfile::tempdir().unwrap();
    if std::process::Command::new("openssl").arg("version").output().is_err() {
        println!("not run: connections_are_encrypted_and_the_server_is_checked needs openssl");
        return;
    }
    write(directory.path(), "openssl.conf", "[req]\ndistinguished_name = dn\n[dn]\n");
    let certificate = |name: &str, extensions: &[&str], more: &[&str]| {
        let made = std::process::Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-config", "openssl.conf"])
            .args(["-subj", &format!("/CN={name}"), "-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
            .args(extensions.iter().flat_map(|extension| ["-addext", extension]))
            .args(more)
            .current_dir(directory.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", text(&made));
    };
    certificate("ca", &["basicConstraints=critical,CA:TRUE"], &[]);
    certificate("other", &["basicConstraints=critical,CA:TRUE"], &[]);
    certificate("server", &["subjectAltName=DNS:localhost"], &["-CA", "ca.pem", "-CAkey", "ca.key"]);
    for name in ["server.key", "server.pem"] {
        let content = std::fs::read(directory.path().join(name)).unwrap();
        cluster.secret_file(name, &content);
    }
    cluster.append("postgresql.conf", "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\n");
    std::fs::write(Path::new(&cluster.data()).join("pg_hba.conf"), "local all all trust\nhostssl all all all trust\n")
        .unwrap();
    cluster.stop("fast");
    cluster.up();
    cluster.sql("CREATE TABLE log (mode text)");
    let attempt = |host: &str, mode: &str, root: &str| {
        let url = format!("jdbc:postgresql://{host}:{}/postgres?sslmode={mode}{root}", cluster.port);
        let script = format!(
            "CREATE TABLE log (mode STRING) WITH ('connector' = 'jdbc', 'url' = '{url}', 'username' = 'streamer', 'table-name' = 'log');\n\
             INSERT INTO log VALUES ('{host} {mode}');\n"
        );
        write(directory.path(), "q.sql", &script);
        let output = run(directory.path(), &["run", "q.sql", "--metrics-addr", "none", "--fresh"]);
        (output.status.success(), text(&output))
    };
    let known = "&sslrootcert=ca.pem";
    for (host, mode, root, fine) in [
        ("127.0.0.1", "prefer", "", true),
        ("127.0.0.1", "require", "", true),
        ("localhost", "verify-full", known, true),
        ("127.0.0.1", "verify-ca", known, true),
        ("127.0.0.1", "verify-full", known, false),
        ("localhost", "verify-ca", "&sslrootcert=other.pem", false),
        ("127.0.0.1", "disable", "", false),
    ] {
        let (went, shown) = attempt(host, mode, root);
        assert_eq!(went, fine, "{host} {mode} {root}: {shown}");
    }
    let found: BTreeSet<String> = cluster.sql("SELECT mode FROM log").into_iter().collect();
    assert_eq!(found.len(), 4, "{found:?}");
}

/// A character that the database's encoding does not have is found by the server in the middle of the copy.
#[test]
fn a_database_in_another_encoding_refuses_only_what_it_cannot_hold() {
    let Some(cluster) = Cluster::start("a_database_in_another_encoding_refuses_only_what_it_cannot_hold") else {
        return;
    };
    cluster.sql("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    let directory = tempfile::tempdir().unwrap();
    let sink = cluster.with("words", ", 'sink.create-table' = 'true'").replace("/postgres'", "/latin'");
    let script = format!(
        "CREATE TABLE words (n INT, word STRING) {sink};\n\
         INSERT INTO words VALUES (1, 'zürich'), (2, '5 €'), (3, 'plain'), (4, '日本'), (5, 'end');\n"
    );
    write(directory.path(), "q.sql", &script);
    let shown = complete(directory.path());
    assert!(shown.contains("refuses rows; they go to ledger.bad"), "{shown}");
    let found = cluster.sql_in("latin", "SELECT n, word FROM words ORDER BY n");
    assert_eq!(found, ["1|zürich", "3|plain", "5|end"]);
}
