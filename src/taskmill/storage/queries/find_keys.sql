-- Purpose: which task holds each of these idempotency keys, for which request, and whether it is not past its validity.
-- $1 text[] scopes, $2 text[] keys, of equal length. Reads only; relies on the primary key.
SELECT held.scope, held.key, held.task_id, held.request_hash, held.expires_at > now() AS is_valid
FROM unnest($1::text[], $2::text[]) AS wanted (scope, key)
JOIN taskmill.idempotency AS held ON held.scope = wanted.scope AND held.key = wanted.key
