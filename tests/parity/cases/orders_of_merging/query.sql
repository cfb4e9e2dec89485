SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE readings (
  dev STRING, site STRING, v DOUBLE, n INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '4' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/readings.jsonl', 'format' = 'json');
CREATE TABLE o (
  k STRING, site STRING, s TIMESTAMP(3), e TIMESTAMP(3), c BIGINT, l STRING, a ARRAY<INT>
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
CREATE TABLE `first` (
  device STRING, v DOUBLE, s TIMESTAMP(3), e TIMESTAMP(3)
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/first', 'format' = 'json');
INSERT INTO o
SELECT 'hop', site, window_start, window_end, COUNT(*), LISTAGG(CAST(n AS STRING)), ARRAY_AGG(n)
FROM TABLE(HOP(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '1' MINUTE))
GROUP BY site, window_start, window_end;
INSERT INTO o
SELECT 'cumulate', site, window_start, window_end, COUNT(*), LISTAGG(CAST(n AS STRING)), ARRAY_AGG(n)
FROM TABLE(CUMULATE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '1' MINUTE))
GROUP BY site, window_start, window_end;
INSERT INTO o
SELECT 'session', site, window_start, window_end, COUNT(*), LISTAGG(CAST(n AS STRING)), ARRAY_AGG(n)
FROM TABLE(SESSION(TABLE readings PARTITION BY site, DESCRIPTOR(ts), INTERVAL '3' SECOND))
GROUP BY site, window_start, window_end;
INSERT INTO o
SELECT 'group', site, SESSION_START(ts, INTERVAL '10' SECOND), SESSION_END(ts, INTERVAL '10' SECOND), COUNT(*), LISTAGG(CAST(n AS STRING)), ARRAY_AGG(n)
FROM readings
GROUP BY site, SESSION(ts, INTERVAL '10' SECOND);
INSERT INTO `first`
SELECT dev, v, window_start, window_end
FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY v DESC, ts, n, dev, site) AS rn
  FROM TABLE(SESSION(TABLE readings PARTITION BY (dev, site), DESCRIPTOR(ts), INTERVAL '1' SECOND)))
WHERE rn = 1;
