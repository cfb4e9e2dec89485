CREATE TABLE out_table (device STRING, n BIGINT) WITH ('connector' = 'print');
INSERT INTO out_table VALUES ('a', 1), ('b');
