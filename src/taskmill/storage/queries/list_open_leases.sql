-- Purpose: workers whose lease is open, including those that ran out, the latest started first; after them the
-- leases of those that pull over HTTP. $1 integer limit. Reads only; relies on lease_open.
SELECT id, worker, queues, types, slots, running, renewed_at, expires_at, request
FROM taskmill.lease
WHERE closed_at IS NULL
ORDER BY remote, id DESC
LIMIT $1
