-- Purpose: read what became of a schedule's ticks, the latest first. $1 bigint id; $2 timestamptz: before this tick; $3
-- integer: the most; $4 text[]: only these outcomes, null for all; $5 bigint: how many it looks at for them.
-- Relies on the primary key. `bound` is the last tick that it has looked at, if there may be others before that. Where none
-- is found there is one row, of which all else is null.
WITH looked_at AS (
    SELECT CASE
        WHEN $4::text[] IS NOT NULL THEN (
            SELECT tick FROM taskmill.schedule_fire
            WHERE schedule_id = $1 AND tick < $2
            ORDER BY tick DESC
            OFFSET $5::bigint - 1
            LIMIT 1
        )
    END AS bound
)
SELECT
    looked_at.bound, f.schedule_id, f.tick, f.until_tick, f.ticks, f.cause, f.outcome, f.task_id, f.cancelled_task_id,
    f.problem, f.at
FROM looked_at
LEFT JOIN LATERAL (
    SELECT schedule_id, tick, until_tick, ticks, cause, outcome, task_id, cancelled_task_id, problem, at
    FROM taskmill.schedule_fire
    WHERE schedule_id = $1
        AND tick < $2
        AND tick >= coalesce(looked_at.bound, '-infinity')
        AND ($4 IS NULL OR outcome = ANY($4))
    ORDER BY tick DESC
    LIMIT $3
) AS f ON true
ORDER BY f.tick DESC
