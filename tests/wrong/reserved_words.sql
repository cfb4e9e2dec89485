CREATE TABLE r (id INT, dev STRING, v DOUBLE, ok BOOLEAN, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'r', 'format' = 'json');
CREATE VIEW v1 AS SELECT order FROM r;
CREATE VIEW v2 AS SELECT id, value, r.timestamp FROM r WHERE user = 'x';
CREATE VIEW v3 AS SELECT group, COUNT(*) FROM r GROUP BY group;
CREATE VIEW v4 AS SELECT id AS value, dev AS user FROM r;
SELECT id FROM r;
