CREATE TABLE r (id INT, name STRING, v DOUBLE, ok BOOLEAN, arr ARRAY<INT>, m MAP<STRING, INT>, rw ROW<x INT, y STRING>, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'r', 'format' = 'json');
SELECT ROW(1, NULL), NULL AS nothing FROM r;
