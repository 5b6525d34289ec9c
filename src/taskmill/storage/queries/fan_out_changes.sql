-- Purpose: make deliveries of changes, one for each webhook that wants it and one for the callback of a task that has
-- ended, and move the cursor of the feed's place `webhooks` behind them, all or nothing.
-- $1 uuid who has the turn, $2 double precision for how many seconds it is held from now on, $3 bigint and $4 integer:
-- the cursor behind the changes; $5 bigint[] positions, $6 integer[] ordinals, $7 uuid[] tasks, $8 integer[] versions
-- of the changes; $9 text[] terminal statuses, $10 double precision: seconds until a delivery is given up.
-- Locks: the place's row, first: whoever lost the turn changes nothing. Relies on the primary keys of task_callback,
-- task_event and task; the latter two are not looked at when there is neither a webhook nor a callback.
-- Returns how many deliveries were made; no row when the turn was lost.
WITH turn AS MATERIALIZED (
    UPDATE taskmill.feed_delivery
    SET position = $3, ordinal = $4, expires_at = clock_timestamp() + make_interval(secs => $2)
    WHERE place = 'webhooks' AND holder = $1
    RETURNING place
),
pair AS MATERIALIZED (
    SELECT position, ordinal, task_id, version
    FROM unnest($5::bigint[], $6::integer[], $7::uuid[], $8::integer[]) AS input (
        position, ordinal, task_id, version
    )
    WHERE EXISTS (SELECT FROM turn)
),
called AS (
    INSERT INTO taskmill.webhook_delivery (lane, task_id, version, position, ordinal, give_up_at)
    SELECT c.lane, pair.task_id, pair.version, pair.position, pair.ordinal, now() + make_interval(secs => $10)
    FROM pair
    JOIN taskmill.task_callback AS c ON c.task_id = pair.task_id
    JOIN taskmill.task_event AS e ON e.task_id = pair.task_id AND e.version = pair.version
    WHERE e.status = ANY($9)
    RETURNING 1
),
told AS MATERIALIZED (
    SELECT pair.position, pair.ordinal, pair.task_id, pair.version, e.status, t.queue, t.type
    FROM pair
    JOIN taskmill.task_event AS e ON e.task_id = pair.task_id AND e.version = pair.version
    JOIN taskmill.task AS t ON t.id = pair.task_id
    WHERE EXISTS (SELECT FROM taskmill.webhook WHERE state <> 'disabled')
),
subscribed AS (
    INSERT INTO taskmill.webhook_delivery (
        lane, webhook_id, task_id, version, position, ordinal, give_up_at
    )
    SELECT
        'webhook:' || w.id, w.id, told.task_id, told.version, told.position, told.ordinal,
        now() + make_interval(secs => $10)
    FROM told
    JOIN taskmill.webhook AS w
        ON w.state <> 'disabled'
        AND told.position > w.since_position
        AND told.status = ANY(w.statuses)
        AND (w.queues = '{}' OR told.queue = ANY(w.queues))
        AND (w.types = '{}' OR told.type = ANY(w.types))
    ORDER BY told.position, told.ordinal
    RETURNING 1
)
SELECT (SELECT count(*) FROM called) + (SELECT count(*) FROM subscribed) AS deliveries
FROM turn
