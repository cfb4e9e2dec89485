SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE r (
  seq INT, k STRING, ts TIMESTAMP(3), v INT, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/r.jsonl', 'format' = 'json');
CREATE TABLE o (
  f STRING, seq INT, k STRING, s INT, c BIGINT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT 'rows 3', seq, k, SUM(v) OVER w, COUNT(*) OVER w FROM r
WINDOW w AS (PARTITION BY k ORDER BY ts ROWS BETWEEN 3 PRECEDING AND CURRENT ROW);
INSERT INTO o
SELECT 'range 5', seq, k, SUM(v) OVER w, COUNT(*) OVER w FROM r
WINDOW w AS (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '5' SECOND PRECEDING AND CURRENT ROW);
INSERT INTO o
SELECT 'rows', seq, k, SUM(v) OVER w, COUNT(*) OVER w FROM r
WINDOW w AS (PARTITION BY k ORDER BY ts ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW);
INSERT INTO o
SELECT 'range', seq, k, SUM(v) OVER w, COUNT(*) OVER w FROM r
WINDOW w AS (PARTITION BY k ORDER BY ts RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW);
INSERT INTO o
SELECT 'lag', seq, k, LAG(v) OVER w, CAST(0 AS BIGINT) FROM r WINDOW w AS (PARTITION BY k ORDER BY ts);
INSERT INTO o
SELECT 'time', seq, k, v, CAST(0 AS BIGINT) FROM r ORDER BY ts;
