SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE r (device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, site STRING, q INT, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector'='filesystem','path'='{{dir}}/input/r.jsonl','format'='json');
CREATE TABLE distinct_rows_window WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/distinct_rows_window', 'format' = 'json') AS
SELECT DISTINCT device, window_start, window_end FROM TABLE(TUMBLE(TABLE r, DESCRIPTOR(ts), INTERVAL '10' SECOND));
CREATE TABLE distinct_rows WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/distinct_rows', 'format' = 'json') AS
SELECT DISTINCT window_start, window_end, device, q FROM TABLE(HOP(TABLE r, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND)) WHERE v > 15;
CREATE TABLE distinct_expr WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/distinct_expr', 'format' = 'json') AS
SELECT DISTINCT UPPER(device) u, window_start, window_end, window_time
FROM TABLE(TUMBLE(TABLE r, DESCRIPTOR(ts), INTERVAL '10' SECOND));
CREATE TABLE topn_distinct WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/topn_distinct', 'format' = 'json') AS
SELECT DISTINCT window_start, window_end, c FROM (SELECT device, window_start, window_end, COUNT(*) c
FROM TABLE(TUMBLE(TABLE r, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY device, window_start, window_end);
