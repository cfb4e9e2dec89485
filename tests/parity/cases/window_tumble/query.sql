SET 'table.local-time-zone' = 'UTC';
CREATE TABLE readings (
  device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, WATERMARK FOR ts AS ts - INTERVAL '4' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/readings.jsonl', 'format' = 'json');
CREATE TABLE o (
  device STRING, ws TIMESTAMP(3), we TIMESTAMP(3), wt TIMESTAMP(3), c BIGINT, cv BIGINT, sn INT, av DOUBLE, lo DOUBLE, hi DOUBLE, sd DOUBLE
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT device, window_start, window_end, window_time, COUNT(*) AS c, COUNT(v) AS cv, SUM(n) AS sn, AVG(v) AS av, MIN(v) AS lo, MAX(v) AS hi, STDDEV_POP(v) AS sd
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '7' SECOND))
GROUP BY device, window_start, window_end, window_time;
