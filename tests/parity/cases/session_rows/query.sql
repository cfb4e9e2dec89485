SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE r (device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, site STRING, q INT, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector'='filesystem','path'='{{dir}}/input/r.jsonl','format'='json');
CREATE TABLE s (device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, site STRING, q INT, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector'='filesystem','path'='{{dir}}/input/s.jsonl','format'='json');
CREATE TABLE session_tvf_keyed WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/session_tvf_keyed', 'format' = 'json') AS
SELECT device, n, window_start, window_end, window_time FROM TABLE(SESSION(TABLE r PARTITION BY device, DESCRIPTOR(ts), INTERVAL '3' SECOND));
CREATE TABLE session_tvf_all WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/session_tvf_all', 'format' = 'json') AS
SELECT device, n, window_start, window_end FROM TABLE(SESSION(TABLE r, DESCRIPTOR(ts), INTERVAL '1' SECOND)) WHERE n > 5;
CREATE TABLE session_sub WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/session_sub', 'format' = 'json') AS
SELECT k, window_start, window_end, COUNT(*) c, SUM(n) s FROM TABLE(SESSION((SELECT device AS k, ts, n FROM r WHERE q > 0) PARTITION BY k, DESCRIPTOR(ts), INTERVAL '3' SECOND)) GROUP BY k, window_start, window_end;
CREATE TABLE session_named WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/session_named', 'format' = 'json') AS
SELECT k, window_start, window_end, COUNT(*) c FROM TABLE(SESSION(DATA => (SELECT device AS k, ts, n FROM r) PARTITION BY k, TIMECOL => DESCRIPTOR(ts), GAP => INTERVAL '2' SECOND)) GROUP BY window_start, window_end, k;
CREATE TEMPORARY VIEW vv_session_view AS SELECT COALESCE(device,'none') AS k, site, ts, n FROM r WHERE n <> 3;
CREATE TABLE session_view WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/session_view', 'format' = 'json') AS
SELECT k, site, window_start, window_end, COUNT(*) c FROM TABLE(SESSION(TABLE vv_session_view PARTITION BY (k, site), DESCRIPTOR(ts), INTERVAL '4' SECOND)) GROUP BY window_start, window_end, k, site;
CREATE TABLE session_topn WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/session_topn', 'format' = 'json') AS
SELECT device, n, window_start, window_end, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, device ORDER BY n DESC) rn
FROM TABLE(SESSION(TABLE s PARTITION BY device, DESCRIPTOR(ts), INTERVAL '3' SECOND))) WHERE rn <= 2;
CREATE TABLE session_filter_bounds WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/session_filter_bounds', 'format' = 'json') AS
SELECT device, window_start, window_end, COUNT(*) c FROM TABLE(SESSION(TABLE s PARTITION BY device, DESCRIPTOR(ts), INTERVAL '3' SECOND)) WHERE window_start > TIMESTAMP '2024-03-01 10:00:20' GROUP BY device, window_start, window_end;
CREATE TABLE session_filter_key WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/session_filter_key', 'format' = 'json') AS
SELECT device, n, window_start, window_end FROM TABLE(SESSION(TABLE r PARTITION BY device, DESCRIPTOR(ts), INTERVAL '3' SECOND)) WHERE device = 'd1' AND q > 0;
CREATE TABLE session_filter_topn WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/session_filter_topn', 'format' = 'json') AS
SELECT device, n, window_start, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, device ORDER BY v DESC, n) rn
FROM TABLE(SESSION(TABLE s PARTITION BY device, DESCRIPTOR(ts), INTERVAL '3' SECOND)) WHERE q > 0) WHERE rn <= 2;
CREATE TABLE session_filter_join WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/session_filter_join', 'format' = 'json') AS
SELECT a.n, b.n m FROM (SELECT * FROM TABLE(SESSION(TABLE s PARTITION BY device, DESCRIPTOR(ts), INTERVAL '3' SECOND)) WHERE q>0) a LEFT JOIN (SELECT *
FROM TABLE(SESSION(TABLE s PARTITION BY device, DESCRIPTOR(ts), INTERVAL '3' SECOND)) WHERE q < 3) b ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.device=b.device;
