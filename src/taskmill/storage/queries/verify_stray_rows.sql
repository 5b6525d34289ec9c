-- Purpose: rows of `dispatch` and `running` in a range of ids that have no task. $1 uuid: after this id, $2 uuid: up
-- to this one.
-- Reads only; relies on the primary keys of dispatch, running and task. The range is a CTE of its own, so that several
-- processes don't read it from the wider dispatch_bucket.
WITH part AS MATERIALIZED (
    SELECT task_id, 'dispatch' AS place FROM taskmill.dispatch WHERE task_id > $1 AND task_id <= $2
    UNION ALL
    SELECT task_id, 'running' FROM taskmill.running WHERE task_id > $1 AND task_id <= $2
)
SELECT part.task_id, part.place
FROM part
WHERE NOT EXISTS (SELECT FROM taskmill.task AS t WHERE t.id = part.task_id)
ORDER BY part.task_id, part.place
