-- Purpose: keep a claim whose response was lost from committing later. $1 uuid: the lease that it was to open. A
-- closed lease takes its id, unless the claim commits after all: this waits for that, as long as lock_timeout
-- allows.
-- Locks: the lease. Returns a row if the claim can never commit.
INSERT INTO taskmill.lease (
    id, worker, queues, types, slots, expires_at, remote, task_ids, closed_at, close_reason
)
VALUES ($1, 'nobody', '{}', '{}', 0, clock_timestamp(), true, '{}', clock_timestamp(), 'lost')
ON CONFLICT (id) DO NOTHING
RETURNING id
