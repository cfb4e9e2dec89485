CREATE TABLE readings (device STRING, v INT, ok BOOLEAN, parts ARRAY<INT>, place ROW<site STRING, line INT>, ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'readings', 'format' = 'json');
SELECT
  UPPER(device, 'x'),
  ABS('x'),
  device + 1,
  ROUND(device, 2) AS rounded,
  CASE WHEN ok THEN parts ELSE 'none' END,
  device[1],
  parts['a'],
  place.city,
  device.name,
  IF(v, device, device),
  v IN (1, ARRAY[2])
FROM readings
WHERE v;
