CREATE TABLE t (a STRING,
  x AS UPPER(a, a),
  y AS a + 1) WITH ('connector' = 'datagen', 'number-of-rows' = '3');
SELECT a FROM t;
