CREATE TABLE r (id INT, name STRING, v DOUBLE, ok BOOLEAN, arr ARRAY<INT>, m MAP<STRING, INT>, rw ROW<x INT, y STRING>, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'r', 'format' = 'json');
SELECT CAST(arr AS MAP<STRING, INT>), CAST(id AS ARRAY<INT>), TRY_CAST(arr AS MAP<STRING, INT>),
  CAST(rw AS ROW<a ROW<b INT>, c STRING>), CAST(name AS ARRAY<INT>) FROM r;
