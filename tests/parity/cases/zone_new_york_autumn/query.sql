SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE z2 (device STRING, ts TIMESTAMP_LTZ(3), v DOUBLE, n INT, site STRING, q INT, WATERMARK FOR ts AS ts - INTERVAL '20' MINUTE) WITH ('connector'='filesystem','path'='{{dir}}/input/z2.jsonl','format'='json','json.timestamp-format.standard'='SQL');
SET 'table.local-time-zone' = 'America/New_York';
CREATE TABLE by_day WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/by_day', 'format' = 'json') AS
SELECT device, window_start, window_end, window_time, COUNT(*) c, SUM(v) sv
FROM TABLE(TUMBLE(TABLE z2, DESCRIPTOR(ts), INTERVAL '1' DAY)) GROUP BY device, window_start, window_end, window_time;
CREATE TABLE by_hop WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/by_hop', 'format' = 'json') AS
SELECT window_start, window_end, window_time, COUNT(*) c FROM TABLE(HOP(TABLE z2, DESCRIPTOR(ts), INTERVAL '6' HOUR, INTERVAL '12' HOUR)) GROUP BY window_start, window_end, window_time;
CREATE TABLE by_cum WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/by_cum', 'format' = 'json') AS
SELECT window_start, window_end, COUNT(*) c FROM TABLE(CUMULATE(TABLE z2, DESCRIPTOR(ts), INTERVAL '4' HOUR, INTERVAL '1' DAY)) GROUP BY window_start, window_end;
CREATE TABLE by_topn WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/by_topn', 'format' = 'json') AS
SELECT device, n, window_start, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY v DESC, n) rn
FROM TABLE(TUMBLE(TABLE z2, DESCRIPTOR(ts), INTERVAL '6' HOUR))) WHERE rn <= 2;
CREATE TABLE by_legacy WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/by_legacy', 'format' = 'json') AS
SELECT TUMBLE_START(ts, INTERVAL '1' DAY) a, TUMBLE_END(ts, INTERVAL '1' DAY) b, TUMBLE_ROWTIME(ts, INTERVAL '1' DAY) rt, COUNT(*) k FROM z2 GROUP BY TUMBLE(ts, INTERVAL '1' DAY);
CREATE TABLE by_legacysession WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/by_legacysession', 'format' = 'json') AS
SELECT device, SESSION_START(ts, INTERVAL '1' HOUR) a, SESSION_END(ts, INTERVAL '1' HOUR) b, COUNT(*) k FROM z2 GROUP BY device, SESSION(ts, INTERVAL '1' HOUR);
CREATE TEMPORARY VIEW hv_cascade AS SELECT device, window_time AS wt, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE z2, DESCRIPTOR(ts), INTERVAL '2' HOUR)) GROUP BY device, window_start, window_end, window_time;
CREATE TABLE by_cascade WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/by_cascade', 'format' = 'json') AS
SELECT window_start, window_end, COUNT(*) c, SUM(c) s FROM TABLE(TUMBLE(TABLE hv_cascade, DESCRIPTOR(wt), INTERVAL '1' DAY)) GROUP BY window_start, window_end;
CREATE TABLE by_over WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/by_over', 'format' = 'json') AS
SELECT n, COUNT(*) OVER w c, SUM(q) OVER w s FROM z2 WINDOW w AS (PARTITION BY device ORDER BY ts RANGE BETWEEN INTERVAL '6' HOUR PRECEDING AND CURRENT ROW);
