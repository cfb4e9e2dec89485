SET 'table.local-time-zone' = 'UTC';
CREATE TABLE v (
  id INT,
  s STRING
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/v.jsonl', 'format' = 'json');
CREATE TABLE o (
  id INT,
  c0 TINYINT,
  c1 SMALLINT,
  c2 INT,
  c3 BIGINT,
  c4 FLOAT,
  c5 DOUBLE,
  c6 DECIMAL(10, 2),
  c7 DECIMAL(38, 18),
  c8 DECIMAL(38, 0),
  c9 BOOLEAN,
  c10 STRING,
  c11 STRING,
  c12 STRING
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT
  id AS id,
  TRY_CAST(s AS TINYINT) AS c0,
  TRY_CAST(s AS SMALLINT) AS c1,
  TRY_CAST(s AS INT) AS c2,
  TRY_CAST(s AS BIGINT) AS c3,
  TRY_CAST(s AS FLOAT) AS c4,
  TRY_CAST(s AS DOUBLE) AS c5,
  TRY_CAST(s AS DECIMAL(10, 2)) AS c6,
  TRY_CAST(s AS DECIMAL(38, 18)) AS c7,
  TRY_CAST(s AS DECIMAL(38, 0)) AS c8,
  TRY_CAST(s AS BOOLEAN) AS c9,
  CAST(TRY_CAST(s AS DOUBLE) AS STRING) AS c10,
  CAST(TRY_CAST(s AS DECIMAL(20, 5)) AS STRING) AS c11,
  CAST(CAST(s AS BYTES) AS STRING) AS c12
FROM v;
