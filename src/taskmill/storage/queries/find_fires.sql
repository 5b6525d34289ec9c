-- Purpose: which ticks of a schedule have a fire, or lie in a stretch of one. $1 bigint id; $2, $3 timestamptz: from and to this
-- one. Relies on the primary key. The stretch that the first lies in began before it: of 10,000 entries the latest of a tick is it.
(
    SELECT
        before.schedule_id, before.tick, before.until_tick, before.ticks, before.cause, before.outcome, before.task_id,
        before.cancelled_task_id, before.problem, before.at
    FROM (
        SELECT schedule_id, tick, until_tick, ticks, cause, outcome, task_id, cancelled_task_id, problem, at
        FROM (
            SELECT schedule_id, tick, until_tick, ticks, cause, outcome, task_id, cancelled_task_id, problem, at
            FROM taskmill.schedule_fire
            WHERE schedule_id = $1 AND tick < $2
            ORDER BY tick DESC
            LIMIT 10000
        ) AS earlier
        WHERE cause IN ('tick', 'catch_up')
        ORDER BY tick DESC
        LIMIT 1
    ) AS before
    WHERE before.until_tick >= $2
)
UNION ALL
(
    SELECT schedule_id, tick, until_tick, ticks, cause, outcome, task_id, cancelled_task_id, problem, at
    FROM taskmill.schedule_fire
    WHERE schedule_id = $1 AND tick BETWEEN $2 AND $3
    ORDER BY tick
)
