-- Purpose: take deliveries that are due, to try them. $1 text[] endpoints, $2 integer[] most of each, $3 double
-- precision: seconds until they are tried again if the result of this try is not recorded.
-- Locks: the deliveries' rows, skipping what others hold. Relies on webhook_delivery_endpoint, once for each
-- endpoint, the primary keys, and api_key_name. Returns them with the address and the secrets of the webhook; both null where
-- these are gone; and the grants of the newest live API key with the name of the webhook's owner, null where there is
-- none.
WITH picked AS MATERIALIZED (
    SELECT one.id
    FROM unnest($1::text[], $2::integer[]) AS wanted (endpoint, most)
    CROSS JOIN LATERAL (
        SELECT d.id FROM taskmill.webhook_delivery AS d
        WHERE d.state = 'pending' AND d.endpoint = wanted.endpoint AND d.next_at <= now()
        ORDER BY d.next_at, d.id
        LIMIT wanted.most
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS one
),
taken AS (
    UPDATE taskmill.webhook_delivery
    SET attempts = attempts + 1, tried_at = now(), next_at = now() + make_interval(secs => $3)
    WHERE id = ANY(ARRAY(SELECT id FROM picked)) AND state = 'pending'
    RETURNING id, endpoint, webhook_id, task_id, version, position, ordinal, attempts, created_at, give_up_at
)
SELECT
    taken.id, taken.endpoint, taken.webhook_id, taken.task_id, taken.version, taken.position, taken.ordinal,
    taken.attempts, taken.created_at, taken.give_up_at, coalesce(w.url, c.url) AS url, w.secrets,
    w.owner, owning.grants
FROM taken
LEFT JOIN taskmill.webhook AS w ON w.id = taken.webhook_id AND w.deleted_at IS NULL
LEFT JOIN taskmill.task_callback AS c ON c.task_id = taken.task_id AND taken.webhook_id IS NULL
LEFT JOIN LATERAL (
    SELECT k.grants FROM taskmill.api_key AS k
    WHERE k.name = w.owner AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
    ORDER BY k.created_at DESC, k.id DESC
    LIMIT 1
) AS owning ON true
