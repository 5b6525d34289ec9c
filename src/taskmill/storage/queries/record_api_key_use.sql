-- Purpose: record that API keys are in use, at most once a minute each, whichever processes report it. $1 text[] ids.
-- Locks: their rows, in the order of ids; one that another process is about to write is left to that.
-- Relies on the primary key; touches no indexed column (HOT).
UPDATE taskmill.api_key SET last_used_at = now()
WHERE id = ANY(ARRAY(
    SELECT id FROM taskmill.api_key
    WHERE id = ANY($1::text[])
        AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
    ORDER BY id
    FOR NO KEY UPDATE SKIP LOCKED
))
