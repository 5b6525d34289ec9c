-- Purpose: read schedules in the order in which they were made. $1 bigint: after this one; $2 integer: the most; $3 integer:
-- bytes of templates and specs, after the first row that reaches these there is no other. Relies on the primary key.
-- `found` counts those that were found, whatever their size.
SELECT
    id, name, revision, spec, task, queue, type, created_at, updated_at, cursor_at, next_at, held_tick, last_task_id,
    paused_at, managed_by, owner, owner_quotas, tz_version, now() AS moment, found
FROM (
    SELECT
        id, name, revision, spec, task, queue, type, created_at, updated_at, cursor_at, next_at, held_tick, last_task_id,
        paused_at, managed_by, owner, owner_quotas, tz_version, count(*) OVER () AS found,
        sum(bytes) OVER (ORDER BY id) - bytes AS bytes_before
    FROM (
        SELECT
            id, name, revision, spec, task, queue, type, created_at, updated_at, cursor_at, next_at, held_tick,
            last_task_id, paused_at, managed_by, owner, owner_quotas, tz_version,
            octet_length(task::text) + octet_length(spec::text) AS bytes
        FROM taskmill.schedule
        WHERE id > $1
        ORDER BY id
        LIMIT $2
    ) AS part
) AS sized
WHERE bytes_before < $3
ORDER BY id
