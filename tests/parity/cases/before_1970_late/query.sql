SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE p (device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, site STRING, q INT, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector'='filesystem','path'='{{dir}}/input/p.jsonl','format'='json');
CREATE TABLE hop_offset_neg WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/hop_offset_neg', 'format' = 'json') AS
SELECT window_start, window_end, COUNT(*) c FROM TABLE(HOP(TABLE p, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND, INTERVAL '-2' SECOND)) GROUP BY window_start, window_end;
CREATE TABLE cum_p WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/cum_p', 'format' = 'json') AS
SELECT device, window_start, window_end, COUNT(*) c, AVG(v) a FROM TABLE(CUMULATE(TABLE p, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '30' SECOND, INTERVAL '7' SECOND)) GROUP BY device, window_start, window_end;
CREATE TABLE tumble_p_rows WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/tumble_p_rows', 'format' = 'json') AS
SELECT n, window_start, window_end, window_time FROM TABLE(TUMBLE(TABLE p, DESCRIPTOR(ts), INTERVAL '7' SECOND));
CREATE TABLE legacy_p WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/legacy_p', 'format' = 'json') AS
SELECT TUMBLE_START(ts, INTERVAL '7' SECOND) a, TUMBLE_END(ts, INTERVAL '7' SECOND) b, TUMBLE_ROWTIME(ts, INTERVAL '7' SECOND) c, COUNT(*) k FROM p GROUP BY TUMBLE(ts, INTERVAL '7' SECOND);
CREATE TABLE session_p WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/session_p', 'format' = 'json') AS
SELECT device, window_start, window_end, COUNT(*) c FROM TABLE(SESSION(TABLE p PARTITION BY device, DESCRIPTOR(ts), INTERVAL '6' SECOND)) GROUP BY device, window_start, window_end;
CREATE TABLE p_curwm WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/p_curwm', 'format' = 'json') AS
SELECT n, CURRENT_WATERMARK(ts) w FROM p;
