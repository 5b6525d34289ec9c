-- Purpose: one session that has not ended, and its API key, which may have ended. $1 bytea hash of its token.
-- Relies on session_token_hash_key, and the primary key of api_key.
SELECT
    session.id AS session_id, session.ends_at, api_key.id, api_key.name, api_key.description, api_key.grants,
    api_key.networks, api_key.quotas, api_key.lifetime, api_key.created_at, api_key.expires_at, api_key.revoked_at,
    api_key.last_used_at
FROM taskmill.session
JOIN taskmill.api_key ON api_key.id = session.key_id
WHERE session.token_hash = $1 AND session.ends_at > now()
