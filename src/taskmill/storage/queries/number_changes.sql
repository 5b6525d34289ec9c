-- Purpose: give committed change batches their dense positions. $1 integer: most batches numbered at once.
-- Runs after take_numbering_turn in the same transaction: in a snapshot from before the turn, batches that the
-- runner before has just numbered would be numbered anew. Relies on change_batch_unnumbered.
WITH fresh AS MATERIALIZED (
    SELECT b.id, row_number() OVER (ORDER BY b.id) AS place
    FROM (
        SELECT id FROM taskmill.change_batch WHERE position IS NULL ORDER BY id LIMIT $1
    ) AS b
),
latest AS MATERIALIZED (
    SELECT coalesce(max(position), 0) AS position FROM taskmill.change_batch
)
UPDATE taskmill.change_batch AS b
SET position = latest.position + fresh.place
FROM fresh, latest
WHERE b.id = fresh.id
RETURNING b.position
