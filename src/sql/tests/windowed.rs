//! Plans of what is done with the rows of windows: Top-N, joins, sessions, grouping sets, and rows as they are.

use super::{READ, check, plan, refused};

const MINUTES: &str = "TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' MINUTE))";

#[test]
fn rows_of_windows_as_they_are() {
    check(
        &format!("SELECT n, window_end FROM {MINUTES} WHERE v > 2;"),
        &format!(
            "
        Sink result
          Calc [n, window_end]
            WindowAssign TUMBLE($1, 60000 ms)
              Calc [n, ts] where=[v > 2e0]
                {READ}"
        ),
    );
}

#[test]
fn a_filter_on_the_number_of_a_window_is_a_top_n() {
    check(
        &format!(
            "SELECT site, v, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, site ORDER BY v DESC, n) AS rn
             FROM {MINUTES}) WHERE rn <= 3 AND n > 5;"
        ),
        &format!(
            "
        Sink result
          Calc [site, v, row_number] where=[n > 5]
            WindowRank end=$5 keys=[site] order=[v DESC, n] rows=[1, 3]
              WindowAssign TUMBLE($3, 60000 ms)
                Calc [site, v, n, ts]
                  {READ}"
        ),
    );
}

#[test]
fn one_row_in_the_order_of_time_is_a_deduplication() {
    let query = |order: &str, condition: &str| {
        format!(
            "SELECT device_id FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, device_id ORDER BY {order}) AS rn
             FROM {MINUTES}) WHERE {condition};"
        )
    };
    for (order, condition, shown) in [
        ("ts DESC", "rn = 1", "order=[ts DESC] rows=[1, 1] latest first"),
        ("ts", "1 >= rn", "order=[ts] rows=[1, 1]"),
        // a Top-N: of rows of the same time the one that came first stands first
        ("ts DESC", "rn < 3", "order=[ts DESC] rows=[1, 2]"),
        ("v DESC", "rn = 1", "order=[v DESC] rows=[1, 1]"),
        ("v DESC NULLS FIRST", "rn BETWEEN 2 AND 4", "order=[v DESC NULLS FIRST] rows=[2, 4]"),
    ] {
        let text = plan(&query(order, condition)).unwrap().jobs[0].plan.explain_places();
        let line = text.lines().find(|line| line.contains("WindowRank")).unwrap();
        assert!(line.ends_with(shown), "{order}, {condition}: {line}");
    }
}

#[test]
fn the_first_rows_in_time_are_numbered_as_they_pass() {
    check(
        "SELECT n FROM readings QUALIFY ROW_NUMBER() OVER (PARTITION BY site ORDER BY ts) = 1;",
        &format!(
            "
        Sink result
          Calc [n] where=[ROW_NUMBER() = 1]
            OverAggregate keys=[site] order=$4 frame=ROWS UNBOUNDED calls=[ROW_NUMBER()] first row only
              {READ}"
        ),
    );
}

#[test]
fn an_aggregate_over_the_windows_of_a_top_n() {
    check(
        &format!(
            "SELECT window_start, SUM(n) FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY v) AS rn
             FROM {MINUTES}) WHERE rn <= 3 GROUP BY window_start, window_end;"
        ),
        &format!(
            "
        Sink result
          Calc [window_start, SUM(n)]
            WindowAggregate WINDOW($4, end $4) keys=[window_start] output=[window_start, window_end, SUM(n)]
              WindowRank end=$4 keys=[] order=[v] rows=[1, 3]
                WindowAssign TUMBLE($2, 60000 ms)
                  Calc [v, n, ts]
                    {READ}"
        ),
    );
}

#[test]
fn a_join_is_one_stream_of_both_sides() {
    let side = |columns: &str| format!("(SELECT {columns} FROM {MINUTES})");
    check(
        &format!(
            "SELECT a.v, b.n FROM {} a LEFT JOIN {} b
             ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.device_id = b.device_id AND a.v < b.v;",
            side("device_id, v, window_start, window_end"),
            side("device_id, v, n, window_start, window_end"),
        ),
        &format!(
            "
        Sink result
          Calc [$0, n]
            WindowJoin Left keys=1 left=1 on=[$0 < $1]
              Union
                Calc [TRUE, window_start, window_end, ts, device_id, v, NULL, NULL]
                  WindowAssign TUMBLE($2, 60000 ms)
                    Calc [device_id, v, ts]
                      #0 {READ}
                Calc [FALSE, window_start, window_end, ts, device_id, NULL, v, n]
                  WindowAssign TUMBLE($3, 60000 ms)
                    Calc [device_id, v, n, ts]
                      #0 (as above)"
        ),
    );
}

