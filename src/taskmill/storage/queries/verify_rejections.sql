-- Purpose: the next refused messages, the tasks that they became, and whether those exist. $1 uuid: after this id,
-- $2 integer limit. Reads only; relies on the primary keys of rejection and task.
WITH part AS MATERIALIZED (
    SELECT id, resent_at, task_id
    FROM taskmill.rejection
    WHERE id > $1
    ORDER BY id
    LIMIT $2
)
SELECT
    part.id, part.resent_at, part.task_id,
    EXISTS (SELECT FROM taskmill.task AS t WHERE t.id = part.task_id) AS has_task
FROM part
ORDER BY part.id
