-- Purpose: a process stops in order. $1 uuid id. Locks: its row. Relies on the primary key.
DELETE FROM taskmill.process WHERE id = $1
