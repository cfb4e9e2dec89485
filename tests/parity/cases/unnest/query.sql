SET 'table.local-time-zone' = 'UTC';
CREATE TABLE e (
  id INT, ts TIMESTAMP(3), device STRING, xs ARRAY<INT>, names ARRAY<STRING>, ms ARRAY<ROW<name STRING, v DOUBLE>>, m MAP<STRING, INT>, n ARRAY<ARRAY<INT>>,
  WATERMARK FOR ts AS ts
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/e.jsonl', 'format' = 'json');
CREATE TABLE flat (
  kind STRING, id INT, x INT, y STRING, z DOUBLE, o INT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/flat', 'format' = 'json');
CREATE TABLE wins (
  name STRING, ws TIMESTAMP(3), n BIGINT, top_v DOUBLE
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/wins', 'format' = 'json');
CREATE VIEW flat_rows AS SELECT u.name, u.v, e.ts FROM e CROSS JOIN UNNEST(e.ms) AS u;
INSERT INTO flat SELECT 'cross', id, x, device, CAST(NULL AS DOUBLE), 0 FROM e CROSS JOIN UNNEST(xs) AS u(x);
INSERT INTO flat SELECT 'left', id, x, device, CAST(NULL AS DOUBLE), 0 FROM e LEFT JOIN UNNEST(e.xs) AS u(x) ON TRUE;
INSERT INTO flat SELECT 'comma', id, CHAR_LENGTH(nm), nm, CAST(NULL AS DOUBLE), 0 FROM e, UNNEST(names) AS u(nm) WHERE nm <> '' AND id > 3;
INSERT INTO flat SELECT 'rows', t.id, 0, u.name, u.v, 0 FROM e AS t CROSS JOIN UNNEST(t.ms) AS u;
INSERT INTO flat SELECT 'renamed', id, 0, nm, val, 0 FROM e LEFT JOIN UNNEST(ms) AS u(nm, val) ON TRUE;
INSERT INTO flat SELECT 'map', id, v, k, CAST(NULL AS DOUBLE), 0 FROM e CROSS JOIN UNNEST(m) AS u(k, v);
INSERT INTO flat SELECT 'ordinality', id, x, CAST(NULL AS STRING), CAST(NULL AS DOUBLE), o FROM e CROSS JOIN UNNEST(xs) WITH ORDINALITY AS u(x, o);
INSERT INTO flat SELECT 'nested', id, y, CAST(NULL AS STRING), CAST(NULL AS DOUBLE), CARDINALITY(x) FROM e, UNNEST(n) AS u(x), UNNEST(x) AS w(y);
INSERT INTO flat SELECT 'made', id, x, device, CAST(NULL AS DOUBLE), 0 FROM e CROSS JOIN UNNEST(ARRAY[id, id * 10]) AS u(x) WHERE id < 3;
INSERT INTO flat SELECT 'filtered', id, x, device, CAST(NULL AS DOUBLE), 0 FROM (SELECT id, xs, device FROM e WHERE MOD(id, 2) = 0) AS h JOIN UNNEST(ARRAY_SORT(xs)) AS u(x) ON x > 0;
INSERT INTO wins
SELECT name, window_start, COUNT(*), MAX(v)
FROM TABLE(TUMBLE(TABLE flat_rows, DESCRIPTOR(ts), INTERVAL '20' SECOND)) GROUP BY name, window_start, window_end;
