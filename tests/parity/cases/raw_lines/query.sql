CREATE TABLE lines (line STRING) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/lines.txt', 'format' = 'raw');
CREATE TABLE o (line STRING, n INT) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o SELECT line, CHAR_LENGTH(line) FROM lines;
