CREATE TABLE s (a INT) WITH ('conector' = 'print');
INSERT INTO s VALUES (1);
