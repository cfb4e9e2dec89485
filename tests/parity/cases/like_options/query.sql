SET 'table.local-time-zone' = 'UTC';
CREATE TABLE src (
  id BIGINT, price DOUBLE, quantity INT, name VARCHAR(5), ts TIMESTAMP(3), total AS price * quantity,
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/src.jsonl', 'format' = 'json');
CREATE TABLE all_in (extra STRING) WITH ('path' = '{{dir}}/input/src.jsonl') LIKE src;
CREATE TABLE no_time (ts2 AS CAST(ts AS DATE)) LIKE src (EXCLUDING WATERMARKS EXCLUDING GENERATED);
CREATE TABLE other_total (total AS price + quantity, WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) LIKE src (OVERWRITING GENERATED OVERWRITING WATERMARKS);
CREATE TABLE nothing_but_columns (k STRING) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/a', 'format' = 'json') LIKE src (EXCLUDING ALL);
CREATE TABLE b (ws TIMESTAMP(3), kind STRING, n BIGINT, s DOUBLE) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/b', 'format' = 'json');
CREATE TABLE c WITH ('path' = '{{dir}}/out/c') LIKE b;
INSERT INTO nothing_but_columns SELECT id, price, quantity, name, ts, extra FROM all_in;
INSERT INTO nothing_but_columns SELECT id, price, quantity, name, ts, CAST(ts2 AS STRING) FROM no_time;
INSERT INTO b SELECT window_start, 'all', COUNT(*), SUM(total) FROM TABLE(TUMBLE(TABLE all_in, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end;
INSERT INTO c SELECT window_start, 'other', COUNT(*), SUM(total) FROM TABLE(TUMBLE(TABLE other_total, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end;
