-- Purpose: store a new webhook, if there are not too many. $1 uuid, $2 text address, $3 text description, $4
-- text[] queues, $5 text[] types, $6 text[] statuses, $7 text[] secrets, $8 text state, $9 integer: most webhooks, $10
-- text: the name of the API key that makes it, or null, $11 integer: most webhooks of that, or null.
-- It gets changes from now on: those that have a position now were committed before.
-- Returns a row unless there are too many. Relies on change_batch_position.
INSERT INTO taskmill.webhook (
    id, url, description, queues, types, statuses, secrets, state, since_position, owner
)
SELECT
    $1::uuid, $2::text, $3::text, $4::text[], $5::text[], $6::text[], $7::text[], $8::text,
    coalesce((
        SELECT position FROM taskmill.change_batch
        WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1
    ), 0),
    $10::text
WHERE (SELECT count(*) FROM taskmill.webhook WHERE deleted_at IS NULL) < $9::integer
    AND (
        $11::integer IS NULL
        OR (SELECT count(*) FROM taskmill.webhook WHERE owner = $10::text AND deleted_at IS NULL) < $11::integer
    )
ON CONFLICT (id) DO NOTHING
RETURNING id
