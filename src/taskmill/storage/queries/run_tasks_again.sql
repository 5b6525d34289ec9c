-- Purpose: an operator starts a new run of finished tasks: attempts and losses from zero, while claim numbers go
-- on. An old `expires_at` is dropped: it would end the new run at once. $1 uuid[], $2 text[] terminal statuses:
-- others are left alone. $3 timestamptz: when the first is due, null or the past: now; $4 double precision: s from one
-- to the next, in the order of ids. The form for one has $5 integer[]: the versions that it may have, null for any.
-- Locks in order: task (in the order of ids), dispatch (own new rows), event, count; own new rows of queues.
-- Relies on the primary keys of task and running; `IS TRUE` hides the status from the planner. A task that is in
-- `running` though it has ended is left alone: it would run twice. Returns the tasks whose run was started.
-- Notifies.
WITH finished AS MATERIALIZED (
    SELECT id, final_status FROM taskmill.task
    WHERE id = ANY($1) AND (final_status = ANY($2)) IS TRUE
        AND (SELECT r.claim_no FROM taskmill.running AS r WHERE r.task_id = id) IS NULL
        -- For one: AND ($5::integer[] IS NULL OR version = ANY($5))
    ORDER BY id
    FOR NO KEY UPDATE
),
again AS (
    UPDATE taskmill.task
    SET final_status = NULL,
        run = run + 1,
        attempt = 0,
        losses = 0,
        cancel_requested = false,
        run_at = greatest(now(), $3::timestamptz) + make_interval(
            secs => $4::double precision * width_bucket(id, ARRAY(SELECT id FROM finished ORDER BY id)) - $4
        ),
        expires_at = NULL,
        started_at = NULL,
        finished_at = NULL,
        result = NULL,
        error = NULL,
        updated_at = now(),
        version = version + 1
    WHERE id = ANY(ARRAY(SELECT id FROM finished))
    RETURNING id, version, run, claim_no, run_at, queue, type, priority
),
waiting AS (
    INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at)
    SELECT id, queue, type, priority, run_at FROM again
),
logged AS (
    INSERT INTO taskmill.task_event (
        task_id, version, event, status, run, attempt, losses, claim_no, run_at, reason
    )
    SELECT id, version, 'run_again', 'new', run, 0, 0, claim_no, run_at, 'operator' FROM again
),
changed AS (
    INSERT INTO taskmill.change_batch (task_ids, versions)
    SELECT array_agg(id), array_agg(version) FROM again HAVING count(*) > 0
),
counted AS (
    INSERT INTO taskmill.task_count (queue, status, tasks, week)
    SELECT again.queue, finished.final_status, -count(*), taskmill.week_of(id)
    FROM again JOIN finished USING (id)
    GROUP BY 1, 2, 4
    UNION ALL
    SELECT queue, 'new', count(*), taskmill.week_of(id) FROM again GROUP BY 1, 4
),
-- The queue may be gone: it was empty. One that a user's transaction is making is left to that (add_queues).
restored AS (
    INSERT INTO taskmill.queue (name)
    SELECT DISTINCT queue
    FROM again
    WHERE NOT EXISTS (SELECT FROM taskmill.queue AS q WHERE q.name = again.queue)
        AND pg_try_advisory_xact_lock(hashtext('taskmill.queue'), hashtext(again.queue))
    ORDER BY queue
    ON CONFLICT (name) DO NOTHING
),
rolled AS (
    INSERT INTO taskmill.task_minute_delta (queue, type, event, tasks)
    SELECT queue, type, 'run_again', count(*) FROM again GROUP BY queue, type
)
SELECT id FROM again
