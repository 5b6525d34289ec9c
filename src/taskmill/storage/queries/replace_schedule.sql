-- Purpose: replace what a schedule says, as its next revision; it is locked. $1 bigint id; $2 bigint: its revision; $3 text
-- spec, JSON; $4 text task, JSON; $5 text queue; $6 text type; $7 timestamptz: the tick up to which all is done, $8
-- timestamptz: when there is next something to do; $9 text managed_by; $10 text owner, $11 text[] its quotas; $12 text
-- tz_version.
-- Locks: schedule, schedule_cursor. Relies on the primary keys.
-- Notifies.
WITH moved AS (
    UPDATE taskmill.schedule_cursor
    SET revision = revision + 1,
        owner = coalesce($10, ''),
        cursor_at = $7,
        next_at = $8,
        postponed_since = NULL,
        tz_version = $12
    WHERE schedule_id = $1 AND revision = $2 AND cursor_at <= $7
    RETURNING schedule_id, cursor_at, next_at, held_tick, last_task_id, paused_at, postponed_since, tz_version
),
replaced AS (
    UPDATE taskmill.schedule AS s
    SET revision = s.revision + 1,
        spec = $3::text::json,
        task = $4::text::json,
        queue = $5,
        type = $6,
        managed_by = $9,
        owner = $10,
        owner_quotas = $11,
        updated_at = now()
    FROM moved
    WHERE s.id = moved.schedule_id
    RETURNING
        s.id, s.name, s.revision, s.spec, s.task, s.queue, s.type, s.created_at, s.updated_at, s.managed_by, s.owner,
        s.owner_quotas
),
recorded AS (
    INSERT INTO taskmill.schedule_revision (schedule_id, revision, from_tick, spec, tz_version)
    SELECT s.id, s.revision, c.cursor_at, s.spec, c.tz_version
    FROM replaced AS s JOIN moved AS c ON c.schedule_id = s.id
)
SELECT
    s.id, s.name, s.revision, s.spec, s.task, s.queue, s.type, s.created_at, s.updated_at, s.managed_by, s.owner,
    s.owner_quotas, c.cursor_at, c.next_at, c.held_tick, c.last_task_id, c.paused_at, c.postponed_since,
    c.tz_version, now() AS moment
FROM replaced AS s
JOIN moved AS c ON c.schedule_id = s.id
