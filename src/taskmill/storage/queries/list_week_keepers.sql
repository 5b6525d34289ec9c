-- Purpose: the queues that keep a week for longer, as they have ended tasks in it. $1 date: its Monday; $2 text[] terminal
-- statuses; $3 timestamptz: now; $4 interval: the time of queues without one of their own.
-- A shorter time than $4 counts from the end of each task, which may be long after that of the week: its tasks are deleted
-- one by one, and the week stays until none is left. Reads counters only: queues and weeks are few. drop_week checks the
-- longer ones again.
WITH timed AS MATERIALIZED (
    SELECT name FROM taskmill.queue
    WHERE keep > $3::timestamptz - ($1::date + 7)::timestamp AT TIME ZONE 'UTC' OR keep < $4::interval
)
SELECT queue AS name
FROM (
    SELECT queue, tasks FROM taskmill.task_week_count WHERE week = $1 AND status = ANY($2)
    UNION ALL
    SELECT queue, tasks FROM taskmill.task_count WHERE week = $1 AND status = ANY($2)
) AS known
WHERE EXISTS (SELECT FROM timed) AND queue IN (SELECT name FROM timed)
GROUP BY queue
HAVING sum(tasks) > 0
ORDER BY queue
