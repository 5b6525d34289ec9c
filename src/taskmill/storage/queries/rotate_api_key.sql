-- Purpose: store another API key like one that is there, which expires after a while, if it would not do so before.
-- $1 text id of the one before, $2 text id of the new one, $3 bytea hash of its secret, $4 interval: for how long the
-- one before stays. Returns the new one. Runs after lock_api_keys in the same transaction.
-- Locks: the row of the one before. Relies on the primary key.
WITH made AS (
    INSERT INTO taskmill.api_key (
        id, name, description, grants, networks, lifetime, secret_hash, expires_at, quotas
    )
    SELECT $2, name, description, grants, networks, lifetime, $3, now() + lifetime, quotas
    FROM taskmill.api_key WHERE id = $1
    RETURNING
        id, name, description, grants, networks, quotas, lifetime, created_at, expires_at, revoked_at, last_used_at
),
shortened AS (
    UPDATE taskmill.api_key SET expires_at = least(expires_at, now() + $4::interval) WHERE id = $1
)
SELECT
    id, name, description, grants, networks, quotas, lifetime, created_at, expires_at, revoked_at, last_used_at
FROM made
