-- Purpose: record that held ticks have made their tasks, or were refused. $1..$5: arrays, one element a fire: schedule_id
-- bigint, tick timestamptz, outcome text, task_id uuid, problem text (JSON).
-- Locks: schedule_fire. Relies on its primary key. Returns those that were held.
UPDATE taskmill.schedule_fire AS f
SET outcome = held.outcome, task_id = held.task_id, problem = held.problem::json, at = now()
FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::uuid[], $5::text[])
    AS held (schedule_id, tick, outcome, task_id, problem)
WHERE f.schedule_id = held.schedule_id AND f.tick = held.tick AND f.outcome = 'held'
RETURNING f.schedule_id, f.tick
