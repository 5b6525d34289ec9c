-- Purpose: which of these requests have an idempotency key that stands for a task already in the scope of their entry
-- point, for the same request, and for none in their own scope.
-- $1 uuid[] ids of the requests, $2 text[] scopes, $3 text[] entry points, $4 text[] keys, $5 bytea[] request hashes.
-- Reads only; relies on the primary key.
SELECT wanted.id, earlier.task_id
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[])
    AS wanted (id, scope, entry_point, key, request_hash)
JOIN taskmill.idempotency AS earlier
    ON earlier.scope = wanted.entry_point AND earlier.key = wanted.key AND earlier.expires_at > now()
    AND earlier.request_hash = wanted.request_hash
LEFT JOIN taskmill.idempotency AS own
    ON own.scope = wanted.scope AND own.key = wanted.key AND own.expires_at > now()
WHERE own.key IS NULL
