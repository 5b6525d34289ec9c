-- Purpose: whether a week has tasks. $1 and $2 uuid: the first id in it, and the first one after it. Relies on the
-- primary key.
SELECT EXISTS (SELECT FROM taskmill.task WHERE id >= $1 AND id < $2)
