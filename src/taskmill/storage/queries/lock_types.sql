-- Purpose: let one transaction at a time record types, so that their limit holds between processes.
-- Locks: an advisory lock, to the end of the transaction.
SELECT pg_advisory_xact_lock(hashtext('taskmill.unserved_type'))
