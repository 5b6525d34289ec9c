-- Purpose: store a new API key. $1 text id, $2 text name, $3 text description, $4 text[] grants, $5 cidr[] networks,
-- $6 interval: how long it lives, or null, $7 bytea hash of its secret, $8 text[] quotas. Returns it.
-- Runs after lock_api_keys in the same transaction.
INSERT INTO taskmill.api_key (
    id, name, description, grants, networks, lifetime, secret_hash, expires_at, quotas
)
VALUES ($1, $2, $3, $4, $5, $6, $7, now() + $6::interval, $8)
RETURNING
    id, name, description, grants, networks, quotas, lifetime, created_at, expires_at, revoked_at, last_used_at
