-- Purpose: store refused messages. A message with an id that is stored already counts as redelivered.
-- $1..$11: arrays, one element a message (see storage/rejections.py), or empty for nulls only, sorted by message
-- id and hash; no pair of these may come twice.
-- Locks in order: rejection (sorted keys). Relies on its primary key and on rejection_message.
-- Returns: the row of each message. One that is missing was stored by an earlier run with the same id.
WITH input AS MATERIALIZED (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::bytea[], $6::bytea[], $7::text[],
        $8::integer[], $9::text[], $10::integer[], $11::text[]
    ) AS input (
        id, created_at, source, message_id, body, body_hash, headers, status, problem, redeliveries, queue
    )
)
INSERT INTO taskmill.rejection AS held (
    id, created_at, source, message_id, body, body_hash, headers, status, problem, redeliveries, queue
)
SELECT
    id, created_at, source, message_id, body, body_hash, headers::json, status, problem::json, redeliveries, queue
FROM input
WHERE NOT EXISTS (SELECT FROM taskmill.rejection AS earlier WHERE earlier.id = input.id)
ON CONFLICT (source, message_id, body_hash) WHERE message_id IS NOT NULL DO UPDATE
    SET redeliveries = held.redeliveries + excluded.redeliveries + 1
RETURNING id, message_id, body_hash
