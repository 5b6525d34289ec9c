-- Purpose: ticks that have several fires, or one though they lie in a stretch of skipped ones, and tasks of several fires. Reads all
-- fires. $1 integer: the most of each. A run by hand is for no tick.
(
    SELECT f.schedule_id, f.tick, NULL::uuid AS task_id, count(*) AS fires
    FROM taskmill.schedule_fire AS f
    GROUP BY f.schedule_id, f.tick
    HAVING count(*) > 1
    LIMIT $1
)
UNION ALL
(
    SELECT w.schedule_id, w.tick, NULL::uuid, 2
    FROM (
        SELECT
            f.schedule_id, f.tick,
            max(f.until_tick) OVER (
                PARTITION BY f.schedule_id ORDER BY f.tick ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS skipped_until
        FROM taskmill.schedule_fire AS f
        WHERE f.cause <> 'manual'
    ) AS w
    WHERE w.tick <= w.skipped_until
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
