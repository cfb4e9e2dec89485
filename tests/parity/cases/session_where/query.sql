CREATE TABLE r (k STRING, s STRING, v DOUBLE, n INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/r.jsonl', 'format' = 'json');
CREATE VIEW doubled AS SELECT k, LOWER(s) AS s, v * 2 AS v, n, ts FROM r WHERE v IS NOT NULL;
CREATE TABLE computed (ws TIMESTAMP(3), we TIMESTAMP(3), c BIGINT, sv DOUBLE) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/computed', 'format' = 'json');
CREATE TABLE by_key (k STRING, ws TIMESTAMP(3), we TIMESTAMP(3), c BIGINT) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/by_key', 'format' = 'json');
CREATE TABLE above (ws TIMESTAMP(3), we TIMESTAMP(3), c BIGINT) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/above', 'format' = 'json');
CREATE TABLE twice (ws TIMESTAMP(3), we TIMESTAMP(3), c BIGINT) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/twice', 'format' = 'json');
CREATE TABLE by_start (ws TIMESTAMP(3), we TIMESTAMP(3), c BIGINT) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/by_start', 'format' = 'json');
CREATE TABLE ranked (w DOUBLE, ws TIMESTAMP(3), we TIMESTAMP(3)) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/ranked', 'format' = 'json');
INSERT INTO computed
SELECT window_start, window_end, COUNT(*), SUM(v) FROM TABLE(SESSION(TABLE doubled, DESCRIPTOR(ts), INTERVAL '3' SECOND)) WHERE n < v GROUP BY window_start, window_end;
INSERT INTO by_key
SELECT k, window_start, window_end, COUNT(*) FROM TABLE(SESSION(TABLE doubled PARTITION BY k, DESCRIPTOR(ts), INTERVAL '3' SECOND)) WHERE s IN ('x', 'zz') GROUP BY k, window_start, window_end;
INSERT INTO above
SELECT window_start, window_end, COUNT(*) FROM (SELECT n + 1 AS m, v * 3 AS w, window_start, window_end FROM TABLE(SESSION(TABLE r, DESCRIPTOR(ts), INTERVAL '3' SECOND))) WHERE w > m GROUP BY window_start, window_end;
INSERT INTO twice
SELECT window_start, window_end, COUNT(*) FROM (SELECT n, v, window_start, window_end FROM TABLE(SESSION(TABLE doubled, DESCRIPTOR(ts), INTERVAL '3' SECOND)) WHERE v > 4) WHERE n > 1 GROUP BY window_start, window_end;
INSERT INTO by_start
SELECT window_start, window_end, COUNT(*) FROM TABLE(SESSION(TABLE doubled, DESCRIPTOR(ts), INTERVAL '3' SECOND)) WHERE window_start > TIMESTAMP '2024-05-01 10:00:30' AND v > 4 GROUP BY window_start, window_end;
INSERT INTO ranked
SELECT w, window_start, window_end FROM (SELECT v AS w, window_start, window_end, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY v DESC, n) AS rn FROM TABLE(SESSION(TABLE doubled, DESCRIPTOR(ts), INTERVAL '3' SECOND)) WHERE v > n) WHERE rn = 1;
