-- Purpose: delete a schedule by its name; its fires, revisions and tasks stay. $1 text; $2 bigint[]: the revisions that it may
-- have, null for any. Locks: schedule, schedule_cursor. Relies on schedule_name.
WITH deleted AS (
    DELETE FROM taskmill.schedule WHERE name = $1 AND ($2::bigint[] IS NULL OR revision = ANY($2))
    RETURNING id
)
DELETE FROM taskmill.schedule_cursor WHERE schedule_id = (SELECT id FROM deleted)
RETURNING schedule_id
