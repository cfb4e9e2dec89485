SET 'table.local-time-zone' = 'UTC';
CREATE TABLE src (
  i TINYINT, n INT, l BIGINT, f FLOAT, x DOUBLE, d DECIMAL(10, 3), ts TIMESTAMP(3), tz TIMESTAMP_LTZ(3), s STRING, a ARRAY<INT>, m MAP<STRING, INT>, r ROW<p INT, q STRING>
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/src.jsonl', 'format' = 'json');
CREATE TABLE o (
  a BIGINT, b DOUBLE, c DECIMAL(4, 1), e DECIMAL(3, 0), g DECIMAL(12, 2), h FLOAT, j DATE, t TIMESTAMP(3), z TIMESTAMP_LTZ(3), v VARCHAR(4), w ARRAY<BIGINT>, y MAP<STRING, BIGINT>, u ROW<first_one BIGINT, second_one STRING>
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o SELECT i, f, d, x, n, l, ts, tz, ts, s, a, m, r FROM src;
SET 'table.exec.sink.not-null-enforcer' = 'DROP';
CREATE TABLE p (s STRING NOT NULL, n BIGINT NOT NULL, x DOUBLE) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/p', 'format' = 'json');
INSERT INTO p SELECT s, n, d FROM src;
INSERT INTO p SELECT s, l, f FROM src WHERE n > 0;
