CREATE TABLE readings (
  device_id STRING,
  temperature DOUBLE,
  ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH (
  'connector' = 'kafka',
  'topic' = 'readings',
  'properties.bootstrap.servers' = 'localhost:9092',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'json'
);
SELECT device_id, window_start, window_end, COUNT(*)
FROM TABLE(HOP(TABLE readings, DESCRIPTOR(ts), INTERVAL '7' SECOND, INTERVAL '30' SECOND))
GROUP BY device_id, window_start, window_end;
