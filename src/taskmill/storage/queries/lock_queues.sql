-- Purpose: let one transaction of ours at a time make queues, so that their limit holds between processes.
-- taskmill.create_task has a lock of its own: a user's transaction may stay open for long.
-- Locks: an advisory lock, to the end of the transaction.
SELECT pg_advisory_xact_lock(hashtext('taskmill.queue of a program'))
