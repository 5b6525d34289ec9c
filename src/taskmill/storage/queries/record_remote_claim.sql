-- Purpose: record in a remote lease, in the transaction of its only claim, what that took. $1 uuid lease, $2
-- uuid[] tasks, $3 double precision: the shortest timeout of them in seconds (null: none has any), $4 double
-- precision time to live in seconds.
-- Locks: the lease, which nobody else sees yet. now() is the moment of the claim. Returns the lease's end.
UPDATE taskmill.lease
SET task_ids = $2,
    slots = cardinality($2::uuid[]),
    running = cardinality($2::uuid[]),
    timeout_at = now() + make_interval(secs => $3),
    renewed_at = clock_timestamp(),
    expires_at = clock_timestamp() + make_interval(secs => $4)
WHERE id = $1
RETURNING expires_at
