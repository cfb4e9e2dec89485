CREATE TABLE readings (device STRING, v INT, ok BOOLEAN, parts ARRAY<INT>, place ROW<site STRING, line INT>, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'readings', 'format' = 'json');
SELECT device,
  LAG(v) OVER (PARTITION BY device ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before
FROM readings;
