-- Purpose: record in the lease of a lost worker what it ran, before that is taken back. $1 uuid[] leases, $2
-- uuid[] task of each, $3 integer: how many ids each lease can hold. A repeat changes nothing.
-- Locks: the leases, in order of their ids. Relies on the primary key. Touches no indexed column.
WITH found AS MATERIALIZED (
    SELECT lease_id, array_agg(task_id) AS task_ids
    FROM unnest($1::uuid[], $2::uuid[]) AS lost (lease_id, task_id)
    GROUP BY lease_id
),
locked AS MATERIALIZED (
    SELECT id FROM taskmill.lease
    WHERE id IN (SELECT lease_id FROM found)
    ORDER BY id
    FOR NO KEY UPDATE
)
UPDATE taskmill.lease AS l
SET lost_task_ids = (
    SELECT (array_agg(DISTINCT one ORDER BY one))[1:$3] FROM unnest(l.lost_task_ids || found.task_ids) AS one
)
FROM locked
INNER JOIN found ON found.lease_id = locked.id
WHERE l.id = locked.id
