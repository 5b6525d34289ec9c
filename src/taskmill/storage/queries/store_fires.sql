-- Purpose: record what became of ticks. $1..$9: arrays, one element a fire: schedule_id bigint, tick and until_tick
-- timestamptz, ticks bigint, cause text, outcome text, task_id and cancelled_task_id uuid, problem text (JSON).
-- Locks: schedule_fire. Relies on its primary key. Returns those that are new: a tick that has its fire already must make no
-- task.
INSERT INTO taskmill.schedule_fire (
    schedule_id, tick, until_tick, ticks, cause, outcome, task_id, cancelled_task_id, problem
)
SELECT schedule_id, tick, until_tick, ticks, cause, outcome, task_id, cancelled_task_id, problem::json
FROM unnest(
    $1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::text[], $6::text[], $7::uuid[], $8::uuid[],
    $9::text[]
) AS new (schedule_id, tick, until_tick, ticks, cause, outcome, task_id, cancelled_task_id, problem)
ON CONFLICT (schedule_id, tick) DO NOTHING
RETURNING schedule_id, tick
