-- Purpose: let one worker at a time in the whole system run what the earlier service's address starts; false while
-- another one does. Locks: an advisory lock, as long as the connection lives.
SELECT pg_try_advisory_lock(hashtext('taskmill.drain'))
