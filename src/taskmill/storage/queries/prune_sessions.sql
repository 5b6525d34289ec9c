-- Purpose: delete sessions that have ended. $1 integer limit. Relies on session_end.
DELETE FROM taskmill.session
WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM taskmill.session
    WHERE ends_at <= now()
    ORDER BY ends_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
))
RETURNING 1
