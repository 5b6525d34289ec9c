-- Purpose: record that the code of its app does not declare a schedule any more, or that it does again; it is locked. $1 bigint:
-- its id; $2 boolean: whether it does not. Locks: schedule. Relies on the primary key. The time is that of a pause in the same
-- transaction.
UPDATE taskmill.schedule SET undeclared_at = CASE WHEN $2 THEN now() END
WHERE id = $1
