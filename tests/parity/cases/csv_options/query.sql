SET 'table.local-time-zone' = 'UTC';
CREATE TABLE src (id INT, s STRING, v DOUBLE, ok BOOLEAN, tags ARRAY<STRING>) WITH (
  'connector' = 'filesystem', 'path' = '{{dir}}/input/src.csv', 'format' = 'csv', 'csv.field-delimiter' = ';', 'csv.quote-character' = '''', 'csv.allow-comments' = 'true',
  'csv.null-literal' = 'n/a', 'csv.ignore-parse-errors' = 'true', 'csv.array-element-delimiter' = '|', 'csv.escape-character' = '\'
);
CREATE TABLE o (id INT, s STRING, v DOUBLE, ok BOOLEAN, tags ARRAY<STRING>) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o SELECT * FROM src;
CREATE TABLE w (id INT, s STRING, v DOUBLE, d DECIMAL(20, 10), dt DATE, ts TIMESTAMP(3), y BYTES, tags ARRAY<STRING>) WITH (
  'connector' = 'filesystem', 'path' = '{{dir}}/out/w', 'format' = 'csv', 'csv.field-delimiter' = ';', 'csv.null-literal' = 'NULL', 'csv.array-element-delimiter' = '/', 'csv.write-bigdecimal-in-scientific-notation' = 'false'
);
INSERT INTO w (id, s, v, d, dt, ts, y, tags) SELECT id, s, v, CAST(v AS DECIMAL(20, 10)) / 1000000, DATE '2024-01-01', TIMESTAMP '2024-01-01 00:00:00.5', X'00FF', tags FROM src;
CREATE TABLE q (a STRING, b STRING, c INT) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/q', 'format' = 'csv', 'csv.disable-quote-character' = 'true', 'csv.field-delimiter' = '\t');
INSERT INTO q VALUES ('a b', 'say "x"', 1), ('', CAST(NULL AS STRING), CAST(NULL AS INT)), ('semi;colon', 'comma,', -1);
