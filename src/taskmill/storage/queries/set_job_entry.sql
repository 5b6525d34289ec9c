-- Purpose: note the entry of the audit log that a job has. $1 uuid id, $2 uuid holder, $3 uuid entry.
-- Locks: its row. Relies on: the primary key. Returns its id; no row if it is over, or another process holds it.
UPDATE taskmill.job SET entry_id = $3 WHERE id = $1 AND holder = $2 AND state = 'running' RETURNING id
