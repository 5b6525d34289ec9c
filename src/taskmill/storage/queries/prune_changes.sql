-- Purpose: forget old change batches, but never the last position: numbering goes on from it.
-- $1 double precision: age in days, $2 integer limit. Relies on change_batch_position: only the $2 first are
-- looked at, for positions rise with time.
DELETE FROM taskmill.change_batch
WHERE id IN (
    SELECT first.id
    FROM (
        SELECT id, at FROM taskmill.change_batch
        WHERE position < (
            SELECT position FROM taskmill.change_batch
            WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1)
        ORDER BY position
        LIMIT $2
    ) AS first
    WHERE first.at < now() - make_interval(secs => $1 * 86400)
)
RETURNING 1
