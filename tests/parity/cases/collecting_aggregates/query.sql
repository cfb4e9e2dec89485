SET 'table.local-time-zone' = 'UTC';
CREATE TABLE r (
  seq INT, device STRING, ts TIMESTAMP(3), status STRING, v INT, x DOUBLE, p ROW<k INT, s STRING>, WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/r.jsonl', 'format' = 'json');
CREATE TABLE texts (
  kind STRING, device STRING, we TIMESTAMP(3), fv INT, lv INT, fs STRING, ls STRING, la STRING, lb STRING, ld STRING, lf STRING
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/texts', 'format' = 'json');
CREATE TABLE bags (
  kind STRING, device STRING, we TIMESTAMP(3), aa ARRAY<INT>, ai ARRAY<INT>, ad ARRAY<STRING>, af ARRAY<INT>, co MULTISET<STRING>, cd MULTISET<STRING>, cr ARRAY<ROW<k INT, s STRING>>
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/bags', 'format' = 'json');
CREATE TABLE jsons (
  device STRING, we TIMESTAMP(3), o STRING, a STRING, an STRING, aj STRING
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/jsons', 'format' = 'json');
CREATE TABLE nums (
  kind STRING, device STRING, we TIMESTAMP(3), sd INT, ad DOUBLE, md INT, cd BIGINT, c2 BIGINT, vd INT, sf DOUBLE, cdf BIGINT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/nums', 'format' = 'json');
CREATE TABLE overs (
  seq INT, fv INT, lv STRING, la STRING, cd BIGINT, sd INT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/overs', 'format' = 'json');
INSERT INTO texts
SELECT 'tumble', device, window_end, FIRST_VALUE(v), LAST_VALUE(v), FIRST_VALUE(status), LAST_VALUE(status), LISTAGG(status), LISTAGG(CAST(seq AS STRING), '-'), LISTAGG(DISTINCT status, '; '), LISTAGG(status) FILTER (WHERE v > 0)
FROM TABLE(TUMBLE(TABLE r, DESCRIPTOR(ts), INTERVAL '20' SECOND)) GROUP BY device, window_start, window_end;
INSERT INTO bags
SELECT 'tumble', device, window_end, ARRAY_AGG(v), ARRAY_AGG(v) IGNORE NULLS, ARRAY_SORT(ARRAY_AGG(DISTINCT status)), ARRAY_AGG(v) FILTER (WHERE v > 0), COLLECT(status), COLLECT(DISTINCT status), ARRAY_AGG(p)
FROM TABLE(TUMBLE(TABLE r, DESCRIPTOR(ts), INTERVAL '20' SECOND)) GROUP BY device, window_start, window_end;
INSERT INTO bags
SELECT 'hop', device, window_end, ARRAY_AGG(v), ARRAY_AGG(v) IGNORE NULLS, CAST(NULL AS ARRAY<STRING>), ARRAY_AGG(v) FILTER (WHERE v > 0), COLLECT(status), COLLECT(status) FILTER (WHERE v > 0), ARRAY_AGG(p)
FROM TABLE(HOP(TABLE r, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '30' SECOND)) GROUP BY device, window_start, window_end;
INSERT INTO texts
SELECT 'cumulate', device, window_end, MIN(v), MAX(v), MIN(status), MAX(status), LISTAGG(status), LISTAGG(CAST(seq AS STRING), '-'), CAST(NULL AS STRING), LISTAGG(status) FILTER (WHERE v > 0)
FROM TABLE(CUMULATE(TABLE r, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '30' SECOND)) GROUP BY device, window_start, window_end;
INSERT INTO jsons
SELECT device, window_end, JSON_OBJECTAGG(KEY CAST(seq AS STRING) VALUE status), JSON_ARRAYAGG(v), JSON_ARRAYAGG(status NULL ON NULL), JSON_ARRAYAGG(JSON_OBJECT('v' VALUE v))
FROM TABLE(TUMBLE(TABLE r, DESCRIPTOR(ts), INTERVAL '20' SECOND)) GROUP BY device, window_start, window_end;
INSERT INTO nums
SELECT 'tumble', device, window_end, SUM(DISTINCT v), AVG(DISTINCT x), MAX(DISTINCT v), COUNT(DISTINCT status), COUNT(v), VAR_POP(DISTINCT v), SUM(DISTINCT x) FILTER (WHERE v > 0), COUNT(DISTINCT v) FILTER (WHERE status = 'OK')
FROM TABLE(TUMBLE(TABLE r, DESCRIPTOR(ts), INTERVAL '20' SECOND)) GROUP BY device, window_start, window_end;
INSERT INTO nums
SELECT 'hop', device, window_end, SUM(v), AVG(x), MAX(DISTINCT v), COUNT(DISTINCT status), COUNT(v), VAR_POP(v), SUM(x) FILTER (WHERE v > 0), COUNT(DISTINCT v) FILTER (WHERE status = 'OK')
FROM TABLE(HOP(TABLE r, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '30' SECOND)) GROUP BY device, window_start, window_end;
INSERT INTO overs
SELECT seq, FIRST_VALUE(v) OVER w, LAST_VALUE(status) OVER w, LISTAGG(status) OVER w, COUNT(DISTINCT status) OVER w, MAX(v) OVER w FROM r
WINDOW w AS (PARTITION BY device ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW);
