//! Scalar functions through SQL, as the planner calls them: over columns and over constants.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, StringArray, TimestampMillisecondArray};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionContext;

use super::cast::text::text_at;
use super::{FOREIGN, FunctionContext, aggregate_functions, names, reference, scalar_functions, syntax_planner, usage};
use crate::time::zone::Zone;

fn session(zone: &str) -> SessionContext {
    let functions = FunctionContext { time_zone: zone.to_owned() };
    // the first planner that answers wins
    let planners = std::iter::once(syntax_planner(&functions)).chain(SessionStateDefaults::default_expr_planners());
    let state = SessionStateBuilder::new().with_default_features().with_expr_planners(planners.collect()).build();
    let context = SessionContext::new_with_state(state);
    for function in scalar_functions(&functions) {
        context.register_udf(function.as_ref().clone());
    }
    for function in aggregate_functions() {
        context.register_udaf(function.as_ref().clone());
    }
    context.register_batch("t", rows()).unwrap();
    context
}

/// Columns: text `s`, INT `n`, BIGINT `b`, DOUBLE `x`, TIMESTAMP(3) `ts`, TIMESTAMP_LTZ(3) `ltz`.
fn rows() -> RecordBatch {
    let ts = vec![Some(1_709_251_199_999), None];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("s", Arc::new(StringArray::from(vec![Some("Pump-Station 7"), None]))),
        ("n", Arc::new(Int32Array::from(vec![Some(-2), None]))),
        ("b", Arc::new(Int64Array::from(vec![Some(7), None]))),
        ("x", Arc::new(Float64Array::from(vec![Some(2.345), None]))),
        ("ts", Arc::new(TimestampMillisecondArray::from(ts.clone()))),
        ("ltz", Arc::new(TimestampMillisecondArray::from(ts).with_timezone("America/New_York"))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn run(zone: &str, sql: &str) -> Result<Vec<RecordBatch>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let plan = session(zone).sql(sql).await.map_err(|e| e.to_string())?;
        plan.collect().await.map_err(|e| e.to_string())
    })
}

/// Each expression over the first row of the table, as text; NULL is `NULL`.
#[track_caller]
pub(in crate::functions) fn check(zone: &str, cases: &[(&str, &str)]) {
    for (expression, want) in cases {
        let rows =
            run(zone, &format!("SELECT {expression} AS v FROM t")).unwrap_or_else(|e| panic!("{expression}: {e}"));
        let column = rows[0].column(0);
        let zone = Zone::parse(zone).unwrap();
        let got = text_at(column, 0, &zone).unwrap().unwrap_or_else(|| "NULL".to_owned());
        assert_eq!(got, *want, "{expression} as {}", column.data_type());
    }
}

#[track_caller]
pub(in crate::functions) fn check_error(expression: &str, want: &str) {
    match run("UTC", &format!("SELECT {expression} AS v FROM t")) {
        Ok(rows) => panic!("{expression} gave {rows:?}"),
        Err(error) => assert!(error.contains(want), "{expression}: {error}"),
    }
}

#[track_caller]
pub(in crate::functions) fn check_type(expression: &str, want: &DataType) {
    let rows = run("UTC", &format!("SELECT {expression} AS v FROM t")).unwrap_or_else(|e| panic!("{expression}: {e}"));
    assert_eq!(rows[0].column(0).data_type(), want, "{expression}");
}

