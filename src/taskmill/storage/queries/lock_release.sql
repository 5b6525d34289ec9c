-- Purpose: let one relay at a time count and fill the release limit of a queue and type. $1 integer, made from
-- both.
-- Locks: an advisory lock until the transaction ends. Its commit need not wait for the disk: when a crash undoes a
-- mark, the task is released again.
SELECT pg_advisory_xact_lock(hashtext('taskmill.release'), $1), set_config('synchronous_commit', 'off', true)
