-- Purpose: since when the code of their app does not declare some schedules any more. $1 bigint[]: their ids. Relies on the
-- primary key.
SELECT id, undeclared_at FROM taskmill.schedule
WHERE id = ANY($1) AND managed_by IS NOT NULL AND undeclared_at IS NOT NULL
