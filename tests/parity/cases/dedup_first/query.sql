SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE r (
  seq INT, ts TIMESTAMP(3), v INT, WATERMARK FOR ts AS ts - INTERVAL '3' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/r.jsonl', 'format' = 'json');
CREATE TABLE o (
  k STRING, seq INT, ts TIMESTAMP(3), v INT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o SELECT 'pairs', seq, ts, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY seq / 2 ORDER BY ts) AS rn FROM r) WHERE rn = 1;
INSERT INTO o SELECT 'singles', seq, ts, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY seq ORDER BY ts) AS rn FROM r) WHERE rn <= 1 AND v < 8;
INSERT INTO o SELECT 'values', seq, ts, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY v, seq / 20 ORDER BY ts) AS rn FROM r) WHERE rn = 1;
