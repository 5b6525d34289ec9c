-- Purpose: let `create_task` know the limits of requests in the settings. $1 integer: most queues; $2 integer:
-- most labels; $3 integer: longest idempotency key; $4 integer: largest payload in bytes; $5 interval: validity of
-- a key; $6 integer: most types that wait without a contract and a live worker.
-- Locks: the one row, if it changes.
UPDATE taskmill.request_limit
SET queues = $1, labels = $2, idempotency_key_chars = $3, payload_bytes = $4, key_validity = $5, unserved_types = $6
WHERE (queues, labels, idempotency_key_chars, payload_bytes, key_validity, unserved_types)
    IS DISTINCT FROM ($1::integer, $2::integer, $3::integer, $4::integer, $5::interval, $6::integer)
