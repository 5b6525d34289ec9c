-- Purpose: from when on the feed of changes must be whole. $1 double precision: for how many days it is kept.
-- What is older may have been forgotten. Batches are forgotten by their time and numbered after their commit: near
-- the edge their order is not the same, hence the hour (no transaction is meant to be open as long).
-- Reads only; relies on change_batch_position.
SELECT
    greatest(
        now() - make_interval(secs => $1 * 86400),
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
