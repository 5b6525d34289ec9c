-- Purpose: store a new schedule, its cursor, and its first revision. $1 text name; $2 text spec, JSON; $3 text task, JSON; $4
-- text queue; $5 text type; $6 timestamptz: when it begins, $7 timestamptz: when there is first something to do; $8 text
-- managed_by; $9 text owner, $10 text[] its quotas; $11 text tz_version.
-- Locks: schedule. Relies on schedule_name. Returns nothing if there is one of that name.
-- Notifies.
WITH created AS (
    INSERT INTO taskmill.schedule (name, spec, task, queue, type, managed_by, owner, owner_quotas)
    VALUES ($1, $2::text::json, $3::text::json, $4, $5, $8, $9, $10)
    ON CONFLICT (name) DO NOTHING
    RETURNING
        id, name, revision, spec, task, queue, type, created_at, updated_at, managed_by, owner, owner_quotas
),
begun AS (
    INSERT INTO taskmill.schedule_cursor (schedule_id, revision, owner, cursor_at, next_at, tz_version)
    SELECT id, revision, coalesce(owner, ''), $6, $7, $11 FROM created
    RETURNING schedule_id, cursor_at, next_at, held_tick, last_task_id, paused_at, postponed_since, tz_version
),
recorded AS (
    INSERT INTO taskmill.schedule_revision (schedule_id, revision, from_tick, spec, tz_version)
    SELECT s.id, s.revision, c.cursor_at, s.spec, c.tz_version
    FROM created AS s JOIN begun AS c ON c.schedule_id = s.id
)
SELECT
    s.id, s.name, s.revision, s.spec, s.task, s.queue, s.type, s.created_at, s.updated_at, s.managed_by, s.owner,
    s.owner_quotas, c.cursor_at, c.next_at, c.held_tick, c.last_task_id, c.paused_at, c.postponed_since,
    c.tz_version, now() AS moment
FROM created AS s
JOIN begun AS c ON c.schedule_id = s.id
