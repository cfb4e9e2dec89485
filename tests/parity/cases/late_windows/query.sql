SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE readings (
  device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/readings.jsonl', 'format' = 'json');
CREATE TABLE o (
  k STRING, device STRING, ws TIMESTAMP(3), we TIMESTAMP(3), wt TIMESTAMP(3), c BIGINT, cv BIGINT, sn INT, av DOUBLE, lo DOUBLE, hi DOUBLE, sd DOUBLE
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT 'tumble', device, window_start, window_end, window_time, COUNT(*) AS c, COUNT(v) AS cv, SUM(n) AS sn, AVG(v) AS av, MIN(v) AS lo, MAX(v) AS hi, STDDEV_POP(v) AS sd
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '5' SECOND))
GROUP BY device, window_start, window_end, window_time;
INSERT INTO o
SELECT 'hop', device, window_start, window_end, window_time, COUNT(*) AS c, COUNT(v) AS cv, SUM(n) AS sn, AVG(v) AS av, MIN(v) AS lo, MAX(v) AS hi, STDDEV_POP(v) AS sd
FROM TABLE(HOP(TABLE readings, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '15' SECOND))
GROUP BY device, window_start, window_end, window_time;
INSERT INTO o
SELECT 'cumulate', device, window_start, window_end, window_time, COUNT(*) AS c, COUNT(v) AS cv, SUM(n) AS sn, AVG(v) AS av, MIN(v) AS lo, MAX(v) AS hi, STDDEV_POP(v) AS sd
FROM TABLE(CUMULATE(TABLE readings, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '20' SECOND))
GROUP BY device, window_start, window_end, window_time;
