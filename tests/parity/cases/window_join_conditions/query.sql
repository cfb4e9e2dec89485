SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE s (device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, site STRING, q INT, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector'='filesystem','path'='{{dir}}/input/s.jsonl','format'='json');
CREATE TABLE e (device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, site STRING, q INT, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector'='filesystem','path'='{{dir}}/input/e.jsonl','format'='json');
CREATE TABLE j_full WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/j_full', 'format' = 'json') AS
SELECT a.device d, b.device e, a.n, b.n m, a.window_start ws, b.window_start bs FROM (SELECT *
FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND))) a FULL OUTER JOIN (SELECT * FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND))) b ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.device = b.device AND a.v > b.v + 1;
CREATE TABLE j_left WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/j_left', 'format' = 'json') AS
SELECT a.n, b.n m FROM (SELECT * FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND))) a LEFT JOIN (SELECT *
FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND))) b ON a.window_start = b.window_start AND a.window_end = b.window_end AND UPPER(a.device) = CONCAT('D', SUBSTRING(b.device, 2));
CREATE TABLE j_right WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/j_right', 'format' = 'json') AS
SELECT a.n, b.n m FROM (SELECT * FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND))) a RIGHT JOIN (SELECT *
FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND))) b ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.device = b.device AND a.site = b.site AND a.q >= 1 WHERE COALESCE(a.n, b.n) < 60;
CREATE TABLE j_no_key WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/j_no_key', 'format' = 'json') AS
SELECT a.n, b.n m FROM (SELECT * FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND))) a JOIN (SELECT *
FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND))) b ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.q < b.q;
CREATE TABLE j_anti WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/j_anti', 'format' = 'json') AS
SELECT device, n, window_start FROM (SELECT * FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND))) a WHERE NOT EXISTS (SELECT 1 FROM (SELECT *
FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND))) b WHERE a.window_start = b.window_start AND a.window_end = b.window_end AND a.device = b.device AND a.q < b.q);
CREATE TABLE j_notin_nonnull WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/j_notin_nonnull', 'format' = 'json') AS
SELECT device, n FROM (SELECT * FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND))) a WHERE n NOT IN (SELECT n FROM (SELECT *
FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND))) b WHERE a.window_start = b.window_start AND a.window_end = b.window_end);
CREATE TABLE j_join_then_agg WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/j_join_then_agg', 'format' = 'json') AS
SELECT window_start, window_end, COUNT(*) c, SUM(bn) s FROM (SELECT a.window_start, a.window_end, a.n, b.n bn FROM (SELECT *
FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND))) a JOIN (SELECT * FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND))) b ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.device = b.device) GROUP BY window_start, window_end;
CREATE TABLE j_join3 WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/j_join3', 'format' = 'json') AS
SELECT a.n, b.n m, c.n k FROM (SELECT * FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND))) a JOIN (SELECT *
FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND))) b ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.device = b.device JOIN (SELECT * FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND))) c ON a.window_start = c.window_start AND a.window_end = c.window_end AND b.q = c.q WHERE a.n < 30;
CREATE TABLE j_cum_join WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/j_cum_join', 'format' = 'json') AS
SELECT a.n, b.n m, a.window_end we FROM (SELECT * FROM TABLE(CUMULATE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '20' SECOND))) a FULL JOIN (SELECT *
FROM TABLE(CUMULATE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '20' SECOND))) b ON a.window_start = b.window_start AND a.window_end = b.window_end AND a.device=b.device AND a.q=b.q;
CREATE TABLE j_using_alias WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/j_using_alias', 'format' = 'json') AS
SELECT device, x.n, y.n m FROM (SELECT window_start, window_end, device, n
FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND))) x JOIN (SELECT window_start, window_end, device, n FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND))) y USING (window_start, window_end, device);
CREATE TABLE j_rows_in WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/j_rows_in', 'format' = 'json') AS
SELECT device, n, window_start FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '10' SECOND))
WHERE (window_start, window_end, device) IN (SELECT window_start, window_end, device FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND)) WHERE q > 1);
