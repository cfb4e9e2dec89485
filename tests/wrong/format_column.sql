CREATE TABLE t (
  a STRING,
  m MAP<INT, STRING>
) WITH ('connector' = 'filesystem', 'path' = 'x', 'format' = 'csv');
SELECT a FROM t;
