-- Purpose: the task with a number in a range of ids. $1 uuid from, $2 uuid up to (exclusive); $3 bigint.
-- Reads only; relies on task's primary key: numbers have no index.
SELECT id FROM taskmill.task WHERE id >= $1 AND id < $2 AND number = $3 LIMIT 1
