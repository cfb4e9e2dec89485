SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE readings (
  device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, site STRING, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/readings.jsonl', 'format' = 'json');
CREATE TABLE o (
  k STRING, ws TIMESTAMP(3), we TIMESTAMP(3), device STRING, site STRING, c BIGINT, g BIGINT, s DOUBLE
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT 'sets', window_start, window_end, device, site, COUNT(*), GROUPING_ID(device, site), MAX(v)
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, GROUPING SETS ((device, site), (device), (site), ());
INSERT INTO o
SELECT 'rollup', window_start, window_end, UPPER(device), site, COUNT(v), GROUPING(site), SUM(v)
FROM TABLE(HOP(TABLE readings, DESCRIPTOR(ts), INTERVAL '4' SECOND, INTERVAL '12' SECOND)) WHERE n > 10 GROUP BY window_start, window_end, ROLLUP (UPPER(device), site) HAVING COUNT(v) > 2;
INSERT INTO o
SELECT 'cube', window_start, window_end, device, site, COUNT(DISTINCT n), GROUPING(device) + GROUPING(site), MIN(v)
FROM TABLE(CUMULATE(TABLE readings, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '15' SECOND)) GROUP BY window_start, window_end, CUBE (device, site);
INSERT INTO o
SELECT 'mixed', window_start, window_end, device, site, COUNT(*), GROUPING(device), MIN(v) FILTER (WHERE v > 0)
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY GROUPING SETS ((window_start, window_end, device, site), (window_start, window_end, site));
INSERT INTO o
SELECT 'cascade', window_start, window_end, CAST(NULL AS STRING), CAST(NULL AS STRING), COUNT(*), SUM(c), MAX(m) FROM (
  SELECT window_start, window_end, device, site, COUNT(*) AS c, MAX(v) AS m FROM TABLE(HOP(TABLE readings, DESCRIPTOR(ts), INTERVAL '4' SECOND, INTERVAL '12' SECOND))
  GROUP BY window_start, window_end, device, site) GROUP BY window_start, window_end;
INSERT INTO o
SELECT 'filtered', window_start, window_end, device, CAST(NULL AS STRING), COUNT(*), CAST(0 AS BIGINT), MAX(v)
FROM TABLE(HOP(TABLE readings, DESCRIPTOR(ts), INTERVAL '4' SECOND, INTERVAL '12' SECOND)) WHERE EXTRACT(SECOND FROM window_start) < 30 GROUP BY window_start, window_end, device;
INSERT INTO o
SELECT 'distinct', window_start, window_end, device, site, CAST(0 AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS DOUBLE) FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))
GROUP BY window_start, window_end, device, site;
