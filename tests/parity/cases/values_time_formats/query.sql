SET 'table.local-time-zone' = 'UTC';
CREATE TABLE v (
  id INT,
  t TIMESTAMP(3),
  n BIGINT,
  s STRING,
  p STRING
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
  c12 STRING,
  c13 STRING,
  c14 DATE,
  c15 TIMESTAMP(3),
  c16 TIMESTAMP(3),
  c17 BIGINT,
  c18 TIMESTAMP_LTZ(3),
  c19 TIMESTAMP_LTZ(3)
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT
  id AS id,
  DATE_FORMAT(t, 'yyyy-MM-dd HH:mm:ss.SSS') AS c0,
  DATE_FORMAT(t, 'yy/M/d h:m:s a') AS c1,
  DATE_FORMAT(t, 'EEE, EEEE d MMM MMMM') AS c2,
  DATE_FORMAT(t, 'D K k H') AS c3,
  DATE_FORMAT(t, 'yyyyMMdd''T''HHmmss') AS c4,
  DATE_FORMAT(t, 'Q q QQQ') AS c5,
  DATE_FORMAT(t, 'e c') AS c6,
  DATE_FORMAT(t, 'w W') AS c7,
  DATE_FORMAT(t, 'YYYY-ww') AS c8,
  DATE_FORMAT(t, 'G A n N') AS c9,
  DATE_FORMAT(t, p) AS c10,
  FROM_UNIXTIME(n) AS c11,
  FROM_UNIXTIME(n, 'yyyy/MM/dd HH') AS c12,
  FROM_UNIXTIME(n, 'EEE d MMM yy h:mm a') AS c13,
  TO_DATE(s, p) AS c14,
  TO_TIMESTAMP(s, p) AS c15,
  TO_TIMESTAMP(s) AS c16,
  UNIX_TIMESTAMP(s, p) AS c17,
  TO_TIMESTAMP_LTZ(n, 0) AS c18,
  TO_TIMESTAMP_LTZ(n, 3) AS c19
FROM v;
