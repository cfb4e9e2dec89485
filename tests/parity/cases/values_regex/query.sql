SET 'table.local-time-zone' = 'UTC';
CREATE TABLE v (
  id INT,
  s STRING,
  p STRING,
  g INT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/v.jsonl', 'format' = 'json');
CREATE TABLE o (
  id INT,
  c0 BOOLEAN,
  c1 BOOLEAN,
  c2 BOOLEAN,
  c3 STRING,
  c4 STRING,
  c5 STRING,
  c6 STRING,
  c7 STRING,
  c8 INT,
  c9 INT,
  c10 ARRAY<STRING>,
  c11 ARRAY<STRING>
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT
  id AS id,
  REGEXP(s, p) AS c0,
  REGEXP(s, '(?i)[aeiou]{2}') AS c1,
  REGEXP(s, '^(?!.*[0-9]).+$') AS c2,
  REGEXP_EXTRACT(s, p) AS c3,
  REGEXP_EXTRACT(s, p, g) AS c4,
  REGEXP_REPLACE(s, p, '<$1>') AS c5,
  REGEXP_REPLACE(s, '([a-z])\1', p) AS c6,
  REGEXP_SUBSTR(s, p) AS c7,
  REGEXP_COUNT(s, p) AS c8,
  REGEXP_INSTR(s, p) AS c9,
  REGEXP_EXTRACT_ALL(s, p) AS c10,
  REGEXP_EXTRACT_ALL(s, p, g) AS c11
FROM v;
