SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE readings (
  device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, site STRING, WATERMARK FOR ts AS ts - INTERVAL '4' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/readings.jsonl', 'format' = 'json');
CREATE TABLE events (
  device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, site STRING, WATERMARK FOR ts AS ts - INTERVAL '4' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/events.jsonl', 'format' = 'json');
CREATE TABLE o (
  k STRING, ws TIMESTAMP(3), a INT, b INT, d STRING
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT 'inner', COALESCE(a.window_start, b.window_start), a.n, b.n, a.device
FROM (SELECT * FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))) a JOIN (SELECT * FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '10' SECOND))) b ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.device = b.device;
INSERT INTO o
SELECT 'left', COALESCE(a.window_start, b.window_start), a.n, b.n, a.device
FROM (SELECT * FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))) a LEFT JOIN (SELECT * FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '10' SECOND))) b ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.device = b.device AND a.v < b.v;
INSERT INTO o
SELECT 'right', COALESCE(a.window_start, b.window_start), a.n, b.n, a.device
FROM (SELECT * FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))) a RIGHT JOIN (SELECT * FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '10' SECOND))) b ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.device = b.device AND b.n > 20;
INSERT INTO o
SELECT 'full', COALESCE(a.window_start, b.window_start), a.n, b.n, a.device
FROM (SELECT * FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))) a FULL OUTER JOIN (SELECT * FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '10' SECOND))) b ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.device = b.device AND a.site = b.site;
INSERT INTO o
SELECT 'hop', COALESCE(a.window_start, b.window_start), a.n, b.n, a.device
FROM (SELECT * FROM TABLE(HOP(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '20' SECOND))) a JOIN (SELECT * FROM TABLE(HOP(TABLE events, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '20' SECOND))) b ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.device = b.device AND a.n + 5 = b.n;
INSERT INTO o
SELECT 'cumulate', COALESCE(a.window_start, b.window_start), a.n, b.n, a.device
FROM (SELECT * FROM TABLE(CUMULATE(TABLE readings, DESCRIPTOR(ts), INTERVAL '15' SECOND, INTERVAL '30' SECOND))) a LEFT JOIN (SELECT * FROM TABLE(CUMULATE(TABLE events, DESCRIPTOR(ts), INTERVAL '15' SECOND, INTERVAL '30' SECOND))) b ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.device = b.device AND a.n = b.n;
INSERT INTO o
SELECT 'in', window_start, n, CAST(NULL AS INT), device FROM (SELECT * FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))) a WHERE n IN (SELECT n FROM (SELECT * FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '10' SECOND))) b WHERE a.window_start = b.window_start AND a.window_end = b.window_end);
INSERT INTO o
SELECT 'exists', window_start, n, CAST(NULL AS INT), device FROM (SELECT * FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))) a WHERE EXISTS (SELECT * FROM (SELECT * FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '10' SECOND))) b WHERE a.window_start = b.window_start AND a.window_end = b.window_end AND a.device = b.device AND a.v > b.v);
INSERT INTO o
SELECT 'not exists', window_start, n, CAST(NULL AS INT), device FROM (SELECT * FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))) a WHERE NOT EXISTS (SELECT * FROM (SELECT * FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '10' SECOND))) b WHERE a.window_start = b.window_start AND a.window_end = b.window_end AND a.device = b.device);
INSERT INTO o
SELECT 'aggregates', a.window_start, CAST(a.c AS INT), CAST(b.c AS INT), a.device FROM
  (SELECT device, window_start, window_end, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY device, window_start, window_end) a
  JOIN (SELECT device, window_start, window_end, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY device, window_start, window_end) b
  ON a.device = b.device AND a.window_start = b.window_start AND a.window_end = b.window_end;
