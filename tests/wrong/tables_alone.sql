CREATE TABLE q (a INT) WITH ('connector' = 'kafkaa', 'topic' = 'x');
CREATE TABLE q2 (a INT) WITH ('connector' = 'filesystem', 'path' = '/x', 'format' = 'jsn');
