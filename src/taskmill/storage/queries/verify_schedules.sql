-- Purpose: schedules with their cursors, and the tick of the latest fire of each that its cursor must have come past.
-- $1 bigint: after this one; $2 integer: the most.
-- Reads only; relies on the primary keys. Fires that were asked for by hand count for no cursor.
SELECT s.id, s.name, c.cursor_at, latest.tick AS latest_tick
FROM taskmill.schedule AS s
JOIN taskmill.schedule_cursor AS c ON c.schedule_id = s.id
LEFT JOIN LATERAL (
    SELECT coalesce(f.until_tick, f.tick) AS tick
    FROM taskmill.schedule_fire AS f
    WHERE f.schedule_id = s.id AND f.cause IN ('tick', 'catch_up')
    ORDER BY f.tick DESC
    LIMIT 1
) AS latest ON true
WHERE s.id > $1
ORDER BY s.id
LIMIT $2
