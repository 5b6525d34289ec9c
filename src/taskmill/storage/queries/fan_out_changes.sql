-- Purpose: make deliveries of changes, one for each webhook that subscribes to it and one for the callback of a
-- task that has ended, and move the cursor of the follower `webhooks` after them, all or nothing.
-- $1 uuid holder of the cursor lease, $2 double precision for how many seconds it is held from now on, $3 bigint
-- and $4 integer: the cursor after the changes; $5 bigint[] positions, $6 integer[] ordinals, $7 uuid[] tasks, $8
-- integer[] versions of the changes; $9 text[] terminal statuses, $10 double precision: seconds until a delivery
-- is given up.
-- A webhook of an API key gets what that name's newest live key grants `webhooks` for, or its newest key while it has
-- none that is live.
-- Locks: the row of the follower, first: without the cursor lease nothing changes. Relies on the primary keys of
-- task_callback, task_event and task, and api_key_name; task_event and task are not read when there is neither a webhook
-- nor a callback.
-- A change without a row in task_event is a claim (the view task_history).
-- Returns how many deliveries were made; no row when the cursor lease was lost.
WITH cursor_lease AS MATERIALIZED (
    UPDATE taskmill.feed_delivery
    SET position = $3, ordinal = $4, expires_at = clock_timestamp() + make_interval(secs => $2)
    WHERE follower = 'webhooks' AND holder = $1
    RETURNING follower
),
pair AS MATERIALIZED (
    SELECT position, ordinal, task_id, version
    FROM unnest($5::bigint[], $6::integer[], $7::uuid[], $8::integer[]) AS input (
        position, ordinal, task_id, version
    )
    WHERE EXISTS (SELECT FROM cursor_lease)
),
called AS (
    INSERT INTO taskmill.webhook_delivery (endpoint, task_id, version, position, ordinal, give_up_at)
    SELECT c.endpoint, pair.task_id, pair.version, pair.position, pair.ordinal, now() + make_interval(secs => $10)
    FROM pair
    JOIN taskmill.task_callback AS c ON c.task_id = pair.task_id
    JOIN taskmill.task_event AS e ON e.task_id = pair.task_id AND e.version = pair.version
    WHERE e.status = ANY($9)
    RETURNING 1
),
change AS MATERIALIZED (
    SELECT
        pair.position, pair.ordinal, pair.task_id, pair.version, coalesce(e.status, 'in_progress') AS status,
        t.queue, t.type
    FROM pair
    JOIN taskmill.task AS t ON t.id = pair.task_id
    LEFT JOIN taskmill.task_event AS e ON e.task_id = pair.task_id AND e.version = pair.version
    WHERE EXISTS (SELECT FROM taskmill.webhook WHERE state <> 'disabled')
),
-- The patterns of queues in the grants, as `domain.grants` writes them.
listener AS MATERIALIZED (
    SELECT
        w.id, w.since_position, w.statuses, w.queues, w.types,
        CASE
            WHEN w.owner IS NULL THEN ARRAY['*']
            ELSE ARRAY(
                SELECT pattern
                FROM unnest(owning.grants) AS granted (text)
                CROSS JOIN LATERAL unnest(
                    CASE
                        WHEN granted.text IN ('admin', 'webhooks') THEN ARRAY['*']
                        WHEN starts_with(granted.text, 'webhooks queue=')
                            THEN string_to_array(substr(granted.text, length('webhooks queue=') + 1), ',')
                        ELSE '{}'
                    END
                ) AS patterns (pattern)
            )
        END AS patterns
    FROM taskmill.webhook AS w
    LEFT JOIN LATERAL (
        SELECT k.grants FROM taskmill.api_key AS k
        WHERE k.name = w.owner
        ORDER BY
            k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()) DESC, k.created_at DESC, k.id DESC
        LIMIT 1
    ) AS owning ON true
    WHERE w.state <> 'disabled'
),
subscribed AS (
    INSERT INTO taskmill.webhook_delivery (
        endpoint, webhook_id, task_id, version, position, ordinal, give_up_at
    )
    SELECT
        'webhook:' || w.id, w.id, change.task_id, change.version, change.position, change.ordinal,
        now() + make_interval(secs => $10)
    FROM change
    JOIN listener AS w
        ON change.position > w.since_position
        AND change.status = ANY(w.statuses)
        AND (w.queues = '{}' OR change.queue = ANY(w.queues))
        AND (w.types = '{}' OR change.type = ANY(w.types))
        AND (
            '*' = ANY(w.patterns)
            OR EXISTS (
                SELECT FROM unnest(w.patterns) AS granted (pattern)
                WHERE change.queue = granted.pattern
                    OR (right(granted.pattern, 1) = '*' AND starts_with(change.queue, left(granted.pattern, -1)))
            )
        )
    ORDER BY change.position, change.ordinal
    RETURNING 1
)
SELECT (SELECT count(*) FROM called) + (SELECT count(*) FROM subscribed) AS deliveries
FROM cursor_lease
