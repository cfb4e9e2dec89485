-- Anomalies per device, and 30-second statistics: the main job.
--
-- In:   topic edge-iiot-stream (JSON, one reading of one of 2400 devices per message, keyed by device)
-- Out:  topic anomalies (JSON, keyed by device), the same rows as Parquet below data/out/anomalies,
--       and one row per device and 30 seconds below data/out/device_windows
-- Run:  streamer run queries/anomaly.sql                                 (embedded cluster and simulator)
--       KAFKA_BOOTSTRAP_SERVERS=host:9092 streamer run queries/anomaly.sql
--       … --set SCAN_BOUNDED_MODE=latest-offset     (to the present end of the topic, all windows closed; a run of
--                                                    its own: give it an empty directory in STREAMER_OUT)
--
-- Plain Flink SQL: with the variables filled in, the same file runs on Flink.

SET 'pipeline.name' = 'anomaly';
SET 'execution.checkpointing.interval' = '1 s';
SET 'table.local-time-zone' = 'UTC';
-- One device with a fast clock must not make the whole fleet late (Flink accepts the key and ignores it).
SET 'streamer.max-future-skew' = '1 min';

CREATE TABLE edge_iiot_stream (
  device_id   STRING,
  broker      STRING,
  `timestamp` TIMESTAMP(6),
  `data`      DOUBLE,
  `partition` INT METADATA VIRTUAL,
  `offset`    BIGINT METADATA VIRTUAL,
  event_time  AS CAST(`timestamp` AS TIMESTAMP(3)),
  WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH (
  'connector' = 'kafka',
  'topic' = 'edge-iiot-stream',
  'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS:-embedded}',
  'properties.group.id' = 'streamer-anomaly',
  'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = '${SCAN_BOUNDED_MODE:-unbounded}',
  'scan.watermark.idle-timeout' = '10 s',
  'format' = 'json',
  'json.timestamp-format.standard' = 'ISO-8601'
);

CREATE TABLE anomalies (
  alert_id         STRING,
  device_id        STRING,
  broker           STRING,
  `value`          DOUBLE,
  mean             DOUBLE,
  std              DOUBLE,
  z_score          DOUBLE,
  severity         STRING,
  `timestamp`      TIMESTAMP(3),
  source_partition INT,
  source_offset    BIGINT
) WITH (
  'connector' = 'kafka',
  'topic' = 'anomalies',
  'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS:-embedded}',
  'key.format' = 'json',
  'key.fields' = 'device_id',
  'value.format' = 'json',
  'value.json.timestamp-format.standard' = 'ISO-8601'
);

CREATE TABLE anomalies_archive (
  alert_id         STRING,
  device_id        STRING,
  broker           STRING,
  `value`          DOUBLE,
  mean             DOUBLE,
  std              DOUBLE,
  z_score          DOUBLE,
  severity         STRING,
  `timestamp`      TIMESTAMP(3),
  source_partition INT,
  source_offset    BIGINT
) WITH (
  'connector' = 'filesystem',
  'path' = '${STREAMER_OUT:-data/out}/anomalies',
  'format' = 'parquet',
  'sink.rolling-policy.rollover-interval' = '5 s'
);

CREATE TABLE device_windows (
  device_id    STRING,
  window_start TIMESTAMP(3),
  window_end   TIMESTAMP(3),
  readings     BIGINT,
  mean         DOUBLE,
  std          DOUBLE,
  lowest       DOUBLE,
  highest      DOUBLE
) WITH (
  'connector' = 'filesystem',
  'path' = '${STREAMER_OUT:-data/out}/device_windows',
  'format' = 'parquet',
  'sink.rolling-policy.rollover-interval' = '30 s'
);

-- Each reading with mean and deviation of its device's last 100 readings, itself included.
CREATE TEMPORARY VIEW rolling AS
SELECT
  device_id,
  broker,
  `data`,
  event_time,
  `partition`,
  `offset`,
  AVG(`data`) OVER last_100 AS mean,
  STDDEV_POP(`data`) OVER last_100 AS std
FROM edge_iiot_stream
WINDOW last_100 AS (
  PARTITION BY device_id
  ORDER BY event_time
  ROWS BETWEEN 99 PRECEDING AND CURRENT ROW
);

-- A constant signal has no deviation and so no score. The guard is a DOUBLE on purpose: for Flink NaN is
-- larger than any DECIMAL, and its OVER deviation of equal values can be NaN.
CREATE TEMPORARY VIEW scored AS
SELECT
  device_id,
  broker,
  `data`,
  event_time,
  `partition`,
  `offset`,
  mean,
  std,
  CASE WHEN std > 1E-9 THEN ABS(`data` - mean) / std ELSE 0E0 END AS z_score
FROM rolling;

CREATE TEMPORARY VIEW alerts AS
SELECT
  CONCAT(device_id, '-', CAST(`partition` AS STRING), '-', CAST(`offset` AS STRING)) AS alert_id,
  device_id,
  broker,
  `data` AS `value`,
  mean,
  std,
  z_score,
  CASE WHEN z_score > 5E0 THEN 'critical' ELSE 'warning' END AS severity,
  CAST(event_time AS TIMESTAMP(3)) AS `timestamp`,
  `partition` AS source_partition,
  `offset` AS source_offset
FROM scored
WHERE z_score > 2.5E0;

EXECUTE STATEMENT SET
BEGIN

INSERT INTO anomalies
SELECT * FROM alerts;

INSERT INTO anomalies_archive
SELECT * FROM alerts;

INSERT INTO device_windows
SELECT
  device_id,
  window_start,
  window_end,
  COUNT(*) AS readings,
  AVG(`data`) AS mean,
  STDDEV_POP(`data`) AS std,
  MIN(`data`) AS lowest,
  MAX(`data`) AS highest
FROM TABLE(TUMBLE(TABLE edge_iiot_stream, DESCRIPTOR(event_time), INTERVAL '30' SECOND))
GROUP BY device_id, window_start, window_end;

END;
