-- Purpose: add event counts to the rows of one step of the roll-up: deltas to minutes, or past rows of the step
-- below, which are marked as carried, to a longer one. Atomic: each change counts once, whatever crashes.
-- $1 integer: the step in s, $2 integer: the step below, or 0 for the deltas; most to take at once: $3 integer.
-- Most types that a queue has in a step, $4 integer, and all queues together, $5 integer: the others count as type
-- *.
-- Runs after lock_roll_up in the same transaction, or the limits would not hold. Locks: the deltas that are taken
-- (skips those of transactions in flight), rows of the roll-up in the order of the index.
-- Relies on: task_minute_open. Returns how many rows were taken.
WITH folded AS (
    DELETE FROM taskmill.task_minute_delta
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM taskmill.task_minute_delta WHERE $2::integer = 0 LIMIT $3 FOR UPDATE SKIP LOCKED
    ))
    RETURNING at, queue, type, event, bucket, tasks, seconds
),
carried AS (
    UPDATE taskmill.task_minute
    SET carried = true
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM taskmill.task_minute
        WHERE step_s = $2::integer AND NOT carried AND at < now() - make_interval(secs => $2::integer + 60)
        ORDER BY at
        LIMIT $3
    ))
    RETURNING
        at, queue, type, created, claimed, succeeded, failed, retry_scheduled, handed_back, lost, expired,
        cancelled, run_again, waiting, waiting_s, running, running_s
),
summed AS (
    SELECT
        at, queue, type, event, tasks, seconds, taskmill.packed_bucket(tasks, bucket) AS histogram,
        bucket IS NOT NULL AND event = 'claimed' AS has_waited,
        bucket IS NOT NULL AND event <> 'claimed' AS has_run
    FROM (
        SELECT
            date_bin(make_interval(secs => $1::integer), at, '2000-01-01 00:00:00+00') AS at,
            queue, type, event, bucket, sum(tasks)::bigint AS tasks, coalesce(sum(seconds), 0) AS seconds
        FROM folded
        GROUP BY 1, 2, 3, 4, 5
    ) AS deltas
),
taken AS (
    SELECT
        at, queue, type,
        CASE event WHEN 'created' THEN tasks ELSE 0 END AS created,
        CASE event WHEN 'claimed' THEN tasks ELSE 0 END AS claimed,
        CASE event WHEN 'succeeded' THEN tasks ELSE 0 END AS succeeded,
        CASE event WHEN 'failed' THEN tasks ELSE 0 END AS failed,
        CASE event WHEN 'retry_scheduled' THEN tasks ELSE 0 END AS retry_scheduled,
        CASE event WHEN 'handed_back' THEN tasks ELSE 0 END AS handed_back,
        CASE event WHEN 'lost' THEN tasks ELSE 0 END AS lost,
        CASE event WHEN 'expired' THEN tasks ELSE 0 END AS expired,
        CASE event WHEN 'cancelled' THEN tasks ELSE 0 END AS cancelled,
        CASE event WHEN 'run_again' THEN tasks ELSE 0 END AS run_again,
        CASE WHEN has_waited THEN histogram ELSE 0 END AS waiting,
        CASE WHEN has_waited THEN seconds ELSE 0 END AS waiting_s,
        CASE WHEN has_run THEN histogram ELSE 0 END AS running,
        CASE WHEN has_run THEN seconds ELSE 0 END AS running_s
    FROM summed
    UNION ALL
    SELECT
        at, queue, type, created, claimed, succeeded, failed, retry_scheduled, handed_back, lost, expired,
        cancelled, run_again, waiting, waiting_s, running, running_s
    FROM carried
),
grouped AS MATERIALIZED (
    SELECT
        date_bin(make_interval(secs => $1::integer), at, '2000-01-01 00:00:00+00') AS step_at, queue, type,
        sum(created) AS created, sum(claimed) AS claimed, sum(succeeded) AS succeeded, sum(failed) AS failed,
        sum(retry_scheduled) AS retry_scheduled, sum(handed_back) AS handed_back, sum(lost) AS lost,
        sum(expired) AS expired, sum(cancelled) AS cancelled, sum(run_again) AS run_again,
        sum(waiting) AS waiting, sum(waiting_s) AS waiting_s, sum(running) AS running,
        sum(running_s) AS running_s
    FROM taken
    GROUP BY 1, 2, 3
),
-- A type that has a row keeps it; of the new ones, as many get one as there is room for.
present AS (
    SELECT
        g.step_at, g.queue, g.type, false AS is_known,
        g.created, g.claimed, g.succeeded, g.failed, g.retry_scheduled, g.handed_back, g.lost, g.expired,
        g.cancelled, g.run_again, g.waiting, g.waiting_s, g.running, g.running_s
    FROM grouped AS g
    UNION ALL
    SELECT m.at, m.queue, m.type, true, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    FROM (SELECT DISTINCT step_at FROM grouped) AS touched
    JOIN taskmill.task_minute AS m ON m.step_s = $1::integer AND m.at = touched.step_at AND NOT m.carried
),
numbered AS (
    SELECT
        step_at, queue, type, bool_or(is_known) AS is_known, bool_or(NOT is_known) AS is_taken,
        row_number() OVER (
            PARTITION BY step_at, queue ORDER BY type = '*', bool_or(is_known) DESC, type
        ) AS rank,
        sum(created) AS created, sum(claimed) AS claimed, sum(succeeded) AS succeeded, sum(failed) AS failed,
        sum(retry_scheduled) AS retry_scheduled, sum(handed_back) AS handed_back, sum(lost) AS lost,
        sum(expired) AS expired, sum(cancelled) AS cancelled, sum(run_again) AS run_again,
        sum(waiting) AS waiting, sum(waiting_s) AS waiting_s, sum(running) AS running,
        sum(running_s) AS running_s
    FROM present
    GROUP BY step_at, queue, type
),
labelled AS (
    SELECT
        step_at, queue, is_taken,
        created, claimed, succeeded, failed, retry_scheduled, handed_back, lost, expired, cancelled,
        run_again, waiting, waiting_s, running, running_s,
        CASE
            WHEN rank <= $4 AND row_number() OVER (
                PARTITION BY step_at ORDER BY rank > $4, is_known DESC, rank, queue
            ) <= $5
            THEN type
            ELSE '*'
        END AS label
    FROM numbered
),
stored AS (
    INSERT INTO taskmill.task_minute AS m (
        step_s, at, queue, type, created, claimed, succeeded, failed, retry_scheduled, handed_back, lost,
        expired, cancelled, run_again, waiting, waiting_s, running, running_s
    )
    SELECT
        $1::integer, step_at, queue, label,
        sum(created), sum(claimed), sum(succeeded), sum(failed), sum(retry_scheduled), sum(handed_back),
        sum(lost), sum(expired), sum(cancelled), sum(run_again), sum(waiting), sum(waiting_s), sum(running),
        sum(running_s)
    FROM labelled
    WHERE is_taken
    GROUP BY 2, 3, 4
    ORDER BY 2, 3, 4
    ON CONFLICT (step_s, at, queue, type) WHERE NOT carried DO UPDATE
        SET created = m.created + excluded.created,
            claimed = m.claimed + excluded.claimed,
            succeeded = m.succeeded + excluded.succeeded,
            failed = m.failed + excluded.failed,
            retry_scheduled = m.retry_scheduled + excluded.retry_scheduled,
            handed_back = m.handed_back + excluded.handed_back,
            lost = m.lost + excluded.lost,
            expired = m.expired + excluded.expired,
            cancelled = m.cancelled + excluded.cancelled,
            run_again = m.run_again + excluded.run_again,
            waiting = m.waiting + excluded.waiting,
            waiting_s = m.waiting_s + excluded.waiting_s,
            running = m.running + excluded.running,
            running_s = m.running_s + excluded.running_s
)
SELECT (SELECT count(*) FROM folded) + (SELECT count(*) FROM carried) AS taken
