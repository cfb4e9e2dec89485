SET 'table.local-time-zone' = 'UTC';
CREATE TABLE pt (a INT, d STRING, h INT) PARTITIONED BY (d, h) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/pt', 'format' = 'json');
CREATE TABLE src (id BIGINT, name STRING) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/nowhere', 'format' = 'json');
CREATE TABLE o (id BIGINT, name STRING) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO pt PARTITION (d = 'x', h = 3) SELECT 1;
INSERT INTO pt PARTITION (d = 'y') SELECT 2, 4;
INSERT INTO pt PARTITION (h = '7') (d, a) SELECT 'z', 3;
INSERT INTO o SELECT /*+ STATE_TTL('s' = '1d') */ s.id, name FROM src /*+ OPTIONS('path' = '{{dir}}/input/src.jsonl') */ AS s WHERE s.id < 3;
INSERT INTO o /*+ OPTIONS('path' = '{{dir}}/out/other', 'format' = 'csv') */ SELECT src.id, name FROM src /*+ OPTIONS('path' = '{{dir}}/input/src.jsonl', 'json.fail-on-missing-field' = 'true') */;
