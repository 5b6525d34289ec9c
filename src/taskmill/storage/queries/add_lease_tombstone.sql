-- Purpose: have a claim whose answer was lost, and of which nothing is there, leave nothing later either. $1 uuid: the
-- lease that it was to open. The place is taken by a closed lease, unless its transaction commits after all: this waits
-- for it, as long as lock_timeout allows. Locks: the lease. Returns a row if the claim is not to be.
INSERT INTO taskmill.lease (
    id, worker, queues, types, slots, expires_at, remote, task_ids, closed_at, close_reason
)
VALUES ($1, 'nobody', '{}', '{}', 0, clock_timestamp(), true, '{}', clock_timestamp(), 'lost')
ON CONFLICT (id) DO NOTHING
RETURNING id
