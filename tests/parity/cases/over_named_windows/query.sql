SET 'table.local-time-zone' = 'UTC';
SET 'pipeline.auto-watermark-interval' = '0';
CREATE TABLE r (
  seq INT, ts TIMESTAMP(3), v INT, WATERMARK FOR ts AS ts - INTERVAL '30' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/input/r.jsonl', 'format' = 'json');
CREATE TABLE o (
  k STRING, seq INT, a INT, b BIGINT
) WITH ('connector' = 'filesystem', 'path' = '{{dir}}/out/o', 'format' = 'json');
INSERT INTO o SELECT 'refined', seq, SUM(v) OVER (w ORDER BY ts), COUNT(*) OVER (w ORDER BY ts) FROM r WINDOW w AS (PARTITION BY v);
INSERT INTO o SELECT 'named', seq, SUM(v) OVER w, COUNT(*) OVER (w) FROM r WINDOW w AS (PARTITION BY MOD(v, 3) ORDER BY ts);
INSERT INTO o SELECT 'twice', seq, SUM(v) OVER u, COUNT(v) OVER u FROM r WINDOW w AS (PARTITION BY MOD(v, 3)), u AS (w ORDER BY ts);
INSERT INTO o SELECT 'top', seq, v, rn FROM (
  SELECT seq, v, ROW_NUMBER() OVER w AS rn FROM TABLE(TUMBLE(TABLE r, DESCRIPTOR(ts), INTERVAL '20' SECOND))
  WINDOW w AS (PARTITION BY window_start, window_end ORDER BY v DESC, seq)
) WHERE rn <= 3;
