-- Purpose: forget old change batches, but never the last position: numbering goes on from it.
-- $1 double precision: age in days, $2 integer limit.
DELETE FROM taskmill.change_batch
WHERE id IN (
    SELECT id FROM taskmill.change_batch
    WHERE position < (
        SELECT position FROM taskmill.change_batch
        WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1)
        AND at < now() - make_interval(secs => $1 * 86400)
    ORDER BY position
    LIMIT $2
)
RETURNING 1
