-- Purpose: wait for the transactions in flight that insert any of these idempotency keys. The caller rolls back at
-- once. $1 text[] scopes, $2 text[] keys, sorted by both.
-- Locks: idempotency (sorted keys). Relies on its primary key.
INSERT INTO taskmill.idempotency (scope, key, task_id, request_hash, expires_at)
SELECT wanted.scope, wanted.key, '00000000-0000-0000-0000-000000000000', '', now()
FROM unnest($1::text[], $2::text[]) AS wanted (scope, key)
ON CONFLICT (scope, key) DO NOTHING