#[test]
fn text_functions() {
    check(
        "UTC",
        &[
            ("upper(s)", "PUMP-STATION 7"),
            ("lower('MASS ß Ö')", "mass ß ö"),
            ("upper('maß')", "MASS"),
            ("initcap('hello wORLD-foo température')", "Hello World-Foo TempéRature"),
            ("reverse('Öl 😀')", "😀 lÖ"),
            ("char_length('Öl 😀')", "4"),
            ("character_length('')", "0"),
            ("ascii('ä')", "-61"),
            ("ascii('')", "0"),
            ("chr(65)", "A"),
            ("chr(321)", "A"),
            ("chr(-1)", ""),
            ("trim('  a ')", "a"),
            ("trim(BOTH 'ae' FROM 'aXeYa')", "XeY"),
            ("trim(LEADING 'x' FROM 'xxax')", "ax"),
            ("ltrim(' a ') || '|'", "a |"),
            ("rtrim(' a ')", " a"),
            ("concat('a', 'b', s)", "abPump-Station 7"),
            ("concat('a', CAST(NULL AS VARCHAR))", "NULL"),
            ("concat_ws('-', 'a', NULL, 'b')", "a-b"),
            ("concat_ws(NULL, 'a')", "NULL"),
            ("replace('aXbX', 'X', '$1')", "a$1b$1"),
            ("repeat('ab', 2)", "abab"),
            ("repeat('ab', n)", ""),
            ("left('äöü', 2)", "äö"),
            ("left('äöü', -1)", ""),
            ("right('äöü', 2)", "öü"),
            ("right('äöü', 9)", "äöü"),
            ("lpad('x', 4, 'ab')", "abax"),
            ("lpad('Pump', 2, '*')", "Pu"),
            ("lpad('é 😀', 5, '*')", "*é 😀"),
            ("rpad('x', 3, '')", "NULL"),
            ("rpad('x', -1, 'a')", "NULL"),
            ("split_index('a,b,,c', ',', 2)", ""),
            ("split_index('a,b', ',', 2)", "NULL"),
            ("split_index('a,b', ',', -1)", "NULL"),
            ("split_index('', ',', 0)", "NULL"),
            ("position('b' IN 'äb')", "2"),
            ("locate('b', 'bab', 2)", "3"),
            ("locate('b', 'bab', 0)", "1"),
            ("instr('bab', 'x')", "0"),
        ],
    );
    check_error("concat('a', 1)", "function \"CONCAT\" does not take");
    check_error("repeat('aaaaaaaaaa', 100000000)", "more than");
    check_type("ascii('a')", &DataType::Int32);
    check_type("char_length(s)", &DataType::Int32);
}

#[test]
fn large_values_give_errors_and_no_panics() {
    let json = |number: &str| {
        format!(
            "json_value(concat('{{\"a\":', {number}, '}}'), '$.a', 'NULL', '', 'DEFAULT', 'r', arrow_cast(NULL, 'Utf8'))"
        )
    };
    let digits = json("concat('0.', repeat('1', 70000))");
    let zeros = json("concat('0.', repeat('0', 70000), '1')");
    check(
        "UTC",
        &[
            (digits.as_str(), "r"),
            (zeros.as_str(), "r"),
            ("char_length(printf('%.70000f', 1e0))", "70002"),
            ("char_length(printf('%.70000e', 1e0))", "70006"),
            ("char_length(printf('%.70000g', 1.5e0))", "70001"),
            ("right(printf('%.1200e', 1e-300), 9)", "0000e-300"),
            ("char_length(replace(repeat('a', 4000), 'a', repeat('b', 4000)))", "16000000"),
            ("replace('añ', '', '-')", "-a-ñ-"),
            ("replace('aXbX', 'X', '')", "ab"),
        ],
    );
    for (expression, want) in [
        ("date_format(ts, repeat('y', 70000))", "the letter \"y\" 70000 times"),
        ("date_format(ts, repeat('S', 20))", "the letter \"S\" 20 times"),
        ("replace(repeat('a', 5000), 'a', repeat('b', 5000))", "REPLACE would give a text of more than"),
        ("regexp_replace(repeat('a', 5000), 'a', repeat('b', 5000))", "REGEXP_REPLACE would give a text of more than"),
        ("printf(repeat('%1$1000000d', 20), n)", "PRINTF would give a text of more than"),
        ("repeat(s, 300000000)", "REPEAT would give a text of more than"),
    ] {
        check_error(expression, want);
    }
    // a constant is a column of itself
    let sql = "SELECT concat(chr(value), repeat('x', 300000)) FROM generate_series(1, 8192)";
    let error = run("UTC", sql).unwrap_err();
    assert!(error.contains("larger than 2 GiB"), "{error}");
}

/// Each of these took minutes while names were compared with all others.
#[test]
fn one_record_of_many_names_is_read_in_one_go() {
    const NAMES: usize = 100_000;
    let names: Vec<String> = (0..NAMES).map(|name| format!("k{name}")).collect();
    let backwards: Vec<&str> = names.iter().rev().map(String::as_str).collect();
    let map = |names: &str| format!("map_from_arrays(split('{names}', ','), split('{names}', ','))");
    let (one, other) = (map(&names.join(",")), map(&backwards.join(",")));
    let pairs = format!("str_to_map('{}=1,k1=last')", names.join("=1,"));
    let fields: Vec<String> = names.iter().map(|name| format!("\"{name}\":1")).collect();
    let path = |name: &str| {
        let document = format!("{{{},\"k1\":2,\"k99999\":3}}", fields.join(","));
        format!("json_value('{document}', '$.{name}', 'NULL', '', 'NULL', '', arrow_cast(NULL, 'Utf8'))")
    };
    check(
        "UTC",
        &[
            (&format!("cardinality({pairs})"), "100000"),
            (&format!("__item({pairs}, 'k1')"), "last"),
            (&format!("__item({pairs}, 'k99999')"), "1"),
            (&path("k1"), "2"),
            (&path("k99999"), "3"),
            (&path("k99998"), "1"),
            (&format!("cardinality({one})"), "100000"),
            (&format!("__equal({one}, {other})"), "TRUE"),
            (&format!("__equal({one}, map_union({other}, __map('k7', 'x')))"), "FALSE"),
        ],
    );
}

