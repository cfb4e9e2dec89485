SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE r (device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, site STRING, q INT, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector'='filesystem','path'='{{dir}}/input/r.jsonl','format'='json');
CREATE TABLE cw_computed_wm (device STRING, ts STRING, n INT, et AS TIMESTAMPADD(SECOND, n % 3, TO_TIMESTAMP(ts)), WATERMARK FOR et AS CASE WHEN device = 'd1' THEN et - INTERVAL '1' SECOND ELSE et - INTERVAL '4' SECOND END) WITH ('connector'='filesystem','path'='{{dir}}/input/r.jsonl','format'='json');
CREATE TABLE computed_wm WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/computed_wm', 'format' = 'json') AS
SELECT window_start, COUNT(*) c FROM TABLE(TUMBLE(TABLE cw_computed_wm, DESCRIPTOR(et), INTERVAL '10' SECOND)) GROUP BY window_start, window_end;
CREATE TABLE cw_wm_null (device STRING, ts TIMESTAMP(3), n INT, WATERMARK FOR ts AS CASE WHEN device = 'd1' THEN ts - INTERVAL '1' SECOND END) WITH ('connector'='filesystem','path'='{{dir}}/input/r.jsonl','format'='json');
CREATE TABLE wm_null WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/wm_null', 'format' = 'json') AS
SELECT window_start, COUNT(*) c FROM TABLE(TUMBLE(TABLE cw_wm_null, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end;
CREATE TABLE curwm WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/curwm', 'format' = 'json') AS
SELECT n, CURRENT_WATERMARK(ts) w, ts <= CURRENT_WATERMARK(ts) late FROM r;
CREATE TABLE curwm_filter WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/curwm_filter', 'format' = 'json') AS
SELECT window_start, COUNT(*) c FROM TABLE(TUMBLE((SELECT * FROM r WHERE CURRENT_WATERMARK(ts) IS NULL OR ts > CURRENT_WATERMARK(ts) - INTERVAL '4' SECOND), DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end;
CREATE TABLE cw_wm_strict (device STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '0.001' SECOND) WITH ('connector'='filesystem','path'='{{dir}}/input/r.jsonl','format'='json');
CREATE TABLE wm_strict WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/wm_strict', 'format' = 'json') AS
SELECT device, window_start, COUNT(*) c FROM TABLE(HOP(TABLE cw_wm_strict, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '3' SECOND)) GROUP BY device, window_start, window_end;
