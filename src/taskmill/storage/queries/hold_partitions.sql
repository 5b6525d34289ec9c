-- Purpose: keep weeks of tasks from being dropped or moved while a snapshot is read. Run it first in the
-- transaction: a snapshot from before the lock could have keys of tasks that are gone.
-- Locks: both parents, in the mode of any reader, to the end of the transaction.
LOCK TABLE ONLY taskmill.task, ONLY taskmill.task_event IN ACCESS SHARE MODE
