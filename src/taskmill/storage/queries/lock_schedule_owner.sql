-- Purpose: have others wait that are about to give an owner one more schedule, until this transaction ends: so that all that it has are
-- counted. $1 text: its name.
-- Locks: an advisory lock, to the end of the transaction, after schedule.
SELECT pg_advisory_xact_lock(hashtext('taskmill.schedule of an owner'), hashtext($1))
