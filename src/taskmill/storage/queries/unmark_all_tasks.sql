-- Purpose: remove the marks of releases from waiting tasks, in steps. $1 uuid: after this id; $2 integer: most
-- rows to read. `last_id` is where to go on, null at the end.
-- Locks in order: dispatch, sorted by id. A row that a claim holds is deleted when the wait is over.
-- Relies on: dispatch's primary key.
WITH seen AS MATERIALIZED (
    SELECT task_id, released_at
    FROM taskmill.dispatch
    WHERE task_id > $1
    ORDER BY task_id
    LIMIT $2
),
locked AS MATERIALIZED (
    SELECT task_id
    FROM taskmill.dispatch
    WHERE task_id = ANY(ARRAY(SELECT task_id FROM seen WHERE released_at IS NOT NULL))
    ORDER BY task_id
    FOR NO KEY UPDATE
),
unmarked AS (
    UPDATE taskmill.dispatch
    SET released_at = NULL
    WHERE task_id = ANY(ARRAY(SELECT task_id FROM locked)) AND released_at IS NOT NULL
    RETURNING task_id
)
SELECT
    (SELECT count(*) FROM unmarked) AS unmarked,
    (SELECT task_id FROM seen ORDER BY task_id DESC LIMIT 1) AS last_id
