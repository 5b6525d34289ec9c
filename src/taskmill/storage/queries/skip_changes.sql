-- Purpose: move the cursor of the follower `webhooks` to the end of the feed, if there is neither a webhook
-- that gets changes nor a callback. $1 uuid holder of the cursor lease, $2 double precision for how many seconds
-- it is held then.
-- Locks: the row of the follower. Relies on change_batch_position and on the primary key of task_callback.
-- All is read in one snapshot. What it skips was committed before any webhook that it does not see, which gets
-- later changes only; a callback is committed with the first change of its task, so it is visible where that
-- change is.
-- Returns whether there is one of them, the end of the feed (null while it is empty), and whether the cursor was
-- moved.
WITH here AS MATERIALIZED (
    SELECT
        latest.position,
        cardinality(latest.task_ids) AS ordinal,
        EXISTS (SELECT FROM taskmill.webhook WHERE state <> 'disabled')
        OR EXISTS (SELECT FROM taskmill.task_callback) AS is_followed
    FROM (SELECT) AS always
    LEFT JOIN LATERAL (
        SELECT position, task_ids FROM taskmill.change_batch
        WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1
    ) AS latest ON true
),
moved AS (
    UPDATE taskmill.feed_delivery AS held
    SET
        position = here.position,
        ordinal = here.ordinal,
        expires_at = clock_timestamp() + make_interval(secs => $2)
    FROM here
    WHERE held.follower = 'webhooks'
        AND held.holder = $1
        AND NOT here.is_followed
        AND (held.position, held.ordinal) < (here.position, here.ordinal)
    RETURNING 1
)
SELECT is_followed, position, ordinal, EXISTS (SELECT FROM moved) AS has_moved
FROM here
