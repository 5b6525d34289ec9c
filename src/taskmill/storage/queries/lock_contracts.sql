-- Purpose: let one transaction at a time change contracts, so that versions are numbered without gaps or
-- duplicates.
-- Locks: an advisory lock, to the end of the transaction.
SELECT pg_advisory_xact_lock(hashtext('taskmill.contracts'))
