SET 'table.local-time-zone' = 'UTC';
CREATE TABLE readings (
  device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, WATERMARK FOR ts AS ts - INTERVAL '4' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/readings.jsonl', 'format' = 'json');
CREATE TABLE o (
  ws TIMESTAMP(3), devices BIGINT, most BIGINT, total INT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
CREATE TEMPORARY VIEW per_device AS
SELECT device, window_time AS wt, COUNT(*) AS c, SUM(n) AS s
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '5' SECOND))
GROUP BY device, window_start, window_end, window_time;
INSERT INTO o
SELECT window_start, COUNT(*), MAX(c), SUM(s)
FROM TABLE(TUMBLE(TABLE per_device, DESCRIPTOR(wt), INTERVAL '20' SECOND))
GROUP BY window_start, window_end;
