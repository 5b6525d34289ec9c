-- Purpose: the ids of a name's live API keys, oldest first. $1 text name. Relies on api_key_name.
SELECT id FROM taskmill.api_key
WHERE name = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
ORDER BY created_at, id
