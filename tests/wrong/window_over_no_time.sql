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
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(temperature), INTERVAL '1' MINUTE))
GROUP BY device_id, window_start, window_end;
