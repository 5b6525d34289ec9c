-- Purpose: do what lock_due_schedules does where more is due than it takes: each owner gets the same number, so that nobody
-- waits for all of another one. $1 integer: the most of all together, but one of each owner at least.
-- Locks: as lock_due_schedules. Relies on schedule_owner_due: it reads a row or two of each owner, of a thousand at most.
WITH RECURSIVE owner AS (
    (SELECT owner AS name FROM taskmill.schedule_cursor WHERE paused_at IS NULL ORDER BY owner LIMIT 1)
    UNION ALL
    SELECT (
        SELECT c.owner FROM taskmill.schedule_cursor AS c
        WHERE c.paused_at IS NULL AND c.owner > owner.name
        ORDER BY c.owner
        LIMIT 1
    )
    FROM owner
    WHERE owner.name IS NOT NULL
),
due AS MATERIALIZED (
    SELECT name
    FROM (SELECT name FROM owner LIMIT 1000) AS known
    WHERE EXISTS (
        SELECT FROM taskmill.schedule_cursor AS c
        WHERE c.paused_at IS NULL AND c.owner = known.name AND c.next_at <= now()
    )
),
locked AS MATERIALIZED (
    SELECT
        own.schedule_id, own.revision, own.cursor_at, own.next_at, own.held_tick, own.last_task_id, own.paused_at,
        own.postponed_since, own.tz_version
    FROM due
    CROSS JOIN LATERAL (
        SELECT
            c.schedule_id, c.revision, c.cursor_at, c.next_at, c.held_tick, c.last_task_id, c.paused_at, c.postponed_since,
            c.tz_version
        FROM taskmill.schedule_cursor AS c
        WHERE c.paused_at IS NULL AND c.owner = due.name AND c.next_at <= now()
        ORDER BY c.next_at
        LIMIT (SELECT greatest($1::integer / count(*), 1) FROM due)
        FOR UPDATE SKIP LOCKED
    ) AS own
)
SELECT
    s.id, s.name, s.revision, s.spec, s.task, s.queue, s.type, s.created_at, s.updated_at, s.managed_by, s.owner,
    s.owner_quotas, c.cursor_at, c.next_at, c.held_tick, c.last_task_id, c.paused_at, c.postponed_since,
    c.tz_version, now() AS moment
FROM locked AS c
JOIN taskmill.schedule AS s ON s.id = c.schedule_id AND s.revision = c.revision
