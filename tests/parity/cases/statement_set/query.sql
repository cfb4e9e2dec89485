SET 'table.local-time-zone' = 'UTC';
CREATE TABLE readings (
  device STRING, ts TIMESTAMP(3), v DOUBLE, n INT, WATERMARK FOR ts AS ts - INTERVAL '4' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/readings.jsonl', 'format' = 'json');
CREATE TABLE o (
  kind STRING, device STRING, v DOUBLE
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
CREATE TABLE p (
  device STRING, ws TIMESTAMP(3), c BIGINT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/p', 'format' = 'json');
EXECUTE STATEMENT SET
BEGIN
INSERT INTO o
SELECT 'high', device, v FROM readings WHERE v > 60
UNION ALL
SELECT 'low', device, -v FROM readings WHERE v < 40;
INSERT INTO p (ws, c, device)
SELECT window_start, COUNT(*), device
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '10' SECOND))
GROUP BY device, window_start, window_end;
END;
