-- Purpose: metrics of what is still to be delivered to webhooks and callbacks.
-- $1 integer: most deliveries to count; $2 integer: most endpoints to read; $3 double precision: after how many
-- seconds without success an endpoint counts as failing.
-- Reads only. Relies on webhook_delivery_give_up for the count; on webhook_delivery_endpoint for a probe of the
-- next endpoint and one of its first delivery, whatever waits behind these; on change_batch_position. Webhooks
-- that are paused or disabled are counted, but never late; neither are endpoints that fail, as that is their own
-- fault: for callbacks webhook_delivery_failing shows it. A feed without followers is not behind.
WITH RECURSIVE found AS (
    (
        SELECT endpoint FROM taskmill.webhook_delivery
        WHERE state = 'pending'
        ORDER BY endpoint
        LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT d.endpoint FROM taskmill.webhook_delivery AS d
        WHERE d.state = 'pending' AND d.endpoint > found.endpoint
        ORDER BY d.endpoint
        LIMIT 1
    )
    FROM found
    WHERE found.endpoint IS NOT NULL
),
endpoints AS MATERIALIZED (
    SELECT endpoint FROM found WHERE endpoint IS NOT NULL LIMIT $2
)
SELECT
    (
        SELECT count(*)
        FROM (
            SELECT FROM taskmill.webhook_delivery WHERE state = 'pending' ORDER BY give_up_at LIMIT $1
        ) AS waiting
    )::integer AS waiting,
    (
        SELECT greatest(extract(epoch FROM clock_timestamp() - min(earliest.next_at)), 0)
        FROM endpoints
        CROSS JOIN LATERAL (
            SELECT d.next_at FROM taskmill.webhook_delivery AS d
            WHERE d.state = 'pending' AND d.endpoint = endpoints.endpoint
            ORDER BY d.next_at, d.id
            LIMIT 1
        ) AS earliest
        WHERE NOT EXISTS (
            SELECT FROM taskmill.webhook AS w
            WHERE (w.state <> 'enabled' OR w.failing_since IS NOT NULL)
                AND w.id = CASE WHEN endpoints.endpoint LIKE 'webhook:%' THEN substr(endpoints.endpoint, 9)::uuid END
        )
            AND NOT EXISTS (
                SELECT FROM taskmill.webhook_delivery AS d
                WHERE d.state = 'pending' AND d.trouble IS NOT NULL AND d.webhook_id IS NULL AND d.endpoint = endpoints.endpoint
            )
    )::double precision AS late_s,
    (
        SELECT greatest(extract(epoch FROM clock_timestamp() - b.at), 0)
        FROM taskmill.change_batch AS b
        WHERE b.position > (SELECT position FROM taskmill.feed_delivery WHERE follower = 'webhooks')
            AND (
                EXISTS (SELECT FROM taskmill.webhook WHERE deleted_at IS NULL)
                OR EXISTS (SELECT FROM taskmill.task_callback)
            )
        ORDER BY b.position
        LIMIT 1
    )::double precision AS unread_s,
    (
        SELECT count(*) FROM taskmill.webhook
        WHERE deleted_at IS NULL
            AND (
                (state = 'disabled' AND disabled_reason IS NOT NULL)
                OR (state = 'enabled' AND failing_since < clock_timestamp() - make_interval(secs => $3))
            )
    )::integer AS failing
