SET 'table.local-time-zone' = 'UTC';
CREATE TABLE v (
  id INT,
  s STRING,
  h STRING,
  n INT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/v.jsonl', 'format' = 'json');
CREATE TABLE o (
  id INT,
  c0 STRING,
  c1 STRING,
  c2 STRING,
  c3 STRING,
  c4 STRING,
  c5 STRING,
  c6 STRING,
  c7 STRING,
  c8 STRING,
  c9 STRING,
  c10 STRING,
  c11 STRING,
  c12 BYTES,
  c13 BYTES,
  c14 BYTES,
  c15 BYTES
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT
  id AS id,
  MD5(s) AS c0,
  SHA1(s) AS c1,
  SHA224(s) AS c2,
  SHA256(s) AS c3,
  SHA2(s, n) AS c4,
  TO_BASE64(s) AS c5,
  FROM_BASE64(TO_BASE64(s)) AS c6,
  HEX(s) AS c7,
  DECODE(ENCODE(s, 'UTF-8'), 'UTF-8') AS c8,
  DECODE(ENCODE(s, 'ISO-8859-1'), 'ISO-8859-1') AS c9,
  DECODE(ENCODE(s, 'UTF-16BE'), 'UTF-16BE') AS c10,
  DECODE(ENCODE(s, 'US-ASCII'), 'US-ASCII') AS c11,
  UNHEX(h) AS c12,
  ENCODE(s, 'UTF-16') AS c13,
  ENCODE(s, 'UTF-16LE') AS c14,
  CAST(s AS BYTES) AS c15
FROM v;
