-- Purpose: the first task whose id is at least $1 uuid, with its number. Reads only; relies on task's primary key.
SELECT id, number FROM taskmill.task WHERE id >= $1 ORDER BY id LIMIT 1
