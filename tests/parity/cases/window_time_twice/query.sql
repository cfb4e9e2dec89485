SET 'table.local-time-zone' = 'UTC';
CREATE TABLE readings (
  device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, WATERMARK FOR ts AS ts - INTERVAL '4' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/readings.jsonl', 'format' = 'json');
CREATE TABLE o (
  k STRING, s TIMESTAMP(3), e TIMESTAMP(3), c BIGINT, total DOUBLE
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
CREATE VIEW small AS
SELECT device, window_start, window_end, window_time, SUM(v) AS total
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '2' SECOND))
GROUP BY device, window_start, window_end, window_time;
CREATE VIEW times AS SELECT window_time, total FROM small;
INSERT INTO o
SELECT 'function', window_start, window_end, COUNT(*), SUM(total)
FROM TABLE(TUMBLE(TABLE times, DESCRIPTOR(window_time), INTERVAL '10' SECOND))
GROUP BY window_start, window_end;
INSERT INTO o
SELECT 'group', TUMBLE_START(window_time, INTERVAL '10' SECOND), TUMBLE_END(window_time, INTERVAL '10' SECOND), COUNT(*), SUM(total)
FROM small
GROUP BY TUMBLE(window_time, INTERVAL '10' SECOND);
INSERT INTO o
SELECT device, MIN(window_start), TUMBLE_END(window_time, INTERVAL '10' SECOND), COUNT(DISTINCT window_end), MAX(total)
FROM small
GROUP BY device, TUMBLE(window_time, INTERVAL '10' SECOND);
