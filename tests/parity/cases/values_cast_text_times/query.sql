SET 'table.local-time-zone' = 'UTC';
CREATE TABLE v (
  id INT,
  s STRING
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/v.jsonl', 'format' = 'json');
CREATE TABLE o (
  id INT,
  c0 DATE,
  c1 DATE,
  c2 TIME(0),
  c3 TIMESTAMP(3),
  c4 TIMESTAMP(3),
  c5 TIMESTAMP(6),
  c6 TIMESTAMP(0),
  c7 STRING,
  c8 STRING,
  c9 STRING,
  c10 STRING,
  c11 BIGINT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT
  id AS id,
  TRY_CAST(s AS DATE) AS c0,
  TO_DATE(s) AS c1,
  TRY_CAST(s AS TIME) AS c2,
  TRY_CAST(s AS TIMESTAMP(3)) AS c3,
  TO_TIMESTAMP(s) AS c4,
  TRY_CAST(s AS TIMESTAMP) AS c5,
  TRY_CAST(s AS TIMESTAMP(0)) AS c6,
  CAST(TRY_CAST(s AS TIMESTAMP(3)) AS STRING) AS c7,
  CAST(TRY_CAST(s AS DATE) AS STRING) AS c8,
  CONVERT_TZ(s, 'UTC', 'Asia/Kolkata') AS c9,
  DATE_FORMAT(s, 'yyyyMMdd HHmmss') AS c10,
  UNIX_TIMESTAMP(s) AS c11
FROM v;
