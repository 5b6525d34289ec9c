-- Purpose: give committed change batches their dense positions. $1 integer: most batches numbered at once; $2
-- bigint: only batches above this id, up to which all have a position (see storage/changes.py).
-- Runs after lock_numbering in the same transaction: a snapshot from before the lock could number batches again
-- that another process has just numbered. Relies on change_batch_unnumbered and change_batch_position.
-- Returns how many it numbered, and bounds: all transactions below `ended_before` have ended; those from
-- `begun_until` on, which is our own, had not begun to write when the lock was taken. (Not pg_snapshot_xmax: that
-- is one more than the latest transaction that has ended; others that still run may have higher ids.)
WITH fresh AS MATERIALIZED (
    SELECT b.id, row_number() OVER (ORDER BY b.id) AS number
    FROM (
        SELECT id FROM taskmill.change_batch
        WHERE position IS NULL AND id > $2
        ORDER BY id
        LIMIT $1
    ) AS b
),
latest AS MATERIALIZED (
    SELECT coalesce(max(position), 0) AS position FROM taskmill.change_batch
),
numbered AS (
    UPDATE taskmill.change_batch AS b
    SET position = latest.position + fresh.number
    FROM fresh, latest
    WHERE b.id = fresh.id
    RETURNING b.position
)
SELECT
    (SELECT count(*) FROM numbered) AS batches,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS ended_before,
    pg_current_xact_id()::text::bigint AS begun_until