#[test]
fn substring_has_flinks_edges() {
    check(
        "UTC",
        &[
            ("substring('abcdef', 0, 2)", "ab"),
            ("substring('abcdef', -3, 2)", "de"),
            ("substring('abcdef', -3)", "def"),
            ("substring('abcdef', 2, -1)", "NULL"),
            ("substring('abcdef', 2, 0)", ""),
            ("substring('abcdef', 7, 1)", ""),
            ("substring('abcdef', -100, 102)", ""),
            ("substring('abcdef', 2, 100)", "bcdef"),
            ("substring('äöüß' FROM 2 FOR 2)", "öü"),
            ("substr('abcdef', n, 1)", "e"),
            ("substring('abcdef', 2, CAST(NULL AS INT))", "NULL"),
            ("substring('abcdef', 9223372036854775807, 9223372036854775807)", ""),
        ],
    );
}

#[test]
fn regular_expressions() {
    check(
        "UTC",
        &[
            ("regexp('device_7', 'device_[0-9]+')", "TRUE"),
            ("regexp_extract('temp=-3.25C', '(\\w+)=(-?[\\d.]+)', 2)", "-3.25"),
            ("regexp_extract('device_12 x', 'device_[0-9]+')", "device_12"),
            ("regexp_extract('code=1042', 'code=(E-)?(\\d+)', 2)", "1042"),
            ("regexp_extract('code=1042', 'code=(E-)?(\\d+)', 1)", "NULL"),
            ("regexp_extract('code=1042', 'code=(E-)?(\\d+)', 3)", "NULL"),
            ("regexp_extract('x', '(y)', 1)", "NULL"),
            ("regexp_replace('k1=v1&k2', '[0-9]+', '#')", "k#=v#&k#"),
            ("regexp_replace('temp=1', '(\\w)=', '$1:\\1')", "tem$1:\\11"),
            ("regexp_replace(s, '[0-9]', '')", "Pump-Station "),
        ],
    );
    check(
        "UTC",
        &[
            ("regexp(s, '^(?!ERROR)')", "TRUE"),
            ("regexp_replace(s, '(?<=t)a', '_')", "Pump-St_tion 7"),
            ("regexp_extract(s, '(')", "NULL"),
            ("regexp(s, '(')", "FALSE"),
            ("regexp_count(s, 't')", "2"),
            ("regexp_extract_all(s, '[tu](.)')", "[m, a, i]"),
            ("regexp_extract_all(s, 'x')", "NULL"),
            ("regexp_instr(s, 'S')", "6"),
            ("regexp_substr(s, '[0-9]+')", "7"),
        ],
    );
    check_error("regexp(s, '\\X')", "not supported");
}

#[test]
fn numbers_keep_their_types() {
    check(
        "UTC",
        &[
            ("round(x, 2)", "2.35"),
            ("round(2.5e0)", "3.0"),
            ("round(-959.4369e0, -1)", "-960.0"),
            ("round(1234, -2)", "1200"),
            ("round(CAST('2.345' AS DECIMAL(10, 3)), 2)", "2.35"),
            ("truncate(-667.0953e0, 1)", "-667.0"),
            ("truncate(-874897, -2)", "-874800"),
            ("abs(n)", "2"),
            ("sign(n)", "-1"),
            ("sign(-2.5e0)", "-1.0"),
            ("floor(-2.5e0)", "-3.0"),
            ("ceil(CAST('-2.5' AS DECIMAL(3, 1)))", "-2"),
            ("ceiling(b)", "7"),
            ("mod(-7, 2)", "-1"),
            ("mod(b, n)", "1"),
            ("sqrt(-1)", "NaN"),
            ("power(2, 10)", "1024.0"),
            ("log(2, 8)", "3.0"),
            ("log10(100)", "2.0"),
            ("ln(0)", "-Infinity"),
            ("greatest(1, b, 3)", "7"),
            ("greatest(1, CAST(NULL AS INT))", "NULL"),
            ("least('b', s, 'a')", "Pump-Station 7"),
            ("least(n, 0.5e0)", "-2.0"),
            ("pi()", "3.141592653589793"),
        ],
    );
    check_type("round(CAST('2.345' AS DECIMAL(10, 3)), 2)", &DataType::Decimal128(10, 2));
    check_type("floor(CAST('2.345' AS DECIMAL(10, 3)))", &DataType::Decimal128(10, 0));
    check_type("abs(n)", &DataType::Int32);
    check_error("mod(b, 0)", "division by zero");
    check_error("greatest(1, 'a')", "does not take");
    check_error("sqrt('a')", "write SQRT(number)");
}

