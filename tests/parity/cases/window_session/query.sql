SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE readings (
  device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, site STRING, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/readings.jsonl', 'format' = 'json');
CREATE TABLE o (
  k STRING, device STRING, ws TIMESTAMP(3), we TIMESTAMP(3), wt TIMESTAMP(3), c BIGINT, s INT, a DOUBLE
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT 'keyed', device, window_start, window_end, window_time, COUNT(*), SUM(n), AVG(v)
FROM TABLE(SESSION(TABLE readings PARTITION BY device, DESCRIPTOR(ts), INTERVAL '3' SECOND))
GROUP BY device, window_start, window_end, window_time;
INSERT INTO o
SELECT 'all', 'x', window_start, window_end, window_time, COUNT(*), SUM(n), AVG(v)
FROM TABLE(SESSION(TABLE readings, DESCRIPTOR(ts), INTERVAL '0.9' SECOND))
GROUP BY window_start, window_end, window_time;
INSERT INTO o
SELECT 'named', device, window_start, window_end, window_time, COUNT(*), SUM(n), AVG(v)
FROM TABLE(SESSION(DATA => TABLE readings PARTITION BY (device), TIMECOL => DESCRIPTOR(ts), GAP => INTERVAL '5' SECOND))
WHERE n > 20 GROUP BY device, window_start, window_end, window_time HAVING COUNT(*) > 1;
INSERT INTO o
SELECT 'group', device, SESSION_START(ts, INTERVAL '4' SECOND), SESSION_END(ts, INTERVAL '4' SECOND),
  CAST(SESSION_ROWTIME(ts, INTERVAL '4' SECOND) AS TIMESTAMP(3)), COUNT(*), SUM(n), AVG(v)
FROM readings GROUP BY SESSION(ts, INTERVAL '4' SECOND), device;
