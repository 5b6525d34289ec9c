-- Purpose: API keys by name, the oldest of each first. $1 text: only those with this id or name; null: all.
-- Reads a table of few rows.
SELECT
    id, name, description, grants, networks, quotas, lifetime, created_at, expires_at, revoked_at, last_used_at
FROM taskmill.api_key
WHERE $1::text IS NULL OR id = $1 OR name = $1
ORDER BY name, created_at, id
