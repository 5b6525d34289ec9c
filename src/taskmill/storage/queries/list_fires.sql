-- Purpose: read what became of a schedule's ticks, the latest first. $1 bigint id; $2 timestamptz: before this tick; $3
-- integer: the most; $4 text[]: only these outcomes, null for all.
-- Relies on the primary key.
SELECT schedule_id, tick, until_tick, ticks, cause, outcome, task_id, cancelled_task_id, problem, at
FROM taskmill.schedule_fire
WHERE schedule_id = $1 AND tick < $2 AND ($4::text[] IS NULL OR outcome = ANY($4))
ORDER BY tick DESC
LIMIT $3
