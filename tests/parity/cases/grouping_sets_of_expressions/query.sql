SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE readings (
  device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, site STRING, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/readings.jsonl', 'format' = 'json');
CREATE TABLE o (
  k STRING, ws TIMESTAMP(3), a STRING, b STRING, c BIGINT, g BIGINT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT 'rollup', window_start, CAST(n / 25 AS STRING), CAST(MOD(n, 3) AS STRING), COUNT(*), GROUPING_ID(n / 25, MOD(n, 3))
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, ROLLUP (n / 25, MOD(n, 3));
INSERT INTO o
SELECT 'cube', window_start, UPPER(device) || '!', CAST(n + 7 AS STRING), COUNT(v), GROUPING(n + 7)
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, CUBE (UPPER(device), n + 7);
INSERT INTO o
SELECT 'sets', window_start, CASE WHEN n > 50 THEN 'high' ELSE 'low' END, SUBSTRING(site, 1, 2), COUNT(DISTINCT n), GROUPING(SUBSTRING(site, 1, 2))
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))
GROUP BY window_start, window_end, GROUPING SETS ((CASE WHEN n > 50 THEN 'high' ELSE 'low' END), (SUBSTRING(site, 1, 2)), ());
INSERT INTO o
SELECT 'having', window_start, CAST(n / 25 AS STRING), device, COUNT(*), SUM(n)
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, ROLLUP (device, n / 25) HAVING n / 25 IS NOT NULL AND SUM(n) > 30;
