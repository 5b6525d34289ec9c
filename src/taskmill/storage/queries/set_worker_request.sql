-- Purpose: ask a worker to do something; it reads that when it renews its lease. $1 uuid lease, $2 text request
-- (null: nothing), $3 boolean: a quiet one ends when it has nothing left. Workers that pull over HTTP can't be
-- asked: their leases are no processes.
-- Locks: the lease. Relies on its primary key. Touches no indexed column.
WITH requested AS (
    UPDATE taskmill.lease SET request = $2, stop_when_empty = $3
    WHERE id = $1 AND closed_at IS NULL AND NOT remote
    RETURNING id
)
SELECT
    EXISTS (SELECT FROM taskmill.lease WHERE id = $1) AS is_known,
    EXISTS (SELECT FROM taskmill.lease WHERE id = $1 AND remote) AS is_remote,
    EXISTS (SELECT FROM requested) AS is_open
