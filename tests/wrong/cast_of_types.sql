CREATE TABLE readings (device STRING, v INT, ok BOOLEAN, parts ARRAY<INT>, place ROW<site STRING, line INT>, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'readings', 'format' = 'json');
SELECT CAST(ok AS DATE),
  CAST(parts AS INT)
FROM readings;
