-- Purpose: an operator changes where and when a waiting task waits. $1 uuid: the task; $2 integer: the version that it
-- must have; $3 text, $4 smallint, $5 timestamptz: its queue, priority and due time from now on. A due time of the past
-- is now, unless it is the task's own.
-- Locks in order: dispatch (waits for a claim in flight), task, event, count; own new rows of dispatch and queue.
-- Relies on the primary keys of dispatch and task. Its row of dispatch is replaced, not updated: who waits for that, or has
-- seen it with the version of before, finds it gone. So a claim and a cancel never mix two versions.
-- Returns the task's id if it waited with that version.
-- Notifies.
WITH taken AS (
    DELETE FROM taskmill.dispatch
    WHERE task_id = $1::uuid AND (SELECT version FROM taskmill.task WHERE id = $1::uuid) = $2::integer
    RETURNING task_id, queue, expires_at, owner, bytes
),
moved AS (
    UPDATE taskmill.task
    SET queue = $3,
        priority = $4::smallint,
        run_at = CASE WHEN run_at = $5::timestamptz THEN run_at ELSE greatest($5::timestamptz, now()) END,
        updated_at = now(),
        version = version + 1
    WHERE id = (SELECT task_id FROM taken) AND final_status IS NULL
    RETURNING id, version, run, attempt, losses, claim_no, run_at, queue, type, priority
),
waiting AS (
    INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at, expires_at, owner, bytes)
    SELECT
        moved.id, moved.queue, moved.type, moved.priority, moved.run_at, taken.expires_at, taken.owner, taken.bytes
    FROM moved JOIN taken ON taken.task_id = moved.id
),
logged AS (
    INSERT INTO taskmill.task_event (
        task_id, version, event, status, run, attempt, losses, claim_no, run_at, reason
    )
    SELECT id, version, 'rescheduled', 'new', run, attempt, losses, claim_no, run_at, 'operator' FROM moved
),
changed AS (
    INSERT INTO taskmill.change_batch (task_ids, versions)
    SELECT array_agg(id), array_agg(version) FROM moved HAVING count(*) > 0
),
counted AS (
    INSERT INTO taskmill.task_count (queue, status, tasks, week)
    SELECT taken.queue, 'new', -1, taskmill.week_of(moved.id)
    FROM moved JOIN taken ON taken.task_id = moved.id AND taken.queue <> moved.queue
    UNION ALL
    SELECT moved.queue, 'new', 1, taskmill.week_of(moved.id)
    FROM moved JOIN taken ON taken.task_id = moved.id AND taken.queue <> moved.queue
),
-- The queue may be gone since it was made: it was empty. One that a user's transaction is making is left to that (add_queues).
restored AS (
    INSERT INTO taskmill.queue (name)
    SELECT queue
    FROM moved
    WHERE NOT EXISTS (SELECT FROM taskmill.queue AS q WHERE q.name = moved.queue)
        AND pg_try_advisory_xact_lock(hashtext('taskmill.queue'), hashtext(moved.queue))
    ON CONFLICT (name) DO NOTHING
)
SELECT id FROM moved
