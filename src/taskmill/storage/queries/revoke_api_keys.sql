-- Purpose: revoke the API key with an id, and those with a name. $1 text: the id or name. Returns those that were not
-- revoked before. Locks: their rows. Relies on the primary key and api_key_name.
UPDATE taskmill.api_key SET revoked_at = now()
WHERE (id = $1 OR name = $1) AND revoked_at IS NULL
RETURNING
    id, name, description, grants, networks, quotas, lifetime, created_at, expires_at, revoked_at, last_used_at
