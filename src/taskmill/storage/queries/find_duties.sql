-- Purpose: which duties of maintenance have something to do, so that the others need not poll.
-- $1 integer[]: the steps of the roll-up that are carried into longer ones, in s; $2 integer: most counters to
-- read; $3 double precision: how far ahead to look for expiring tasks, and for ticks of schedules, in s.
-- Reads only; relies on lease_open, lease_timeout, dispatch_expiry, task_minute_open, schedule_due and
-- schedule_request_open. The statements of the duties decide themselves what still has to be done.
SELECT
    EXISTS (
        SELECT FROM taskmill.lease WHERE closed_at IS NULL AND expires_at < clock_timestamp()
    )
    OR EXISTS (
        SELECT FROM taskmill.running AS r
        WHERE NOT EXISTS (SELECT FROM taskmill.lease AS l WHERE l.id = r.lease_id AND l.closed_at IS NULL)
    ) AS rescue,
    EXISTS (
        SELECT FROM taskmill.lease WHERE timeout_at <= now() AND closed_at IS NULL
    ) AS time_out,
    (
        SELECT extract(epoch FROM expires_at - clock_timestamp())::double precision
        FROM taskmill.dispatch
        -- Bounded, so that it does not read rows that were deleted early while an old snapshot is open.
        WHERE expires_at <= now() + make_interval(secs => $3)
        ORDER BY expires_at
        LIMIT 1
    ) AS expires_in_s,
    EXISTS (
        SELECT FROM (SELECT queue, status, tasks FROM taskmill.task_count LIMIT $2) AS counted
        GROUP BY queue, status
        HAVING count(*) > 1 OR sum(tasks) = 0
    ) AS fold_counts,
    EXISTS (SELECT FROM taskmill.task_minute_delta)
    OR EXISTS (
        SELECT FROM unnest($1::integer[]) AS step (step_s)
        WHERE EXISTS (
            SELECT FROM taskmill.task_minute AS m
            WHERE m.step_s = step.step_s
                AND NOT m.carried
                AND m.at < now() - make_interval(secs => step.step_s + 60)
        )
    ) AS roll_up,
    EXISTS (SELECT FROM taskmill.failure_delta) AS fold_failures,
    (
        SELECT extract(epoch FROM next_at - clock_timestamp())::double precision
        FROM taskmill.schedule_cursor
        -- Bounded for the same reason.
        WHERE paused_at IS NULL AND next_at <= now() + make_interval(secs => $3)
        ORDER BY next_at
        LIMIT 1
    ) AS next_tick_in_s,
    EXISTS (
        SELECT FROM taskmill.schedule_request WHERE problem IS NULL OR paused IS NOT NULL
    ) AS schedule_requests
