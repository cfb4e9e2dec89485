CREATE TABLE r (id INT, dev STRING, v DOUBLE, ok BOOLEAN, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'r', 'format' = 'json');
CREATE TABLE o (dev STRING, n BIGINT) ('connector' = 'print');
CREATE TABLE t (id INT, ts TIMESTAMP(3), WATERMARK ts AS ts) WITH ('connector' = 'datagen');
CREATE TABLE u (id INT, ts TIMESTAMP(3), WATERMARK FOR ts AS id) WITH ('connector' = 'datagen');
CREATE TEMPORARY VEIW x AS SELECT 1;
WITH x AS SELECT dev FROM r SELECT * FROM x;
SELECT id dev v FROM r;
SELECT id dev, v ok, ts d dc FROM r;
SELECT FROM r;
SELECT CASE WHEN id > 1 THEN 1 FROM r;
SELECT dev FROM r WHERE dev IN ();
SELECT dev FROM r WHERE id BETWEEN 1;
SELECT dev FROM r WHERE id IS 3;
CREATE VIEW v1 AS SELECT dev FROM r WHERE ok = 1;
MERGE INTO r USING o ON r.dev = o.dev WHEN MATCHED THEN DELETE;
EXECUTE STATEMENT SET BEGIN INSERT INTO o SELECT dev, id FROM r END;
