SET 'table.local-time-zone' = 'UTC';
CREATE TABLE o (a BIGINT, b STRING, c DECIMAL(20, 4), d DOUBLE, e DATE, f BOOLEAN, g BYTES, h TIMESTAMP(3)) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o VALUES (1, 'ab', 2.5, 1e0, DATE '2024-02-29', TRUE, X'0A', TIMESTAMP '2024-01-01 00:00:00.123'), (-20, 'abc', 100, -1.5E-3, DATE '0001-01-01', FALSE, X'', TIMESTAMP '1969-12-31 23:59:59.999');
INSERT INTO o (b, a) VALUES ('x', 9), ('it''s', 3000000000);
INSERT INTO o (a) VALUES (CAST(NULL AS INT)), (CAST('12' AS TINYINT));
INSERT INTO o (a, c) SELECT x, y FROM (VALUES (1, 0.5), (2, 10), (CAST(3 AS SMALLINT), 1234567.25)) AS t (x, y) WHERE x <> 2;
INSERT INTO o (a, b) SELECT 1 + 2, 'one row';
INSERT INTO o (a, b) WITH v AS (SELECT EXPR$0 AS k, EXPR$1 AS s FROM (VALUES (7, 'seven'), (8, 'eight'))) SELECT k, s FROM (SELECT k, UPPER(s) AS s FROM v UNION ALL SELECT 0, 'zero' UNION ALL VALUES (100, 'hundred'));
