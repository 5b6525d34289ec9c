-- Purpose: which of these idempotency keys are held, and not past their validity.
-- $1 text[] scopes, $2 text[] keys, of equal length. Reads only; relies on the primary key.
SELECT held.scope, held.key
FROM unnest($1::text[], $2::text[]) AS wanted (scope, key)
JOIN taskmill.idempotency AS held ON held.scope = wanted.scope AND held.key = wanted.key
WHERE held.expires_at > now()
