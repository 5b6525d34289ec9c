-- Purpose: changes that are in the history of a range of tasks and not in the feed, or the other way round.
-- $1 uuid: after this id, $2 uuid: up to this one, $3 timestamptz: from when on the feed is complete; $4 uuid[]
-- and $5 uuid[]: the first id of each retained week, and the first one after it; $6 integer: most rows.
-- $7 uuid: a task before this id that is not there at all may have been deleted as its queue says: whether one was lost
-- is for the counters to say.
-- A change and its batch are written by one transaction, so both have the same time. Reads the history of the
-- range and the whole feed: give it its own timeout, and ranges of many changes.
WITH fed AS MATERIALIZED (
    SELECT pair.task_id, pair.version
    FROM taskmill.change_batch AS b
    CROSS JOIN LATERAL unnest(b.task_ids, b.versions) AS pair (task_id, version)
    WHERE b.at >= $3 AND pair.task_id > $1 AND pair.task_id <= $2
),
recorded AS MATERIALIZED (
    SELECT task_id, version
    FROM taskmill.task_history
    WHERE task_id > $1 AND task_id <= $2 AND at >= $3
),
missing AS (
    SELECT task_id, version FROM recorded
    EXCEPT ALL
    SELECT task_id, version FROM fed
),
unknown AS (
    SELECT task_id, version FROM fed
    EXCEPT ALL
    SELECT task_id, version FROM recorded
)
SELECT task_id, version, true AS is_missing FROM missing
UNION ALL
SELECT task_id, version, false AS is_missing
FROM unknown
WHERE EXISTS (
    SELECT FROM unnest($4::uuid[], $5::uuid[]) AS week (first_id, next_id)
    WHERE task_id >= week.first_id AND task_id < week.next_id
)
AND (
    task_id >= $7
    OR EXISTS (SELECT FROM taskmill.task AS t WHERE t.id = task_id)
)
LIMIT $6
