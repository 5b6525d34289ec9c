-- Purpose: record that sessions are in use, at most once a minute each, whichever processes report it. $1 uuid[] ids,
-- $2 interval: how long they may be idle, $3 interval: how long they may last.
-- Locks: their rows, in the order of ids; one that another process is about to write is left to that.
-- Relies on the primary key.
UPDATE taskmill.session SET used_at = now(), ends_at = least(now() + $2::interval, created_at + $3::interval)
WHERE id = ANY(ARRAY(
    SELECT id FROM taskmill.session
    WHERE id = ANY($1::uuid[]) AND used_at < now() - interval '1 minute' AND ends_at > now()
    ORDER BY id
    FOR NO KEY UPDATE SKIP LOCKED
))
