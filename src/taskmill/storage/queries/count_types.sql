-- Purpose: how many types would have a contract with these. $1 text[]: types that get one. Reads only.
SELECT count(*) FROM (SELECT name FROM taskmill.task_type UNION SELECT unnest($1::text[])) AS named (name)
