-- Purpose: record that ticks which made no task have made one after all. $1..$3: arrays, one element a fire: schedule_id
-- bigint, tick timestamptz, task_id uuid. Each is alone from then on: what follows it in a stretch gets a fire of its own.
-- Locks: schedule_fire. Relies on its primary key. Returns those that had no task.
UPDATE taskmill.schedule_fire AS f
SET outcome = 'created',
    cause = 'backfill',
    task_id = made.task_id,
    problem = NULL,
    until_tick = NULL,
    ticks = 1,
    at = now()
FROM unnest($1::bigint[], $2::timestamptz[], $3::uuid[]) AS made (schedule_id, tick, task_id)
WHERE f.schedule_id = made.schedule_id
    AND f.tick = made.tick
    AND f.outcome NOT IN ('created', 'held')
RETURNING f.schedule_id, f.tick
