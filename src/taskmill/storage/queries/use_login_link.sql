-- Purpose: begin the session of a login link, which ends the link: of two that use it at once, one finds nothing.
-- $1 bytea hash of the link's code, $2 bytea hash of the session's token, $3 interval: how long it may be idle.
-- Returns the session's id, and its API key, which may have ended.
-- Locks: its row. Relies on session_token_hash_key, and the primary key of api_key.
UPDATE taskmill.session SET token_hash = $2, created_at = now(), used_at = now(), ends_at = now() + $3::interval
FROM taskmill.api_key
WHERE session.token_hash = $1 AND session.ends_at > now() AND api_key.id = session.key_id
RETURNING
    session.id AS session_id, session.ends_at, api_key.id, api_key.name, api_key.description, api_key.grants,
    api_key.networks, api_key.quotas, api_key.lifetime, api_key.created_at, api_key.expires_at, api_key.revoked_at,
    api_key.last_used_at
