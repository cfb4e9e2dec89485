CREATE TABLE readings (
  k INT, n INT, b BIGINT, d DECIMAL(10, 2), x TINYINT, f FLOAT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/readings.jsonl', 'format' = 'json');
CREATE TABLE plain (an INT, ax TINYINT, ab BIGINT, ad DECIMAL(38, 6), af FLOAT) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/plain', 'format' = 'json');
CREATE TABLE beside (an INT, ax TINYINT, ab BIGINT, ad DECIMAL(38, 6), af FLOAT, sf FLOAT) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/beside', 'format' = 'json');
CREATE TABLE group_window (an INT, ax TINYINT, vn INT) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/group_window', 'format' = 'json');
CREATE TABLE sessions (an INT, ax TINYINT, vx TINYINT) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/sessions', 'format' = 'json');
CREATE TABLE inside (y BIGINT) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/inside', 'format' = 'json');
INSERT INTO plain
SELECT AVG(n), AVG(x), AVG(b), AVG(d), AVG(f) FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '6' SECOND)) GROUP BY window_start, window_end;
INSERT INTO beside
SELECT AVG(n), AVG(x), AVG(b), AVG(d), AVG(f), STDDEV_POP(f) FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '6' SECOND)) GROUP BY window_start, window_end;
INSERT INTO group_window
SELECT AVG(n), AVG(x), VAR_SAMP(n) FROM readings GROUP BY HOP(ts, INTERVAL '3' SECOND, INTERVAL '6' SECOND);
INSERT INTO sessions
SELECT AVG(n), AVG(x), VAR_POP(x) FROM TABLE(SESSION(TABLE readings PARTITION BY k, DESCRIPTOR(ts), INTERVAL '2' SECOND)) GROUP BY k, window_start, window_end;
INSERT INTO inside
SELECT AVG(n) + CAST(STDDEV_SAMP(b) AS BIGINT) * 0 FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '6' SECOND)) GROUP BY window_start, window_end;
