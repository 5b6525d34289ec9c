-- Purpose: which ticks of a schedule have a fire. $1 bigint id; $2, $3 timestamptz: from and to this one. Relies on the
-- primary key.
SELECT schedule_id, tick, until_tick, ticks, cause, outcome, task_id, cancelled_task_id, problem, at
FROM taskmill.schedule_fire
WHERE schedule_id = $1 AND tick BETWEEN $2 AND $3
ORDER BY tick
