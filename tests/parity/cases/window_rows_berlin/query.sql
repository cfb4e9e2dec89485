SET 'table.local-time-zone' = 'Europe/Berlin';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE readings (
  device STRING, ms BIGINT, n INT, ts AS TO_TIMESTAMP_LTZ(ms, 3), WATERMARK FOR ts AS ts - INTERVAL '1' MINUTE
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/readings.jsonl', 'format' = 'json');
CREATE TABLE o (
  k STRING, n INT, t TIMESTAMP_LTZ(3), ws TIMESTAMP(3), we TIMESTAMP(3), wt TIMESTAMP_LTZ(3), wm TIMESTAMP_LTZ(3)
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT 'day', n, CAST(ts AS TIMESTAMP_LTZ(3)), window_start, window_end, CAST(window_time AS TIMESTAMP_LTZ(3)), CURRENT_WATERMARK(ts)
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' DAY));
INSERT INTO o
SELECT 'hop', n, CAST(ts AS TIMESTAMP_LTZ(3)), window_start, window_end, CAST(window_time AS TIMESTAMP_LTZ(3)), CAST(NULL AS TIMESTAMP_LTZ(3))
FROM TABLE(HOP(TABLE readings, DESCRIPTOR(ts), INTERVAL '2' HOUR, INTERVAL '6' HOUR)) WHERE MOD(n, 3) = 0;
INSERT INTO o
SELECT 'last', n, CAST(ts AS TIMESTAMP_LTZ(3)), window_start, window_end, CAST(window_time AS TIMESTAMP_LTZ(3)), CAST(NULL AS TIMESTAMP_LTZ(3))
FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY ts DESC) AS rn
  FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '6' HOUR))) WHERE rn = 1;
INSERT INTO o
SELECT 'session', CAST(COUNT(*) AS INT), CAST(NULL AS TIMESTAMP_LTZ(3)), window_start, window_end, CAST(window_time AS TIMESTAMP_LTZ(3)), CAST(NULL AS TIMESTAMP_LTZ(3))
FROM TABLE(SESSION(TABLE readings PARTITION BY device, DESCRIPTOR(ts), INTERVAL '30' MINUTE)) GROUP BY device, window_start, window_end, window_time;
