CREATE TABLE readings (device STRING, v INT, ok BOOLEAN, parts ARRAY<INT>, place ROW<site STRING, line INT>, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'readings', 'format' = 'json');
CREATE VIEW nested AS SELECT window_start, MAX(SUM(v))
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end;
SELECT window_start, SUM(device)
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end;
