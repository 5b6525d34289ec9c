-- Purpose: one API key, with the hash of its secret, to verify what a request has sent. $1 text id. Relies on the
-- primary key.
SELECT
    id, name, description, grants, networks, quotas, lifetime, created_at, expires_at, revoked_at, last_used_at,
    secret_hash
FROM taskmill.api_key
WHERE id = $1
