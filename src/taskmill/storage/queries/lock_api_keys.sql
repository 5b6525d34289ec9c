-- Purpose: let one transaction at a time make API keys, so that their limit by name holds between processes.
-- Locks: an advisory lock, to the end of the transaction.
SELECT pg_advisory_xact_lock(hashtext('taskmill.api_key'))
