-- Purpose: the weeks that `task` has partitions for, as their suffixes. Reads the catalogue only.
SELECT substring(child.relname FROM '^task_(\d{4}w\d{2})$') AS suffix
FROM pg_inherits
JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = 'taskmill.task'::regclass AND child.relname ~ '^task_\d{4}w\d{2}$'
