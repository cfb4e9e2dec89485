-- 'properties.bootstrap.servers' is missing, and the INSERT has a mistake of its own: both are told.
CREATE TABLE readings (
  device_id STRING,
  temperature DOUBLE
) WITH (
  'connector' = 'kafka',
  'topic' = 'readings',
  'format' = 'json'
);

CREATE TABLE printed (device_id STRING) WITH ('connector' = 'print');

INSERT INTO printed SELECT divice_id FROM readings;
