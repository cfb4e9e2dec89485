CREATE TABLE r (id INT, dev STRING, v DOUBLE, ok BOOLEAN, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'r', 'format' = 'json');
SELECT order FROM r;
SELECT id, value, r.timestamp FROM r WHERE user = 'x';
SELECT group, COUNT(*) FROM r GROUP BY group;
