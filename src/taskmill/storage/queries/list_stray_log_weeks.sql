-- Purpose: the weeks of `task_log` whose week of `task` is gone, as their suffixes. Reads the catalogue only.
SELECT substring(child.relname FROM '^task_log_(\d{4}w\d{2})$') AS suffix
FROM pg_inherits
JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = 'taskmill.task_log'::regclass
    AND child.relname ~ '^task_log_\d{4}w\d{2}$'
    AND NOT EXISTS (
        SELECT FROM pg_class AS week
        WHERE week.relname = replace(child.relname, 'task_log_', 'task_')
            AND week.relnamespace = child.relnamespace
    )