#[test]
fn conditions_do_not_compute_the_other_branch() {
    check(
        "UTC",
        &[
            ("if(b = 0, 1 / (b - 7), 5)", "5"),
            ("ifnull(n, 3)", "-2"),
            ("ifnull(CAST(NULL AS INT), 3)", "3"),
            ("coalesce(NULL, n)", "-2"),
            ("nullif(b, 7)", "NULL"),
            ("if(CAST(NULL AS BOOLEAN), 'a', 'b')", "b"),
        ],
    );
    check_error("if(1, 2, 3)", "write IF(condition, then, else)");
}

#[test]
fn parts_of_time() {
    check(
        "UTC",
        &[
            ("year(ts)", "2024"),
            ("extract(DOY FROM ts)", "60"),
            ("dayofweek(ts)", "5"),
            ("week(DATE '2021-01-03')", "53"),
            ("extract(ISOYEAR FROM DATE '2021-01-03')", "2020"),
            ("extract(MILLISECOND FROM ts)", "999"),
            ("extract(EPOCH FROM ts)", "1709251199"),
            ("extract(CENTURY FROM ts)", "21"),
            ("hour(to_timestamp('1900-03-01 01:02:03'))", "-22"),
            ("dayofmonth(to_timestamp('1900-03-01 01:02:03'))", "2"),
            ("dayofmonth(DATE '1900-03-01')", "1"),
            ("quarter(ts)", "1"),
        ],
    );
    check("America/New_York", &[("hour(ltz)", "18"), ("extract(EPOCH FROM ltz)", "1709233199"), ("hour(ts)", "23")]);
    check_type("year(ts)", &DataType::Int64);
    check_type("extract(HOUR FROM ts)", &DataType::Int64);
    check_error("hour(DATE '2024-01-01')", "DATE");
    check_error("date_part('YEARR', ts)", "did you mean");
}

#[test]
fn arithmetic_of_time() {
    check(
        "UTC",
        &[
            ("timestampdiff('MONTH', to_timestamp('2024-10-31 13:00:00'), to_timestamp('2024-03-31 00:00:00'))", "-8"),
            ("timestampdiff('DAY', ts, to_timestamp('2024-03-01 12:00:00'))", "0"),
            (
                "timestampdiff('SECOND', to_timestamp('2024-01-01 00:00:00'), to_timestamp('1900-03-01 01:02:03'))",
                "387012619",
            ),
            ("timestampdiff('WEEK', DATE '2023-12-31', DATE '2024-03-10')", "10"),
            ("timestampadd('MONTH', -2, ts)", "2023-12-29 23:59:59.999"),
            ("timestampadd('YEAR', 1, ts)", "2025-02-28 23:59:59.999"),
            ("timestampadd('WEEK', 1, DATE '2024-02-29')", "2024-03-07"),
            ("floor_to('WEEK', ts)", "2024-02-25 00:00:00.000"),
            ("floor_to(ts, 'HOUR')", "2024-02-29 23:00:00.000"),
            ("ceil_to('MONTH', ts)", "2024-03-01 00:00:00.000"),
            ("ceil_to('DAY', ts)", "2024-03-01 00:00:00.000"),
            ("floor_to('QUARTER', DATE '2024-05-05')", "2024-04-01"),
        ],
    );
    check("America/New_York", &[("floor_to('DAY', ltz)", "2024-02-29 00:00:00.000")]);
    check("UTC", &[("timestampadd('SECOND', 1, DATE '2024-01-01')", "2024-01-01 00:00:01.000000")]);
    check_error("timestampadd('DAY', 9223372036854775807, ts)", "time stamp");
}