#[test]
fn subqueries_in_windows_are_joins() {
    let rows = format!("(SELECT * FROM {MINUTES})");
    let same = "a.window_start = b.window_start AND a.window_end = b.window_end";
    for (condition, shown) in [
        (format!("n IN (SELECT n FROM {rows} b WHERE {same})"), "WindowJoin Semi keys=1 left=1"),
        (format!("EXISTS (SELECT * FROM {rows} b WHERE {same} AND a.site = b.site)"), "WindowJoin Semi keys=1 left=1"),
        (
            format!("NOT EXISTS (SELECT * FROM {rows} b WHERE {same} AND a.v > b.v)"),
            "WindowJoin Anti keys=0 left=2 on=[$0 > $2]",
        ),
        // a NULL on either side rules the row out
        (format!("n NOT IN (SELECT n FROM {rows} b WHERE {same})"), "WindowJoin Anti keys=0 left=1 on=["),
    ] {
        let text = plan(&format!("SELECT a.n FROM {rows} a WHERE {condition};")).unwrap().jobs[0].plan.explain_places();
        assert!(text.contains(shown), "{condition}\n{text}");
    }
    let comma = format!("SELECT a.n FROM {rows} a, {rows} b WHERE {same} AND a.n = b.n;");
    assert!(plan(&comma).unwrap().jobs[0].plan.explain_places().contains("WindowJoin Inner keys=1"));
}

#[test]
fn sessions_in_both_forms() {
    check(
        "SELECT device_id, window_start, COUNT(*) FROM TABLE(SESSION(TABLE readings PARTITION BY device_id, DESCRIPTOR(ts), INTERVAL '5' SECOND))
         GROUP BY device_id, window_start, window_end;",
        &format!(
            "
        Sink result
          Calc [device_id, window_start, COUNT(*)]
            WindowAggregate SESSION($4, gap 5000 ms) keys=[device_id] output=[device_id, window_start, window_end, COUNT(*)]
              {READ}"
        ),
    );
    check(
        "SELECT SESSION_END(ts, INTERVAL '5' SECOND), COUNT(*) FROM readings GROUP BY UPPER(site), SESSION(ts, INTERVAL '5' SECOND);",
        &format!(
            "
        Sink result
          Calc [end of window, COUNT(*)]
            WindowAggregate SESSION($4, gap 5000 ms) keys=[UPPER(site)] output=[UPPER(site), window_start, window_end, window_time, COUNT(*)]
              {READ}"
        ),
    );
}

#[test]
fn rows_go_once_into_each_grouping_set() {
    check(
        &format!(
            "SELECT site, n, COUNT(*), GROUPING(n) FROM {MINUTES}
             GROUP BY window_start, window_end, GROUPING SETS ((site, n), (site));"
        ),
        &format!(
            "
        Sink result
          Calc [site, n, COUNT(*), $grouping3]
            WindowAggregate TUMBLE($4, 60000 ms) keys=[$key0, $key1, $set, $grouping3] output=[window_start, window_end, $key0, $key1, $set, COUNT(*), $grouping3]
              Union
                Calc [device_id, site, v, n, ts, part, off, upper_site, site, n, 0, 0]
                  #0 {READ}
                Calc [device_id, site, v, n, ts, part, off, upper_site, site, NULL, 1, 1]
                  #0 (as above)"
        ),
    );
}

#[test]
fn one_bound_is_enough_where_it_tells_the_windows_apart() {
    let query = |bound: &str| format!("SELECT {bound}, COUNT(*) FROM {MINUTES} GROUP BY {bound};");
    for bound in ["window_start", "window_end", "window_time"] {
        let text = plan(&query(bound)).unwrap().jobs[0].plan.explain_places();
        assert!(text.contains(&format!("keys=[] output=[{bound}, COUNT(*)]")), "{text}");
    }
}

#[test]
fn rows_in_the_order_of_their_time() {
    check(
        "SELECT n FROM readings WHERE v > 1 ORDER BY ts, site DESC;",
        &format!(
            "
        Sink result
          Calc [n]
            Sort time=$3 order=[$order1 DESC]
              Calc [n, ts, site, ts, site] where=[v > 1e0]
                {READ}"
        ),
    );
}

#[test]
fn rows_in_the_order_of_their_time_alone() {
    let text = plan("SELECT n FROM readings ORDER BY ts;").unwrap().jobs[0].plan.explain_places();
    assert!(text.contains("Sort time=$2 order=[]"), "{text}");
}

/// What is said of a group window is said once: its start in SELECT is no mistake of its own.
#[test]
fn a_group_window_that_is_refused_is_refused_once() {
    let start = "TUMBLE_START(ts, INTERVAL '1' MINUTE)";
    let window = "TUMBLE(ts, INTERVAL '1' MINUTE)";
    for (rest, message) in [
        (format!("FROM readings GROUP BY {window}, CUBE (site)"), "does not go with GROUPING SETS"),
        (format!("FROM readings GROUP BY {window}, HOP(ts, INTERVAL '1' MINUTE, INTERVAL '2' MINUTE)"), "two windows"),
        (
            "FROM readings GROUP BY TUMBLE(ts + INTERVAL '1' DAY, INTERVAL '1' MINUTE)".to_owned(),
            "first argument of TUMBLE",
        ),
        (format!("FROM readings AS r JOIN pairs ON r.site = pairs.x GROUP BY {window}"), "one table to read from"),
    ] {
        refused(&format!("SELECT {start}, COUNT(*) {rest}"), message, "");
    }
}
