-- Purpose: the next idempotency keys, and whether their tasks exist. $1 text scope and $2 text key: after these,
-- $3 integer limit. Reads only; relies on the primary keys of idempotency and task.
WITH part AS MATERIALIZED (
    SELECT scope, key, task_id
    FROM taskmill.idempotency
    WHERE (scope, key) > ($1, $2)
    ORDER BY scope, key
    LIMIT $3
)
SELECT
    part.scope, part.key, part.task_id,
    EXISTS (SELECT FROM taskmill.task AS t WHERE t.id = part.task_id) AS has_task
FROM part
ORDER BY part.scope, part.key
