CREATE TABLE readings (device STRING, v INT, ok BOOLEAN, parts ARRAY<INT>, place ROW<site STRING, line INT>, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'readings', 'format' = 'json');
WITH c AS (SELECT device AS a, v AS a FROM readings) SELECT * FROM c;
