SET 'table.local-time-zone' = 'UTC';
CREATE TABLE readings (
  device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, WATERMARK FOR ts AS ts - INTERVAL '4' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/readings.jsonl', 'format' = 'json');
CREATE TABLE o (
  device STRING, s TIMESTAMP(3), e TIMESTAMP(3), c BIGINT, hi DOUBLE
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT r.device, HOP_START(r.ts, INTERVAL '6' SECOND, INTERVAL '18' SECOND), HOP_END(r.ts, INTERVAL '6' SECOND, INTERVAL '18' SECOND), COUNT(*), MAX(v)
FROM readings AS r WHERE n > 0
GROUP BY HOP(r.ts, INTERVAL '6' SECOND, INTERVAL '18' SECOND), r.device HAVING COUNT(*) > 2;
