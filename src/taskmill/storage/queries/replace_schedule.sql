-- Purpose: replace what a schedule says, as its next revision; it is locked. $1 bigint id; $2 bigint: its revision; $3 text
-- spec, JSON; $4 text task, JSON; $5 text queue; $6 text type; $7 timestamptz: the tick up to which all is done, $8
-- timestamptz: when there is next something to do; $9 text managed_by; $10 text owner, $11 text[] its quotas; $12 text
-- tz_version.
-- Locks: schedule. Relies on the primary key.
-- Notifies.
WITH replaced AS (
    UPDATE taskmill.schedule
    SET revision = revision + 1,
        spec = $3::text::json,
        task = $4::text::json,
        queue = $5,
        type = $6,
        cursor_at = $7,
        next_at = $8,
        managed_by = $9,
        owner = $10,
        owner_quotas = $11,
        tz_version = $12,
        updated_at = now()
    WHERE id = $1 AND revision = $2 AND cursor_at <= $7
    RETURNING
        id, name, revision, spec, task, queue, type, created_at, updated_at, cursor_at, next_at, held_tick, last_task_id,
        paused_at, managed_by, owner, owner_quotas, tz_version
),
recorded AS (
    INSERT INTO taskmill.schedule_revision (schedule_id, revision, from_tick, spec, tz_version)
    SELECT id, revision, cursor_at, spec, tz_version FROM replaced
)
SELECT
    id, name, revision, spec, task, queue, type, created_at, updated_at, cursor_at, next_at, held_tick, last_task_id,
    paused_at, managed_by, owner, owner_quotas, tz_version, now() AS moment
FROM replaced
