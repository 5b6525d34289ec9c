-- Purpose: note what a job has done, in the transaction that did it. $1 uuid id, $2 uuid holder, $3 uuid: where it goes
-- on, $4, $5, $6 bigint: so many more tasks matched, were changed, were asked to stop, $7 uuid: where it had been.
-- Locks: its row, after those of the tasks. Relies on: the primary key. Returns its id; no row if it is over, was
-- advanced meanwhile, or is held by another process: then this transaction may not commit.
UPDATE taskmill.job
SET after_id = $3, matched = matched + $4, changed = changed + $5, requested = requested + $6,
    updated_at = clock_timestamp()
WHERE id = $1 AND holder = $2 AND after_id = $7 AND state = 'running'
RETURNING id
