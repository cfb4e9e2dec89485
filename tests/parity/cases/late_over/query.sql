SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE readings (
  device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/readings.jsonl', 'format' = 'json');
CREATE TABLE o (
  k STRING, device STRING, ts TIMESTAMP(3), n INT, c BIGINT, s INT, a DOUBLE
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT 'rows2', device, ts, n, COUNT(v) OVER w, SUM(n) OVER w, AVG(v) OVER w FROM readings
WINDOW w AS (PARTITION BY device ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW);
INSERT INTO o
SELECT 'range6', device, ts, n, COUNT(v) OVER w, SUM(n) OVER w, AVG(v) OVER w FROM readings
WINDOW w AS (PARTITION BY device ORDER BY ts RANGE BETWEEN INTERVAL '6' SECOND PRECEDING AND CURRENT ROW);
INSERT INTO o
SELECT 'range', device, ts, n, COUNT(v) OVER w, SUM(n) OVER w, AVG(v) OVER w FROM readings
WINDOW w AS (PARTITION BY device ORDER BY ts RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW);
