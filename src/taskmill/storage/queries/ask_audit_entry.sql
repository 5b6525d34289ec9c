-- Purpose: record what is asked for, before it is done. Its id and time are those of PostgreSQL's clock; the id has
-- microseconds, so that entries of one millisecond are in order, too. $1..$10 text: action; kind and name of the
-- actor, id of the key, session, address; id of the request; type and id of the target; details in JSON.
-- Returns: the id of the entry. Fails with check_violation while the month has no partition.
INSERT INTO taskmill.audit_entry (
    id, at, action, actor_kind, actor_name, key_id, session, address, request_id, target_type, target_id, details
)
SELECT
    (
        lpad(to_hex(us / 1000), 12, '0') || '7' || lpad(to_hex(((us % 1000) << 12) / 1000), 3, '0')
        || substr(replace(gen_random_uuid()::text, '-', ''), 17)
    )::uuid,
    at, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::json
FROM (SELECT at, (extract(epoch FROM at) / 0.000001)::bigint AS us FROM (SELECT clock_timestamp() AS at) AS clock) AS now
RETURNING id
