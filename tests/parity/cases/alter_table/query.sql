SET 'table.local-time-zone' = 'UTC';
CREATE TABLE src (
  id BIGINT, price DOUBLE, quantity INT, name VARCHAR(5), ts TIMESTAMP(3), total AS price * quantity,
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/src.jsonl', 'format' = 'json');
CREATE TABLE o (x INT, y STRING) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/wrong', 'format' = 'csv', 'csv.field-delimiter' = ';');
ALTER TABLE o SET ('path' = '{{dir}}/out/o', 'format' = 'json');
ALTER TABLE o RESET ('csv.field-delimiter');
ALTER TABLE o ADD (d DOUBLE FIRST, `end` TIMESTAMP(3) AFTER d, n BIGINT);
ALTER TABLE o MODIFY x BIGINT AFTER n;
ALTER TABLE o RENAME y TO name;
ALTER TABLE o DROP n;
ALTER TABLE o RENAME TO p;
ALTER TABLE src ADD (later AS ts + INTERVAL '1' DAY, doubled AS price * 2);
ALTER TABLE src MODIFY WATERMARK FOR ts AS ts - INTERVAL '1' HOUR;
ALTER TABLE src MODIFY total AS price * 10;
CREATE VIEW v AS SELECT id FROM src;
ALTER TABLE src DROP doubled;
ALTER TABLE src ADD again INT;
INSERT INTO p SELECT total, later, name, id FROM src;
ALTER VIEW v AS SELECT ts, id FROM src WHERE id > 2;
ALTER VIEW v RENAME TO w;
INSERT INTO p (x, `end`) SELECT id, ts FROM w;
