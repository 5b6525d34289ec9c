-- Purpose: metrics of how far behind the feed its followers are. Reads only; relies on change_batch_position.
-- Returns each follower and how long ago the first change that it lacks was committed; 0 when it has all, or when
-- it is for webhooks and callbacks and there are none.
SELECT
    held.follower,
    coalesce((
        SELECT greatest(extract(epoch FROM clock_timestamp() - b.at), 0)
        FROM taskmill.change_batch AS b
        WHERE b.position >= held.position
            AND (b.position > held.position OR cardinality(b.task_ids) > held.ordinal)
            AND (
                held.follower <> 'webhooks'
                OR EXISTS (SELECT FROM taskmill.webhook WHERE state <> 'disabled')
                OR EXISTS (SELECT FROM taskmill.task_callback)
            )
        ORDER BY b.position
        LIMIT 1
    ), 0)::double precision AS lag_s
FROM taskmill.feed_delivery AS held
