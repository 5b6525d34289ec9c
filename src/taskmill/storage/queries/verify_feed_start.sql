-- Purpose: from when on the feed of changes must be complete. $1 double precision: its retention in days,
-- $2 timestamptz: as of when, null for now.
-- Older batches may have been pruned. They are pruned by their time and numbered after their commit: near the edge
-- the two orders differ, hence the hour (no transaction should be open that long).
-- Reads only; relies on change_batch_position.
SELECT
    greatest(
        coalesce($2::timestamptz, now()) - make_interval(secs => $1 * 86400),
        (
            SELECT first.at
            FROM (
                SELECT position, at FROM taskmill.change_batch
                WHERE position IS NOT NULL
                ORDER BY position
                LIMIT 1
            ) AS first
            WHERE first.position > 1
        )
    ) + interval '1 hour'
