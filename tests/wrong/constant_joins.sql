CREATE TABLE r (id INT, ts TIMESTAMP(3)) WITH ('connector' = 'filesystem', 'path' = 'r', 'format' = 'json');
CREATE VIEW v1 AS SELECT r.id, w.name FROM r FULL JOIN (VALUES (0, 'x')) AS w (id, name) ON r.id = w.id;
CREATE VIEW v2 AS SELECT r.id FROM r JOIN (SELECT CAST('x' AS INT) AS id FROM (VALUES (1)) AS u (a)) AS w ON r.id = w.id;
SELECT id FROM v1;
