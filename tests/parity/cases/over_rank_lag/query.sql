SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE readings (
  device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, site STRING, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/readings.jsonl', 'format' = 'json');
CREATE TABLE o (
  k STRING, device STRING, ts TIMESTAMP(3), n INT, x INT, y STRING, z DOUBLE, r BIGINT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT 'lag', device, ts, n, LAG(n, 2, -1) OVER w, LAG(site, 2) OVER w, LAG(v, 1) OVER w, CAST(NULL AS BIGINT)
FROM readings WINDOW w AS (PARTITION BY device ORDER BY ts);
INSERT INTO o
SELECT 'lag0', device, ts, n, LAG(n, 3, n) OVER w, LAG(site) OVER w, LAG(v, 5) OVER w, COUNT(*) OVER w
FROM readings WINDOW w AS (PARTITION BY site ORDER BY ts);
INSERT INTO o
SELECT 'number', device, ts, n, CAST(NULL AS INT), CAST(NULL AS STRING), CAST(NULL AS DOUBLE), ROW_NUMBER() OVER (PARTITION BY device ORDER BY ts)
FROM readings;
INSERT INTO o
SELECT 'rank', device, ts, n, CAST(NULL AS INT), CAST(NULL AS STRING), CAST(NULL AS DOUBLE), RANK() OVER (PARTITION BY device ORDER BY ts)
FROM readings;
INSERT INTO o
SELECT 'dense', device, ts, n, CAST(NULL AS INT), CAST(NULL AS STRING), CAST(NULL AS DOUBLE), DENSE_RANK() OVER (PARTITION BY site ORDER BY ts)
FROM readings;
INSERT INTO o
SELECT 'picks', device, ts, n, FIRST_VALUE(n) OVER w, LAST_VALUE(site) OVER w, FIRST_VALUE(v) OVER w, COUNT(DISTINCT site) OVER w
FROM readings WINDOW w AS (PARTITION BY device ORDER BY ts ROWS BETWEEN 3 PRECEDING AND CURRENT ROW);
INSERT INTO o
SELECT 'first', device, ts, n, CAST(NULL AS INT), site, CAST(NULL AS DOUBLE), CAST(NULL AS BIGINT)
FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY device, site ORDER BY ts) AS rn FROM readings) WHERE rn = 1;
