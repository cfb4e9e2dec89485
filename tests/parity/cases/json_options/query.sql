SET 'table.local-time-zone' = 'UTC';
CREATE TABLE src (id INT, d DECIMAL(8, 3), big DECIMAL(38, 2), f FLOAT, m MAP<STRING, INT>, r ROW<x INT, y STRING>, ts TIMESTAMP(3), lz TIMESTAMP_LTZ(3), b BYTES) WITH (
  'connector' = 'filesystem', 'path' = '{{dir}}/input/src.jsonl', 'format' = 'json', 'json.ignore-parse-errors' = 'true', 'json.timestamp-format.standard' = 'ISO-8601'
);
CREATE TABLE o (id INT, d DECIMAL(8, 3), big DECIMAL(38, 2), m MAP<STRING, INT>, r ROW<x INT, y STRING>, ts TIMESTAMP(3), lz TIMESTAMP_LTZ(3), b BYTES) WITH (
  'connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json', 'json.encode.ignore-null-fields' = 'true', 'json.encode.decimal-as-plain-number' = 'true', 'json.timestamp-format.standard' = 'ISO-8601', 'json.map-null-key.mode' = 'DROP'
);
CREATE TABLE p (id INT, f FLOAT, ts TIMESTAMP(3), lz TIMESTAMP_LTZ(3), big DECIMAL(38, 2)) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/p', 'format' = 'json');
INSERT INTO o SELECT id, d, big, m, r, ts, lz, b FROM src;
INSERT INTO p SELECT id, f, ts, lz, big FROM src;
