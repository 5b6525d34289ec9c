-- Purpose: the oldest change of each status and queue after a cursor. $1 bigint and $2 integer: position and
-- ordinal of the cursor; $3 integer: most changes to read, and most batches.
-- Reads only; relies on change_batch_position, and on the primary keys of task_event and task, once for each
-- change; only the oldest ones leave the database. Changes of tasks that were dropped have no key; one without a row
-- in task_event is a claim (the view task_history).
-- Each row also has what was read: the first and the last batch, how many, how many changes, and the last of them.
-- The batch of the cursor itself is always there, unless it was pruned.
WITH batch AS MATERIALIZED (
    SELECT position, task_ids, versions FROM taskmill.change_batch
    WHERE position >= $1
    ORDER BY position
    LIMIT $3
),
pair AS MATERIALIZED (
    SELECT batch.position, pair.ordinal, pair.task_id, pair.version
    FROM batch
    CROSS JOIN LATERAL unnest(batch.task_ids, batch.versions) WITH ORDINALITY AS pair (
        task_id, version, ordinal
    )
    WHERE batch.position > $1 OR pair.ordinal > $2
    LIMIT $3
),
-- A cursor is an array: they compare by their positions, then by their ordinals.
oldest AS MATERIALIZED (
    SELECT coalesce(e.status, 'in_progress') AS status, t.queue, min(ARRAY[pair.position, pair.ordinal]) AS cursor
    FROM pair
    JOIN taskmill.task AS t ON t.id = pair.task_id
    LEFT JOIN taskmill.task_event AS e ON e.task_id = pair.task_id AND e.version = pair.version
    GROUP BY 1, 2
),
found AS MATERIALIZED (
    SELECT
        oldest.status, oldest.queue, b.position, oldest.cursor[2]::integer AS ordinal,
        b.task_ids[oldest.cursor[2]] AS task_id, b.versions[oldest.cursor[2]] AS version
    FROM oldest
    JOIN taskmill.change_batch AS b ON b.position = oldest.cursor[1]
)
SELECT
    part.first_batch, part.last_batch, part.batches, part.changes,
    part.last_change[1] AS last_position, part.last_change[2]::integer AS last_ordinal,
    found.status, found.queue, found.position, found.ordinal, found.task_id, found.version
FROM (
    SELECT
        (SELECT min(position) FROM batch) AS first_batch,
        (SELECT max(position) FROM batch) AS last_batch,
        (SELECT count(*) FROM batch)::integer AS batches,
        (SELECT count(*) FROM pair)::integer AS changes,
        (SELECT max(ARRAY[position, ordinal]) FROM pair) AS last_change
) AS part
LEFT JOIN found ON true
