CREATE TABLE r (id INT, name STRING, v DOUBLE, ok BOOLEAN, arr ARRAY<INT>, m MAP<STRING, INT>, rw ROW<x INT, y STRING>, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'r', 'format' = 'json');
CREATE TABLE cc (x INT) WITH ('connector' = 'datagen');
CREATE VIEW w AS SELECT x FROM w;
CREATE VIEW u AS WITH c AS (SELECT x FROM c) SELECT x FROM c;
WITH a AS (SELECT id FROM b), b AS (SELECT id FROM r) SELECT id FROM a;
