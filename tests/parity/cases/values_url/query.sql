SET 'table.local-time-zone' = 'UTC';
CREATE TABLE v (
  id INT,
  s STRING,
  p STRING,
  k STRING
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
  c9 BIGINT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT
  id AS id,
  PARSE_URL(s, p) AS c0,
  PARSE_URL(s, 'QUERY', k) AS c1,
  PARSE_URL(s, p, 'k') AS c2,
  PARSE_URL(s, 'HOST') AS c3,
  PARSE_URL(s, 'PATH') AS c4,
  PARSE_URL(s, 'FILE') AS c5,
  URL_ENCODE(s) AS c6,
  URL_DECODE(s) AS c7,
  URL_DECODE(URL_ENCODE(s)) AS c8,
  INET_ATON(s) AS c9
FROM v;
