SET 'table.local-time-zone' = 'UTC';
CREATE TABLE t (
  i INT, s STRING, x DOUBLE, d DECIMAL(9, 2), ts TIMESTAMP(3)
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/t.jsonl', 'format' = 'json');
CREATE TABLE o (
  i INT, a STRING, b STRING, c STRING, d DOUBLE, e INT, f BOOLEAN, g STRING, h STRING, j DECIMAL(12, 3), k BIGINT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT
  i,
  UPPER(TRIM(s)) || '-' || CAST(i AS STRING),
  SUBSTRING(s FROM 2 FOR 3),
  REPLACE(LOWER(s), 'a', '4'),
  ROUND(SQRT(ABS(x)), 4),
  MOD(i, 7),
  x > 10 AND s IS NOT NULL,
  CASE WHEN i < 3 THEN 'small' WHEN i < 6 THEN s ELSE 'large' END,
  DATE_FORMAT(ts, 'yyyy-MM-dd HH:mm'),
  CAST(d * 2 AS DECIMAL(12, 3)),
  EXTRACT(DAY FROM ts) + HOUR(ts) * 100
FROM t;
