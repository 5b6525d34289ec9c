-- Purpose: let one transaction at a time fold failures; false while another one does.
-- Locks: an advisory lock, to the end of the transaction.
SELECT pg_try_advisory_xact_lock(hashtext('taskmill.failure'))
