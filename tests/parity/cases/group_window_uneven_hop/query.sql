SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE r (device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, site STRING, q INT, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector'='filesystem','path'='{{dir}}/input/r.jsonl','format'='json');
CREATE TABLE s (device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, site STRING, q INT, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector'='filesystem','path'='{{dir}}/input/s.jsonl','format'='json');
CREATE TABLE legacy_hop_not_multiple WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/legacy_hop_not_multiple', 'format' = 'json') AS
SELECT device, HOP_START(ts, INTERVAL '4' SECOND, INTERVAL '10' SECOND) ws, HOP_END(ts, INTERVAL '4' SECOND, INTERVAL '10' SECOND) we, COUNT(*) c, SUM(v) sv FROM r GROUP BY device, HOP(ts, INTERVAL '4' SECOND, INTERVAL '10' SECOND);
CREATE TABLE legacy_hop_slide_larger WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/legacy_hop_slide_larger', 'format' = 'json') AS
SELECT device, HOP_START(ts, INTERVAL '10' SECOND, INTERVAL '5' SECOND) ws, COUNT(*) c FROM r GROUP BY device, HOP(ts, INTERVAL '10' SECOND, INTERVAL '5' SECOND);
CREATE TABLE hop_7_10 WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/hop_7_10', 'format' = 'json') AS
SELECT device, HOP_START(ts, INTERVAL '7' SECOND, INTERVAL '10' SECOND) ws, HOP_END(ts, INTERVAL '7' SECOND, INTERVAL '10' SECOND) we, HOP_ROWTIME(ts, INTERVAL '7' SECOND, INTERVAL '10' SECOND) rt, COUNT(*) c, AVG(v) a FROM r GROUP BY HOP(ts, INTERVAL '7' SECOND, INTERVAL '10' SECOND), device;
CREATE TABLE hop_cascade_nondiv WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/hop_cascade_nondiv', 'format' = 'json') AS
SELECT TUMBLE_START(rt, INTERVAL '30' SECOND) w, SUM(c) s FROM (SELECT HOP_ROWTIME(ts, INTERVAL '4' SECOND, INTERVAL '10' SECOND) rt, COUNT(*) c FROM r GROUP BY HOP(ts, INTERVAL '4' SECOND, INTERVAL '10' SECOND)) GROUP BY TUMBLE(rt, INTERVAL '30' SECOND);
CREATE TABLE hop_tvf_rows WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/hop_tvf_rows', 'format' = 'json') AS
SELECT n, window_start, window_end FROM TABLE(HOP(TABLE r, DESCRIPTOR(ts), INTERVAL '4' SECOND, INTERVAL '10' SECOND));
CREATE TABLE hop_tvf_gap WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/hop_tvf_gap', 'format' = 'json') AS
SELECT n, window_start, window_end FROM TABLE(HOP(TABLE r, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '4' SECOND));
CREATE TABLE hop_legacy_collect WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/hop_legacy_collect', 'format' = 'json') AS
SELECT device, HOP_START(ts, INTERVAL '5' SECOND, INTERVAL '15' SECOND) w, LISTAGG(CAST(n AS STRING)) l, ARRAY_AGG(n) a FROM r GROUP BY device, HOP(ts, INTERVAL '5' SECOND, INTERVAL '15' SECOND);
CREATE TABLE hop_legacy_collect_nd WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/hop_legacy_collect_nd', 'format' = 'json') AS
SELECT device, HOP_START(ts, INTERVAL '4' SECOND, INTERVAL '10' SECOND) w, LISTAGG(CAST(n AS STRING)) l FROM r GROUP BY device, HOP(ts, INTERVAL '4' SECOND, INTERVAL '10' SECOND);
CREATE TABLE hop_tvf_nd_topn WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/hop_tvf_nd_topn', 'format' = 'json') AS
SELECT n, window_start, window_end, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY n DESC) rn
FROM TABLE(HOP(TABLE r, DESCRIPTOR(ts), INTERVAL '4' SECOND, INTERVAL '10' SECOND))) WHERE rn <= 2;
