-- Purpose: how many tasks of a queue were claimed lately, as far as the newest $4 changes tell, and in how many
-- seconds. $1 text queue, $2 text type (null: all), $3 double precision: seconds to look back, $4 integer.
-- Reads only; relies on the primary keys of change_batch, task_event and task.
WITH recent AS MATERIALIZED (
    SELECT changed.at, changed.task_id, changed.version
    FROM (
        SELECT b.at, pair.task_id, pair.version
        FROM (
            SELECT at, task_ids, versions
            FROM taskmill.change_batch
            ORDER BY id DESC
            LIMIT $4
        ) AS b
        CROSS JOIN LATERAL unnest(b.task_ids, b.versions) AS pair (task_id, version)
        WHERE b.at > now() - make_interval(secs => $3)
        LIMIT $4
    ) AS changed
)
SELECT
    count(*) FILTER (
        WHERE e.happening = 'claimed' AND t.queue = $1 AND ($2::text IS NULL OR t.type = $2)
    )::integer AS claims,
    CASE
        WHEN (SELECT count(*) FROM recent) < $4 THEN $3
        ELSE extract(epoch FROM now() - min(recent.at))
    END::double precision AS seconds
FROM recent
JOIN taskmill.task_event AS e ON e.task_id = recent.task_id AND e.version = recent.version
JOIN taskmill.task AS t ON t.id = recent.task_id
