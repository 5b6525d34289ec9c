-- Purpose: let one transaction at a time roll up; false while another one does.
-- Locks: an advisory lock, to the end of the transaction.
SELECT pg_try_advisory_xact_lock(hashtext('taskmill.task_minute'))
