-- Purpose: ended tasks that may be past their queue's time and are not dropped with their week, by week, queue and
-- status. $1 interval: the time of queues without one of their own; $2 text[] terminal statuses; $3 boolean: whether
-- tasks of queues without a shorter time are left to an archive of their week; $4 timestamptz: now.
-- They are those of queues whose time is shorter than $1, and all that are past their time in weeks that are past $1
-- and stay, as another queue keeps them for longer.
-- Reads counters only: queues and weeks are few. Returns the oldest week first, with the queue's own time, null for none.
WITH timed AS MATERIALIZED (
    SELECT name, keep FROM taskmill.queue WHERE keep IS NOT NULL
),
counted AS MATERIALIZED (
    SELECT week, queue, status
    FROM (
        SELECT week, queue, status, tasks FROM taskmill.task_week_count WHERE status = ANY($2)
        UNION ALL
        SELECT week, queue, status, tasks FROM taskmill.task_count WHERE status = ANY($2) AND week IS NOT NULL
    ) AS known
    WHERE EXISTS (SELECT FROM timed)
    GROUP BY week, queue, status
    HAVING sum(tasks) > 0
),
held AS MATERIALIZED (
    SELECT DISTINCT c.week
    FROM counted AS c
    JOIN timed AS t ON t.name = c.queue
    WHERE NOT $3::boolean
        AND (c.week + 7)::timestamp AT TIME ZONE 'UTC' <= $4::timestamptz - $1::interval
        AND (c.week + 7)::timestamp AT TIME ZONE 'UTC' > $4::timestamptz - t.keep
)
SELECT c.week, c.queue, c.status, t.keep
FROM counted AS c
LEFT JOIN timed AS t ON t.name = c.queue
WHERE (t.keep < $1::interval OR c.week IN (SELECT h.week FROM held AS h))
    AND c.week::timestamp AT TIME ZONE 'UTC' < $4::timestamptz - coalesce(t.keep, $1::interval)
ORDER BY c.week, c.queue, c.status
