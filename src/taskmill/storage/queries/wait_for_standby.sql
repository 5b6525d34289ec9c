-- Purpose: a commit that waits for the synchronous standby, if there is one, and so for all that was visible
-- before it. A task can be visible here and nowhere else: when the session that waited for the standby was ended.
-- Nobody reads the message; it makes the commit one that writes.
SELECT pg_logical_emit_message(true, 'taskmill', '')
