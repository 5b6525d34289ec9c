-- Purpose: kinds of failures that were resolved and have failed again within the last day, the one that was resolved
-- latest first. $1 integer: the most; $2 text[]: only what failed in these queues, null for all.
-- Reads only; relies on queue_failure_error: its cost is the number of kinds, of those that were resolved with their
-- queues and days.
SELECT k.kind, k.state_at
FROM taskmill.failure_kind AS k
WHERE k.state = 'resolved' AND k.last_at > greatest(k.state_at, now() - interval '1 day')
    AND ($2::text[] IS NULL OR EXISTS (
        SELECT FROM taskmill.queue_failure AS f
        WHERE f.error = k.kind AND f.step_s = 86400 AND f.queue = ANY($2::text[])
            AND f.last_at > greatest(k.state_at, now() - interval '1 day')
    ))
ORDER BY k.state_at DESC, k.id
LIMIT $1
