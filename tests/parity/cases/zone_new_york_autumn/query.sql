SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE s (device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, site STRING, q INT, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector'='filesystem','path'='{{dir}}/input/s.jsonl','format'='json');
CREATE TABLE z2 (device STRING, ts TIMESTAMP_LTZ(3), v DOUBLE, n INT, site STRING, q INT, WATERMARK FOR ts AS ts - INTERVAL '20' MINUTE) WITH ('connector'='filesystem','path'='{{dir}}/input/z2.jsonl','format'='json','json.timestamp-format.standard'='SQL');
SET 'table.local-time-zone' = 'America/New_York';
CREATE TABLE day WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/day', 'format' = 'json') AS
SELECT device, window_start, window_end, window_time, COUNT(*) c, SUM(v) sv
FROM TABLE(TUMBLE(TABLE z2, DESCRIPTOR(ts), INTERVAL '1' DAY)) GROUP BY device, window_start, window_end, window_time;
SET 'table.local-time-zone' = 'America/New_York';
CREATE TABLE hop WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/hop', 'format' = 'json') AS
SELECT window_start, window_end, window_time, COUNT(*) c FROM TABLE(HOP(TABLE z2, DESCRIPTOR(ts), INTERVAL '6' HOUR, INTERVAL '12' HOUR)) GROUP BY window_start, window_end, window_time;
SET 'table.local-time-zone' = 'America/New_York';
CREATE TABLE cum WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/cum', 'format' = 'json') AS
SELECT window_start, window_end, COUNT(*) c FROM TABLE(CUMULATE(TABLE z2, DESCRIPTOR(ts), INTERVAL '4' HOUR, INTERVAL '1' DAY)) GROUP BY window_start, window_end;
SET 'table.local-time-zone' = 'America/New_York';
CREATE TABLE topn WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/topn', 'format' = 'json') AS
SELECT device, n, window_start, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY v DESC, n) rn
FROM TABLE(TUMBLE(TABLE z2, DESCRIPTOR(ts), INTERVAL '6' HOUR))) WHERE rn <= 2;
SET 'table.local-time-zone' = 'America/New_York';
CREATE TABLE legacy WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/legacy', 'format' = 'json') AS
SELECT TUMBLE_START(ts, INTERVAL '1' DAY) a, TUMBLE_END(ts, INTERVAL '1' DAY) b, TUMBLE_ROWTIME(ts, INTERVAL '1' DAY) rt, COUNT(*) k FROM z2 GROUP BY TUMBLE(ts, INTERVAL '1' DAY);
SET 'table.local-time-zone' = 'America/New_York';
CREATE TABLE legacysession WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/legacysession', 'format' = 'json') AS
SELECT device, SESSION_START(ts, INTERVAL '1' HOUR) a, SESSION_END(ts, INTERVAL '1' HOUR) b, COUNT(*) k FROM z2 GROUP BY device, SESSION(ts, INTERVAL '1' HOUR);
SET 'table.local-time-zone' = 'America/New_York';
CREATE TEMPORARY VIEW hv_cascade AS SELECT device, window_time AS wt, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE z2, DESCRIPTOR(ts), INTERVAL '2' HOUR)) GROUP BY device, window_start, window_end, window_time;
CREATE TABLE cascade WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/cascade', 'format' = 'json') AS
SELECT window_start, window_end, COUNT(*) c, SUM(c) s FROM TABLE(TUMBLE(TABLE hv_cascade, DESCRIPTOR(wt), INTERVAL '1' DAY)) GROUP BY window_start, window_end;
SET 'table.local-time-zone' = 'America/New_York';
CREATE TABLE over WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/over', 'format' = 'json') AS
SELECT n, COUNT(*) OVER w c, SUM(q) OVER w s FROM z2 WINDOW w AS (PARTITION BY device ORDER BY ts RANGE BETWEEN INTERVAL '6' HOUR PRECEDING AND CURRENT ROW);
