-- Purpose: end a batch of attempts (finish, retry, hand back, loss), each only if its fence still holds.
-- $1..$13: arrays, one element an attempt (see storage/claims.py), or empty for nulls only: the fence (id, lease,
-- claim_no), then the transition that `domain.lifecycle.decide` chose; $6 and $7 are its status and event type if
-- a cancel was requested meanwhile. $14 text: the worker that ends them; null: for each the one that holds its
-- lease.
-- Locks in order: task (sorted ids given), dispatch (own new rows), event, count.
-- Relies on: task's primary key, once per row of the input; `IS TRUE` hides the status from the planner, which
-- would otherwise read every running task by task_status_id for each of them. Returns the attempts that were
-- ended; a missing one belongs to another worker.
-- Notifies.
WITH input AS MATERIALIZED (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::uuid[], $3::integer[],
        $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::double precision[], $10::boolean[], $11::boolean[], $12::text[], $13::text[]
    ) AS input (
        id, lease_id, claim_no,
        status, event, status_if_cancelled, event_if_cancelled, reason,
        delay_s, spends_attempt, counts_loss, result, error
    )
),
ended AS (
    UPDATE taskmill.task AS t
    SET status = CASE WHEN t.cancel_requested THEN i.status_if_cancelled ELSE i.status END,
        attempt = t.attempt - CASE WHEN i.spends_attempt THEN 0 ELSE 1 END,
        losses = t.losses + CASE WHEN i.counts_loss THEN 1 ELSE 0 END,
        run_at = CASE
            WHEN i.status = 'new' AND NOT t.cancel_requested
                THEN now() + make_interval(secs => i.delay_s)
            ELSE t.run_at
        END,
        finished_at = CASE
            WHEN i.status <> 'new' OR t.cancel_requested THEN now()
        END,
        result = i.result::json,
        error = CASE WHEN i.status = 'succeeded' THEN NULL ELSE coalesce(i.error::jsonb, t.error) END,
        lease_id = NULL,
        updated_at = now(),
        version = t.version + 1
    FROM input AS i
    WHERE t.id = i.id
        -- For one: AND t.id = ($1::uuid[])[1]
        AND (t.status = 'in_progress') IS TRUE
        AND t.lease_id = i.lease_id
        AND t.claim_no = i.claim_no
    RETURNING
        t.id, t.version, t.status, t.run, t.attempt, t.losses, t.claim_no, t.run_at, t.queue, t.type,
        t.priority, t.expires_at, i.lease_id,
        CASE WHEN t.status = i.status THEN i.event ELSE i.event_if_cancelled END AS event,
        CASE WHEN t.status = i.status THEN i.reason ELSE 'cancelled' END AS reason,
        i.error,
        date_part('epoch', t.updated_at - t.started_at) AS ran_s
),
waiting AS (
    INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at, expires_at)
    SELECT id, queue, type, priority, run_at, expires_at FROM ended WHERE status = 'new'
),
logged AS (
    INSERT INTO taskmill.task_event (
        task_id, version, event, status, run, attempt, losses, claim_no, run_at, lease_id,
        worker, reason, error
    )
    SELECT
        id, version, event, status, run, attempt, losses, claim_no, run_at, lease_id,
        coalesce($14, (SELECT l.worker FROM taskmill.lease AS l WHERE l.id = ended.lease_id)),
        reason, error::jsonb
    FROM ended
),
changed AS (
    INSERT INTO taskmill.change_batch (task_ids, versions)
    SELECT array_agg(id), array_agg(version) FROM ended HAVING count(*) > 0
),
counted AS (
    INSERT INTO taskmill.task_count (queue, status, tasks, week)
    SELECT queue, 'in_progress', -count(*), taskmill.week_of(id) FROM ended GROUP BY 1, 4
    UNION ALL
    SELECT queue, status, count(*), taskmill.week_of(id) FROM ended GROUP BY 1, 2, 4
),
rolled AS (
    INSERT INTO taskmill.task_minute_delta (queue, type, event, bucket, tasks, seconds)
    SELECT queue, type, event, taskmill.duration_bucket(ran_s), count(*), sum(greatest(ran_s, 0))
    FROM ended GROUP BY 1, 2, 3, 4
)
SELECT id, claim_no, status, event, reason, run_at FROM ended
