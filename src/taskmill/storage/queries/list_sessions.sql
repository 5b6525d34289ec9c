-- Purpose: the sessions that have not ended, those that end last first; no login links. $1 text id of their API key,
-- null for all keys, $2 integer limit, $3 interval: how long a link is valid. Relies on session_end, and on session_key for one key.
SELECT session.id, session.key_id, api_key.name, session.created_at, session.used_at, session.ends_at
FROM taskmill.session
JOIN taskmill.api_key ON api_key.id = session.key_id
WHERE
    session.ends_at > now()
    AND session.ends_at > session.created_at + $3::interval
    AND ($1::text IS NULL OR session.key_id = $1)
    AND api_key.revoked_at IS NULL
    AND (api_key.expires_at IS NULL OR api_key.expires_at > now())
ORDER BY session.ends_at DESC, session.id
LIMIT $2
