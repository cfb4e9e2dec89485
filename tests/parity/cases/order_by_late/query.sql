SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE r (
  seq INT, ts TIMESTAMP(3), v INT, WATERMARK FOR ts AS ts - INTERVAL '3' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/r.jsonl', 'format' = 'json');
CREATE TABLE o (
  k STRING, seq INT, ts TIMESTAMP(3), v INT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o SELECT 'time', seq, ts, v FROM r ORDER BY ts;
INSERT INTO o SELECT 'time and value', seq, ts, v FROM r WHERE seq % 7 <> 0 ORDER BY ts, v DESC, seq;
