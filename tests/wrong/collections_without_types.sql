CREATE TABLE r (id INT, name STRING, v DOUBLE, ok BOOLEAN, arr ARRAY<INT>, m MAP<STRING, INT>, rw ROW<x INT, y STRING>, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'r', 'format' = 'json');
CREATE VIEW v1 AS SELECT ARRAY[NULL], MAP[], MAP['a'], MAP['a', 1, 2, 'b'], MAP['a', 1, 'b', ok], MAP[NULL, 1] FROM r;
CREATE VIEW v2 AS SELECT ARRAY[] FROM r;
CREATE VIEW v3 AS SELECT TRIM(id), POSITION(1 IN name), OVERLAY(name PLACING 1 FROM 'a') FROM r;
SELECT id FROM r;
