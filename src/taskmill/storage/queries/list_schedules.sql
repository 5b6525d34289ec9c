-- Purpose: read schedules in the order in which they were made. $1 bigint: after this one; $2 integer: the most; $3 integer:
-- bytes of templates and specs, after the first row that reaches these there is no other. Relies on the primary keys.
-- `found` counts those that were found, whatever their size.
SELECT
    s.id, s.name, s.revision, s.spec, s.task, s.queue, s.type, s.created_at, s.updated_at, s.managed_by, s.owner,
    s.owner_quotas, c.cursor_at, c.next_at, c.held_tick, c.last_task_id, c.paused_at, c.postponed_since,
    c.tz_version, now() AS moment, s.found
FROM (
    SELECT
        id, name, revision, spec, task, queue, type, created_at, updated_at, managed_by, owner, owner_quotas,
        count(*) OVER () AS found, sum(bytes) OVER (ORDER BY id) - bytes AS bytes_before
    FROM (
        SELECT
            id, name, revision, spec, task, queue, type, created_at, updated_at, managed_by, owner, owner_quotas,
            octet_length(task::text) + octet_length(spec::text) AS bytes
        FROM taskmill.schedule
        WHERE id > $1
        ORDER BY id
        LIMIT $2
    ) AS part
) AS s
JOIN taskmill.schedule_cursor AS c ON c.schedule_id = s.id
WHERE s.bytes_before < $3
ORDER BY s.id
