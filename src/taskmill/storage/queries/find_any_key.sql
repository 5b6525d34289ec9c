-- Purpose: any one idempotency key of a scope, also one past its validity. $1 text scope.
-- Reads only; relies on the primary key, whose order it asks for.
SELECT held.key FROM taskmill.idempotency AS held WHERE held.scope = $1 ORDER BY held.key LIMIT 1
