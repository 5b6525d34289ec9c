-- Purpose: the oldest change of each status and queue among those that follow a cursor. $1 bigint and $2 integer:
-- position and ordinal of the cursor; $3 integer: most changes to look at, and most batches.
-- Reads only; relies on change_batch_position, and on the primary keys of task_event and task, once for each change:
-- nothing of these leaves the database but what is oldest. Changes of tasks that a retention has dropped have no key.
-- Each row also says what was looked at: the first and the last batch, how many, how many changes, and the last of
-- them; the batch of the cursor itself is always there, unless it was forgotten.
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
-- A place is an array: they compare by their positions, then by their ordinals.
oldest AS MATERIALIZED (
    SELECT e.status, t.queue, min(ARRAY[pair.position, pair.ordinal]) AS place
    FROM pair
    JOIN taskmill.task_event AS e ON e.task_id = pair.task_id AND e.version = pair.version
    JOIN taskmill.task AS t ON t.id = pair.task_id
    GROUP BY e.status, t.queue
),
found AS MATERIALIZED (
    SELECT
        oldest.status, oldest.queue, b.position, oldest.place[2]::integer AS ordinal,
        b.task_ids[oldest.place[2]] AS task_id, b.versions[oldest.place[2]] AS version
    FROM oldest
    JOIN taskmill.change_batch AS b ON b.position = oldest.place[1]
)
SELECT
    looked_at.first_batch, looked_at.last_batch, looked_at.batches, looked_at.changes,
    looked_at.last_change[1] AS last_position, looked_at.last_change[2]::integer AS last_ordinal,
    found.status, found.queue, found.position, found.ordinal, found.task_id, found.version
FROM (
    SELECT
        (SELECT min(position) FROM batch) AS first_batch,
        (SELECT max(position) FROM batch) AS last_batch,
        (SELECT count(*) FROM batch)::integer AS batches,
        (SELECT count(*) FROM pair)::integer AS changes,
        (SELECT max(ARRAY[position, ordinal]) FROM pair) AS last_change
) AS looked_at
LEFT JOIN found ON true
