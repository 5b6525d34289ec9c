-- Purpose: one relay at a time counts and fills the window of a queue and type. $1 integer, made from both.
-- Locks: an advisory lock until the transaction ends. That transaction need not reach the disk before its answer:
-- a mark that a crash undoes is a task that is released again.
SELECT pg_advisory_xact_lock(hashtext('taskmill.release'), $1), set_config('synchronous_commit', 'off', true)
