-- Purpose: let another process go on with a job. $1 uuid id, $2 uuid holder.
-- Locks: its row. Relies on: the primary key.
UPDATE taskmill.job SET holder = NULL, held_until = NULL WHERE id = $1 AND holder = $2 AND state = 'running'
