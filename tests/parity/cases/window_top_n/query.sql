SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE readings (
  device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, site STRING, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/readings.jsonl', 'format' = 'json');
CREATE TABLE o (
  k STRING, device STRING, site STRING, ws TIMESTAMP(3), we TIMESTAMP(3), n INT, v DOUBLE, rn BIGINT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT 'desc', device, site, window_start, window_end, n, v, rn FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY v DESC) AS rn
  FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))
) WHERE rn <= 3;
INSERT INTO o
SELECT 'asc', device, site, window_start, window_end, n, v, rn FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, device ORDER BY v, n) AS rn
  FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))
) WHERE rn < 3 AND n > 10;
INSERT INTO o
SELECT 'range', device, site, window_start, window_end, n, v, rn FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_end, window_start, site ORDER BY site, n DESC) AS rn
  FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))
) WHERE rn >= 2 AND rn <= 3;
INSERT INTO o
SELECT 'hop', device, site, window_start, window_end, n, v, rn FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY device, window_start, window_end ORDER BY v DESC, n) AS rn
  FROM TABLE(HOP(TABLE readings, DESCRIPTOR(ts), INTERVAL '4' SECOND, INTERVAL '12' SECOND))
) WHERE rn = 1;
INSERT INTO o
SELECT 'cumulate', device, site, window_start, window_end, n, v, rn FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY v DESC, n DESC) AS rn
  FROM TABLE(CUMULATE(TABLE readings, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '15' SECOND))
) WHERE rn <= 2;
INSERT INTO o
SELECT 'nulls', device, site, window_start, window_end, n, v, rn FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY v DESC NULLS FIRST, n) AS rn
  FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))
) WHERE rn <= 2;
INSERT INTO o
SELECT 'first', device, site, window_start, window_end, n, v, rn FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, device ORDER BY ts ASC) AS rn
  FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))
) WHERE rn = 1;
INSERT INTO o
SELECT 'last', device, site, window_start, window_end, n, v, rn FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, device ORDER BY ts DESC) AS rn
  FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))
) WHERE rn = 1;
INSERT INTO o
SELECT 'upper', device, CAST(NULL AS STRING), window_start, window_end, CAST(c AS INT), a, rn FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY c DESC, device) AS rn FROM (
    SELECT device, window_start, window_end, COUNT(*) AS c, AVG(v) AS a FROM TABLE(HOP(TABLE readings, DESCRIPTOR(ts), INTERVAL '4' SECOND, INTERVAL '12' SECOND)) GROUP BY device, window_start, window_end)
) WHERE rn <= 2;
INSERT INTO o
SELECT 'again', 'x', CAST(NULL AS STRING), window_start, window_end, CAST(COUNT(*) AS INT), SUM(v), MAX(rn) FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, device ORDER BY n) AS rn
  FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))
) WHERE rn <= 2 GROUP BY window_start, window_end;
