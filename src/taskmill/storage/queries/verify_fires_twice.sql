-- Purpose: ticks that have several fires, and tasks of several fires. Reads all fires. $1 integer: the most.
(
    SELECT f.schedule_id, f.tick, NULL::uuid AS task_id, count(*) AS fires
    FROM taskmill.schedule_fire AS f
    GROUP BY f.schedule_id, f.tick
    HAVING count(*) > 1
    LIMIT $1
)
UNION ALL
(
    SELECT min(f.schedule_id), min(f.tick), f.task_id, count(*)
    FROM taskmill.schedule_fire AS f
    WHERE f.task_id IS NOT NULL
    GROUP BY f.task_id
    HAVING count(*) > 1
    LIMIT $1
)
