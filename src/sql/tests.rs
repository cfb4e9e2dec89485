use super::*;

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
) WITH ('connector' = 'kafka', 'topic' = 'r', 'scan.watermark.idle-timeout' = '10 s');
CREATE TABLE out (device_id STRING, x DOUBLE) WITH ('connector' = 'print');
CREATE TABLE windows (device_id STRING, s TIMESTAMP(3), e TIMESTAMP(3), c BIGINT, a DOUBLE) WITH ('connector' = 'print');
";

fn plan(script: &str) -> Result<Script> {
    plan_script(&format!("{SOURCE}{script}"), &|_| None)
}

#[test]
fn first() {
    for q in [
        "INSERT INTO out SELECT device_id, v * 2 FROM readings WHERE v > 2.5 AND site = 'a';",
        "INSERT INTO windows SELECT device_id, window_start, window_end, COUNT(*), AVG(v) FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY device_id, window_start, window_end;",
        "INSERT INTO out SELECT device_id, ABS(v - AVG(v) OVER w) FROM readings WINDOW w AS (PARTITION BY device_id ORDER BY ts ROWS BETWEEN 99 PRECEDING AND CURRENT ROW);",
        "SELECT device_id, v, n + 1, 2 FROM readings;",
        "SELECT temprature FROM readings;",
    ] {
        match plan(q) {
            Ok(s) => for j in &s.jobs { println!("{}\n{}", j.logical, j.plan.explain()); },
            Err(e) => println!("{}", e.render(Some(("q.sql", &format!("{SOURCE}{q}"))), false)),
        }
    }
    panic!();
}
