-- Purpose: the tick for which a schedule made a task. $1 uuid: the task.
-- Reads only; relies on schedule_fire_task, and on the primary keys of schedule and task. A schedule that was deleted has no
-- queue; its name is in the label of its tasks.
SELECT coalesce(s.name, t.labels ->> 'schedule') AS schedule, s.queue, f.tick, f.cause
FROM taskmill.schedule_fire AS f
JOIN taskmill.task AS t ON t.id = f.task_id
LEFT JOIN taskmill.schedule AS s ON s.id = f.schedule_id
WHERE f.task_id = $1
LIMIT 1
