SET 'table.local-time-zone' = 'UTC';
CREATE TABLE t (
  i BIGINT, s STRING, b BOOLEAN, x DOUBLE, d DECIMAL(8, 3), ts TIMESTAMP(3), y BYTES, dt DATE, tm TIME
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/t.jsonl', 'format' = 'json');
CREATE TABLE o (
  i BIGINT, s STRING, b BOOLEAN, x DOUBLE, d DECIMAL(8, 3), ts TIMESTAMP(3), y BYTES, dt DATE, tm TIME
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT * FROM t;
