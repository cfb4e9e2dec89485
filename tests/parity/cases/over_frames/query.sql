SET 'table.local-time-zone' = 'UTC';
CREATE TABLE readings (
  device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, WATERMARK FOR ts AS ts - INTERVAL '4' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/readings.jsonl', 'format' = 'json');
CREATE TABLE o (
  k STRING, device STRING, ts TIMESTAMP(3), n INT, c BIGINT, s INT, a DOUBLE
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT 'rows9', device, ts, n, COUNT(v) OVER w, SUM(n) OVER w, AVG(v) OVER w FROM readings
WINDOW w AS (PARTITION BY device ORDER BY ts ROWS BETWEEN 9 PRECEDING AND CURRENT ROW);
INSERT INTO o
SELECT 'rows', device, ts, n, COUNT(v) OVER w, SUM(n) OVER w, AVG(v) OVER w FROM readings
WINDOW w AS (PARTITION BY device ORDER BY ts ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW);
INSERT INTO o
SELECT 'range10', device, ts, n, COUNT(v) OVER w, SUM(n) OVER w, AVG(v) OVER w FROM readings
WINDOW w AS (PARTITION BY device ORDER BY ts RANGE BETWEEN INTERVAL '10' SECOND PRECEDING AND CURRENT ROW);
INSERT INTO o
SELECT 'range', device, ts, n, COUNT(v) OVER w, SUM(n) OVER w, AVG(v) OVER w FROM readings
WINDOW w AS (PARTITION BY device ORDER BY ts RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW);
