SET 'table.local-time-zone' = 'UTC';
CREATE TABLE c (
  id INT, a ARRAY<INT>, b ARRAY<INT>, s ARRAY<STRING>, m MAP<STRING, INT>,
  r ROW<x INT, y ROW<z STRING, w ARRAY<INT>>>, n ARRAY<ARRAY<INT>>, i INT, t STRING
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/c.jsonl', 'format' = 'json');
CREATE TABLE access (
  id INT, a1 INT, ai INT, a9 INT, ma INT, mt INT, rx INT, rz STRING, rw INT, n12 INT, nn INT, ca INT, cm INT, cn INT,
  mk INT, ry ROW<z STRING, w ARRAY<INT>>, el INT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/access', 'format' = 'json');
CREATE TABLE sets (
  id INT, has INT, hasnull BOOLEAN, pos INT, rem ARRAY<INT>, dis ARRAY<INT>, rev ARRAY<INT>, sl ARRAY<INT>, sl2 ARRAY<INT>, un ARRAY<INT>,
  cc ARRAY<INT>, ex ARRAY<INT>, ins ARRAY<INT>, mx INT, mn INT, jo STRING, jn STRING, so ARRAY<INT>, sd ARRAY<STRING>, ap ARRAY<INT>, pr ARRAY<STRING>
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/sets', 'format' = 'json');
CREATE TABLE made (
  id INT, lit ARRAY<INT>, dec_ ARRAY<DECIMAL(11, 1)>, mp MAP<STRING, INT>, ro ROW<p INT, q ARRAY<STRING>>, nest ARRAY<ROW<k STRING, v INT>>,
  mkeys ARRAY<STRING>, mvals ARRAY<INT>, mfa MAP<STRING, INT>, mu MAP<STRING, INT>, me ARRAY<ROW<k STRING, v INT>>,
  eqa BOOLEAN, nea BOOLEAN, eqr BOOLEAN, eqm BOOLEAN, inr BOOLEAN, isn BOOLEAN
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/made', 'format' = 'json');
CREATE TABLE casts (
  id INT, ta STRING, ts STRING, tm STRING, tr STRING, tn STRING, big ARRAY<BIGINT>, txt ARRAY<STRING>, named STRING, renamed ROW<uno STRING, dos ROW<c STRING, d ARRAY<STRING>>>, mb MAP<STRING, DOUBLE>, tc ARRAY<INT>
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/casts', 'format' = 'json');
INSERT INTO access
SELECT id, a[1], a[i], a[9], m['a'], m[t], r.x, c.r.y.z, r.y.w[1], n[1][2], CARDINALITY(n[1]), CARDINALITY(a), CARDINALITY(m), CARDINALITY(n),
  MAP[t, id][t], r.y, ELEMENT(ARRAY_SLICE(a, 1, 1))
FROM c WHERE t IS NOT NULL;
INSERT INTO sets
SELECT id, CASE WHEN ARRAY_CONTAINS(a, i) THEN 1 WHEN NOT ARRAY_CONTAINS(a, i) THEN 0 END, ARRAY_CONTAINS(s, CAST(NULL AS STRING)), ARRAY_POSITION(a, i), ARRAY_REMOVE(a, i), ARRAY_DISTINCT(a), ARRAY_REVERSE(a),
  ARRAY_SLICE(a, i, 3), ARRAY_SLICE(a, -2), ARRAY_UNION(a, b), ARRAY_CONCAT(a, b, ARRAY[id]), ARRAY_EXCEPT(a, b), ARRAY_INTERSECT(a, b), ARRAY_MAX(a), ARRAY_MIN(b),
  ARRAY_JOIN(s, '|'), ARRAY_JOIN(s, ', ', t), ARRAY_SORT(a), ARRAY_SORT(s, FALSE), ARRAY_APPEND(a, i), ARRAY_PREPEND(s, t)
FROM c;
INSERT INTO made
SELECT id, ARRAY[i, NULL, i * 2], ARRAY[1.5, i], MAP['k', i, 'l', id], ROW(i, ARRAY[t, 'x']), ARRAY[ROW(t, i), ROW('c', id)],
  ARRAY_SORT(MAP_KEYS(m)), ARRAY_SORT(MAP_VALUES(m)), MAP_FROM_ARRAYS(ARRAY['p', 'q', 'p'], ARRAY[i, id, 7]), MAP_UNION(m, MAP['a', 100, 'z', id]), MAP_ENTRIES(MAP[t, i]),
  a = b, a <> ARRAY_REVERSE(a), ROW(i, t) = ROW(id, 'a'), m = MAP['a', 1], (i, id) IN ((1, 2), (3, 4), (2, 20)), r IS NULL
FROM c WHERE t IS NOT NULL;
INSERT INTO casts
SELECT id, CAST(a AS STRING), CAST(s AS STRING), CAST(MAP['k', i] AS STRING), CAST(r AS STRING), CAST(n AS STRING), CAST(a AS ARRAY<BIGINT>), CAST(a AS ARRAY<STRING>),
  CAST(ROW(id, t) AS ROW<p INT, q STRING>).q, CAST(r AS ROW<uno STRING, dos ROW<c STRING, d ARRAY<STRING>>>), CAST(m AS MAP<STRING, DOUBLE>), TRY_CAST(s AS ARRAY<INT>)
FROM c;
