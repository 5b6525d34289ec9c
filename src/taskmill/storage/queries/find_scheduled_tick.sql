-- Purpose: the tick for which a schedule made a task, for its handler, and the latest tick before it that made one. $1 uuid: the
-- task. Reads only; relies on schedule_fire_task and the primary key. Ticks that made none lie between: of 10,000 entries the
-- latest is found.
SELECT f.tick, f.cause, p.tick AS previous_tick
FROM (SELECT schedule_id, tick, cause FROM taskmill.schedule_fire WHERE task_id = $1 LIMIT 1) AS f
LEFT JOIN LATERAL (
    SELECT earlier.tick
    FROM (
        SELECT e.tick, e.outcome, e.cause
        FROM taskmill.schedule_fire AS e
        WHERE e.schedule_id = f.schedule_id AND e.tick < f.tick
        ORDER BY e.tick DESC
        LIMIT 10000
    ) AS earlier
    WHERE earlier.outcome = 'created' AND earlier.cause <> 'manual'
    ORDER BY earlier.tick DESC
    LIMIT 1
) AS p ON true
