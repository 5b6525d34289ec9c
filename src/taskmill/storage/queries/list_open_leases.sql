-- Purpose: workers whose lease is open, those that ran out included, the latest started first. $1 integer limit.
-- Reads only; the table has a row for each worker of the last days.
SELECT id, worker, queues, types, slots, running, renewed_at, expires_at, asked_to
FROM taskmill.lease
WHERE closed_at IS NULL
ORDER BY id DESC
LIMIT $1
