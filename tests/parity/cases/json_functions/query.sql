SET 'table.local-time-zone' = 'UTC';
CREATE TABLE d (
  id INT, js STRING, n INT, x DOUBLE, d DECIMAL(8, 3), t STRING, arr ARRAY<INT>, m MAP<STRING, INT>, ts TIMESTAMP(3), bo BOOLEAN
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/d.jsonl', 'format' = 'json');
CREATE TABLE vals (
  id INT, a STRING, la STRING, ab STRING, ai STRING, el STRING, sp STRING, ro STRING, ne STRING, e1 STRING, e2 STRING, e3 STRING, wi STRING, de STRING, le STRING, bare STRING, odd STRING, um STRING
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/vals', 'format' = 'json');
CREATE TABLE queries (
  id INT, q STRING, qa STRING, qw STRING, qc STRING, qe STRING, qo STRING, wild STRING, slice_ STRING, pick_ STRING, deep STRING, arr ARRAY<STRING>, arrw ARRAY<STRING>,
  x1 BOOLEAN, x2 BOOLEAN, x3 BOOLEAN, x4 BOOLEAN, x5 BOOLEAN, j1 BOOLEAN, j2 BOOLEAN, j3 BOOLEAN, j4 BOOLEAN, j5 BOOLEAN, j6 BOOLEAN
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/queries', 'format' = 'json');
CREATE TABLE built (
  id INT, o1 STRING, o2 STRING, o3 STRING, a1 STRING, a2 STRING, a3 STRING, s1 STRING, s2 STRING, s3 STRING, s4 STRING, s5 STRING, s6 STRING, qu STRING, uq STRING, back STRING
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/built', 'format' = 'json');
INSERT INTO vals
SELECT id, JSON_VALUE(js, '$.a'), JSON_VALUE(js, 'lax $.a'), JSON_VALUE(js, '$.b.c[1]'), JSON_VALUE(js, 'lax $.b.c[2].d'), JSON_VALUE(js, '$[1]'), JSON_VALUE(js, '$[''a b''][''x.y'']'),
  JSON_VALUE(js, '$'), JSON_VALUE(js, 'lax $.b.c[-1]'), JSON_VALUE(js, 'lax $.a' DEFAULT 'empty' ON EMPTY DEFAULT 'error' ON ERROR), JSON_VALUE(js, 'strict $.a' NULL ON EMPTY DEFAULT 'error' ON ERROR),
  JSON_VALUE(js, '$.zz' DEFAULT 'e' ON EMPTY DEFAULT 'r' ON ERROR), JSON_VALUE(js, 'lax $.b.c[*]' DEFAULT 'empty' ON EMPTY), JSON_VALUE(js, '$..d' DEFAULT 'error' ON ERROR), JSON_VALUE(js, 'lax $.b.c.length()'),
  JSON_VALUE(js, 'a'), JSON_VALUE(js, '$.a b' DEFAULT 'no path' ON ERROR), JSON_VALUE(js, '$.ä')
FROM d;
INSERT INTO queries
SELECT id, JSON_QUERY(js, '$'), JSON_QUERY(js, '$.a'), JSON_QUERY(js, 'lax $.b' WITH WRAPPER), JSON_QUERY(js, '$.b.c' WITH CONDITIONAL WRAPPER), JSON_QUERY(js, 'lax $.zz' EMPTY ARRAY ON EMPTY EMPTY OBJECT ON ERROR),
  JSON_QUERY(js, 'strict $.a' EMPTY ARRAY ON EMPTY EMPTY OBJECT ON ERROR), JSON_QUERY(js, 'lax $.b.c[*].d'), JSON_QUERY(js, '$.b.c[1:3]'), JSON_QUERY(js, 'lax $.b.c[0,-1]'), JSON_QUERY(js, '$..c'),
  JSON_QUERY(js, '$.b.c' RETURNING ARRAY<STRING>), JSON_QUERY(js, 'lax $.a' RETURNING ARRAY<STRING> WITH WRAPPER EMPTY ARRAY ON EMPTY),
  JSON_EXISTS(js, '$.a'), JSON_EXISTS(js, 'lax $.b.c[0]'), JSON_EXISTS(js, 'strict $.a.deep' TRUE ON ERROR), JSON_EXISTS(js, 'strict $.zz' UNKNOWN ON ERROR), JSON_EXISTS(js, '$.e'),
  js IS JSON, js IS NOT JSON, js IS JSON OBJECT, js IS JSON ARRAY, js IS JSON SCALAR, js IS NOT JSON VALUE
FROM d;
INSERT INTO built
SELECT id, JSON_OBJECT('n' VALUE n, KEY 'a' VALUE t, 'x' : x), JSON_OBJECT('n' VALUE n, 't' VALUE t ABSENT ON NULL), JSON_OBJECT('o' VALUE JSON_OBJECT('arr' VALUE arr, 'm' VALUE m), 'd' VALUE d, 'ts' VALUE ts, 'b' VALUE bo),
  JSON_ARRAY(n, t, bo), JSON_ARRAY(n, t, x NULL ON NULL), JSON_ARRAY(JSON_ARRAY(n), JSON_OBJECT('k' VALUE t), arr),
  JSON_STRING(t), JSON_STRING(x), JSON_STRING(d), JSON_STRING(arr), JSON_STRING(m), JSON_STRING(ts), JSON_QUOTE(t), JSON_UNQUOTE(JSON_QUOTE(t)), JSON_VALUE(JSON_OBJECT('v' VALUE t), '$.v')
FROM d;
