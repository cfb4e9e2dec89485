-- a view that nothing uses is looked at all the same
CREATE TABLE r (id BIGINT, b BOOLEAN) WITH ('connector' = 'datagen', 'number-of-rows' = '1');
CREATE VIEW days AS SELECT id, CAST(b AS DATE) AS d FROM r;
SELECT id FROM r;