#[test]
fn text_of_time_and_back() {
    check(
        "UTC",
        &[
            ("date_format(ts, 'yyyy-MM-dd''T''HH:mm:ss.SSS')", "2024-02-29T23:59:59.999"),
            ("date_format('2024-02-29 10:00:00', 'HH')", "10"),
            ("to_timestamp('2024-02-30 1:02:03')", "2024-02-29 01:02:03.000"),
            ("to_timestamp('2024-02-29T01:02:03')", "NULL"),
            ("to_timestamp('29/02/2024 01:02', 'dd/MM/yyyy HH:mm')", "2024-02-29 01:02:00.000"),
            ("to_date('2024-02-29')", "2024-02-29"),
            ("to_date('29.02.2024', 'dd.MM.yyyy')", "2024-02-29"),
            ("to_date('x')", "NULL"),
            ("unix_timestamp('1970-01-01 12:00:00')", "43200"),
            ("unix_timestamp('2024-02-29', 'yyyy-MM-dd')", "1709164800"),
            ("unix_timestamp('bad')", "-9223372036854775808"),
            ("from_unixtime(1709251199)", "2024-02-29 23:59:59"),
            ("from_unixtime(-1, 'yyyy/MM/dd HH')", "1969/12/31 23"),
            ("to_timestamp_ltz(1709251199999, 3)", "2024-02-29 23:59:59.999"),
            ("to_timestamp_ltz(1709251199, 0)", "2024-02-29 23:59:59.000"),
            ("to_timestamp_ltz(9223372036854775807, 0)", "NULL"),
        ],
    );
    check(
        "America/New_York",
        &[
            ("date_format(ltz, 'yyyy-MM-dd HH:mm')", "2024-02-29 18:59"),
            ("from_unixtime(1709251199)", "2024-02-29 18:59:59"),
            ("unix_timestamp('2024-11-03 01:00:00')", "1730613600"),
            ("unix_timestamp('2024-03-10 02:30:00')", "1710055800"),
            ("to_timestamp_ltz(1709251199, 0)", "2024-02-29 18:59:59.000"),
        ],
    );
    check_error("date_format(ts, 'XXX')", "pattern letter");
    check("UTC", &[("to_timestamp_ltz(1500, 6)", "1970-01-01 00:00:00.001500")]);
    check_error("to_timestamp_ltz(1, 10)", "precision of 0 to 9");
    check_error("unix_timestamp()", "UNIX_TIMESTAMP");
}

const INT: &str = "CAST(NULL AS INT)";

#[test]
fn casts() {
    let cases = [
        ("' 1.5 '", INT, "1"),
        ("12345678900e0", INT, "2147483647"),
        ("300", "CAST(NULL AS TINYINT)", "44"),
        ("'yes'", "CAST(NULL AS BOOLEAN)", "TRUE"),
        ("'12'", "CAST(NULL AS DATE)", "0012-01-01"),
        ("123.456", "CAST(NULL AS DECIMAL(5, 1))", "123.5"),
        ("123456", "CAST(NULL AS DECIMAL(5, 1))", "NULL"),
        ("'2024-02-30 01:02:03.456789'", "CAST(NULL AS TIMESTAMP(3))", "2024-02-29 01:02:03.456"),
        ("ts", "CAST(NULL AS DATE)", "2024-02-29"),
        ("DATE '2024-02-29'", "CAST(NULL AS TIMESTAMP(3))", "2024-02-29 00:00:00.000"),
        ("NULL", INT, "NULL"),
    ];
    for (value, null, want) in cases {
        check("UTC", &[(&format!("flink_cast({value}, {null})"), want)]);
    }
    check(
        "UTC",
        &[
            ("flink_cast_string(ts)", "2024-02-29 23:59:59.999"),
            ("flink_cast_string(1e10)", "1.0E10"),
            ("flink_cast_string(b = 7)", "TRUE"),
            ("flink_try_cast('x', CAST(NULL AS INT))", "NULL"),
            ("flink_try_cast('2024-01-01T00:00:00', CAST(NULL AS TIMESTAMP(3)))", "NULL"),
        ],
    );
    check(
        "America/New_York",
        &[("flink_cast_string(ltz)", "2024-02-29 18:59:59.999"), ("flink_cast(ltz, CAST(NULL AS DATE))", "2024-02-29")],
    );
    check_error("flink_cast('x', CAST(NULL AS INT))", "\"x\" cannot be cast to INT");
    check_error("flink_cast(ts, CAST(NULL AS BIGINT))", "cannot be cast");
}

