-- Purpose: read the latest fires of some schedules, the newest of each first. $1 bigint[]: their ids; $2 integer: the most of
-- each. Relies on the primary key.
SELECT
    f.schedule_id, f.tick, f.until_tick, f.ticks, f.cause, f.outcome, f.task_id, f.cancelled_task_id, f.problem, f.at
FROM unnest($1::bigint[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT schedule_id, tick, until_tick, ticks, cause, outcome, task_id, cancelled_task_id, problem, at
    FROM taskmill.schedule_fire
    WHERE schedule_id = wanted.id
    ORDER BY tick DESC
    LIMIT $2
) AS f
