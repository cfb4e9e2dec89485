CREATE TABLE r (id INT, name STRING, v DOUBLE, ok BOOLEAN, arr ARRAY<INT>, m MAP<STRING, INT>, rw ROW<x INT, y STRING>, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'r', 'format' = 'json');
CREATE VIEW v1 AS SELECT UNNEST(arr) FROM r;
CREATE VIEW v2 AS SELECT id FROM r WHERE UNNEST(r.arr) = 1;
SELECT id FROM r;
