-- Purpose: let one transaction of ours at a time record types, so that their limit holds between processes.
-- taskmill.create_task has a lock of its own: a user's transaction may stay open for long.
-- Locks: an advisory lock, to the end of the transaction.
SELECT pg_advisory_xact_lock(hashtext('taskmill.unserved_type of a program'))
