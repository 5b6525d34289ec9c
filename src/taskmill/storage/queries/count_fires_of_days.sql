-- Purpose: count what became of a schedule's ticks by day and outcome, and which of their tasks have failed. $1 bigint id; $2
-- and $3 timestamptz[]: when each day begins and ends; $4 integer[]: the most fires of each, of which the latest count.
-- Relies on the primary keys of schedule_fire and task.
SELECT
    wanted.since, f.outcome, count(*) AS fires, sum(f.ticks)::bigint AS ticks, count(t.id) AS failed,
    max(f.until_tick) AS until_tick
FROM unnest($2::timestamptz[], $3::timestamptz[], $4::integer[]) AS wanted (since, until, most)
CROSS JOIN LATERAL (
    SELECT outcome, ticks, task_id, until_tick
    FROM taskmill.schedule_fire
    WHERE schedule_id = $1 AND tick >= wanted.since AND tick < wanted.until
    ORDER BY tick DESC
    LIMIT wanted.most
) AS f
LEFT JOIN taskmill.task AS t ON t.id = f.task_id AND t.final_status = 'failed'
GROUP BY wanted.since, f.outcome