#[test]
fn wall_clock_and_instant_meet_in_the_session_zone() {
    let sql = "SELECT flink_cast(flink_cast(to_timestamp('2024-03-10 02:30:00'), max(ltz)), max(ts)) AS gap, \
        flink_cast(to_timestamp('2024-11-03 01:30:00'), max(ltz)) = to_timestamp_ltz(1730611800, 0) AS overlap FROM t";
    let rows = run("America/New_York", sql).unwrap();
    let text = |column: usize| text_at(rows[0].column(column), 0, &Zone::UTC).unwrap();
    assert_eq!(text(0).as_deref(), Some("2024-03-10 03:30:00.000"));
    assert_eq!(text(1).as_deref(), Some("TRUE"));
}

#[test]
fn aggregates_plan_through_sql() {
    let sql = "SELECT count(*), count(n), sum(n), avg(b), stddev(x), var_pop(x), min(s), last_value(b) FROM t";
    let rows = run("UTC", sql).unwrap();
    let types: Vec<DataType> = rows[0].columns().iter().map(|c| c.data_type().clone()).collect();
    let text: Vec<_> = rows[0].columns().iter().map(|c| text_at(c, 0, &Zone::UTC).unwrap()).collect();
    let text: Vec<_> = text.iter().map(|t| t.as_deref().unwrap_or("NULL")).collect();
    assert_eq!(text, ["2", "1", "-2", "7", "NULL", "0.0", "Pump-Station 7", "7"]);
    assert_eq!(types[2], DataType::Int32);
    assert_eq!(types[3], DataType::Int64);
}

#[test]
fn every_function_takes_nulls_and_a_column_of_no_rows() {
    for call in ["upper(s)", "substring(s, n, b)", "regexp_extract(s, s, b)", "date_format(ts, s)", "round(x, n)"] {
        let rows = run("UTC", &format!("SELECT {call} AS v FROM t WHERE s IS NULL")).unwrap();
        assert!(rows.iter().all(|batch| batch.column(0).null_count() == batch.num_rows()), "{call}");
        run("UTC", &format!("SELECT {call} AS v FROM t WHERE b > 1000")).unwrap();
    }
}

#[test]
fn names_are_flinks_and_unique() {
    let names = names();
    assert!(["SUM", "STDDEV", "SUBSTR", "COALESCE", "CEILING"].iter().all(|name| names.contains(name)));
    assert!(names.iter().all(|name| !name.contains("FLINK") && *name != "STRPOS"));
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(super::UNSUPPORTED.iter().all(|(name, _)| !names.contains(name)));
    assert!(reference().iter().all(|entry| entry.doc.ends_with('.')));
    assert!(super::check_time_zone("Mars/Base").is_err());
}

/// The page of all functions, from their entries.
fn reference_page() -> String {
    let mut page = String::from(
        "# Functions\n\nEvery function the engine has, with Flink's names, types and results. Generated from the entries in \
         `src/functions`; what is refused by name is in `UNSUPPORTED` of `src/functions/mod.rs`.\n",
    );
    let mut theme = "";
    for function in reference() {
        if function.theme != theme {
            theme = function.theme;
            page.push_str(&format!("\n## {theme}\n\n| usage | returns |\n|---|---|\n"));
        }
        let escaped = |text: &str| text.replace('|', "\\|");
        page.push_str(&format!("| `{}` | {} |\n", escaped(&function.usage), escaped(function.doc)));
    }
    page.push_str("\n## Refused by name\n\n| name | instead |\n|---|---|\n");
    for (name, hint) in super::UNSUPPORTED {
        page.push_str(&format!("| `{name}` | {} |\n", if hint.is_empty() { "not yet" } else { hint }));
    }
    page
}

#[test]
fn the_reference_is_fresh() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/functions.md");
    let page = reference_page();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/reference/functions.md is stale: UPDATE_EXPECT=1 cargo test --lib functions::tests::the_reference_is_fresh"
    );
}

#[test]
fn names_of_other_databases_lead_to_functions_that_exist() {
    for (foreign, flink) in FOREIGN {
        assert_eq!(usage(foreign), None, "{foreign} exists");
        let word =
            |text: &str| text.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("").to_owned();
        let called = flink.match_indices('(').map(|(at, _)| word(&flink[..at]));
        for name in called.filter(|name| {
            !["", "COUNT", "TABLE", "TUMBLE", "DESCRIPTOR", "EXTRACT", "CAST", "FILTER"].contains(&name.as_str())
        }) {
            assert!(usage(&name).is_some(), "{foreign}: {name} of \"{flink}\" does not exist");
        }
    }
}
