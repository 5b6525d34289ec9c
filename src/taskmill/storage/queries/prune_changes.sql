-- Purpose: delete old change batches, oldest first. $1 double precision: age in days, $2 integer limit.
-- Stays: everything from the batch before the first young one on, so that a reader that has seen exactly what is
-- old can go on; and the last position, from which numbering goes on. Times do not quite rise with positions, so
-- the first young batch is the bound: what stays has no holes. Relies on change_batch_position: only the first $2
-- + 1 are read.
WITH oldest AS MATERIALIZED (
    SELECT position, at FROM taskmill.change_batch
    WHERE position IS NOT NULL
    ORDER BY position
    LIMIT $2::integer + 1
),
bound AS MATERIALIZED (
    SELECT coalesce(
        min(position) FILTER (WHERE at >= now() - make_interval(secs => $1 * 86400)) - 1,
        max(position)
    ) AS position
    FROM oldest
)
DELETE FROM taskmill.change_batch
WHERE position < (SELECT position FROM bound)
RETURNING 1
