-- Purpose: make a login link of an API key, in place of one that was not used: a session whose hash is no token's,
-- until a browser begins it. $1 bytea hash of its code, $2 text id of the API key, $3 interval: how long it is valid.
-- Returns when it expires.
-- Locks: rows of links of the key, in the order of ids, none that another process has locked.
-- Relies on session_key.
WITH earlier AS (
    DELETE FROM taskmill.session
    WHERE id = ANY(ARRAY(
        SELECT id FROM taskmill.session
        WHERE key_id = $2 AND ends_at <= created_at + $3::interval
        ORDER BY id
        FOR UPDATE SKIP LOCKED
    ))
)
INSERT INTO taskmill.session (token_hash, key_id, ends_at)
VALUES ($1, $2, now() + $3::interval)
RETURNING ends_at
