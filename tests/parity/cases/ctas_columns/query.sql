SET 'table.local-time-zone' = 'UTC';
CREATE TABLE src (
  id BIGINT, price DOUBLE, quantity INT, name VARCHAR(5), ts TIMESTAMP(3), total AS price * quantity,
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/src.jsonl', 'format' = 'json');
CREATE TABLE plain WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/plain', 'format' = 'json') AS SELECT id, id, name, price * 2, 'x' AS x, CAST(quantity AS DECIMAL(5, 1)) / 3 AS third FROM src;
CREATE TABLE own (`desc` STRING, quantity DOUBLE, cost AS price * quantity, WATERMARK FOR ts AS ts) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/own', 'format' = 'json') AS SELECT id, price, quantity, ts FROM src WHERE id > 1;
CREATE TABLE turned (ts, name, id) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/turned', 'format' = 'json') AS SELECT id, name, ts FROM src;
CREATE OR REPLACE TABLE turned WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/turned2', 'format' = 'json') AS VALUES (1, 'a', CAST(NULL AS INT)), (2, 'bb', 3);
CREATE TABLE derived_again WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/again', 'format' = 'json') AS SELECT cost, `desc`, quantity FROM (SELECT id, price, quantity, CAST(NULL AS STRING) AS `desc`, price * quantity AS cost FROM src);
