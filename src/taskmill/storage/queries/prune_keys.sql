-- Purpose: delete idempotency keys past their validity. $1 integer limit. Relies on idempotency_expiry.
DELETE FROM taskmill.idempotency
WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM taskmill.idempotency
    WHERE expires_at <= now()
    ORDER BY expires_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
))
RETURNING 1
