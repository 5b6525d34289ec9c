-- Purpose: end a batch of attempts (finish, retry, hand back, loss), each only if its fence still holds.
-- $1..$13: arrays, one element an attempt (see storage/claims.py), or empty for nulls only: the fence (id, lease,
-- claim_no), then the transition that `domain.lifecycle.decide` chose; $6 and $7 are its status and event type if
-- a cancel was requested meanwhile. $14 text: the worker that ends them; null: for each the one that holds its
-- lease.
-- Locks in order: running (in the order of ids), task, dispatch (own new rows), event, count.
-- Relies on: the primary keys of running and task. The ids are sorted, each is there once, and each row takes what
-- belongs to it by its place among them: a join with the input could read all of `running` for each attempt, if the
-- plan was made while that was empty. Returns the attempts that were ended; a missing one belongs to another worker.
-- Notifies.
WITH freed AS (
    DELETE FROM taskmill.running
    WHERE task_id = ANY($1)
        AND lease_id = ($2::uuid[])[width_bucket(task_id, $1::uuid[])]
        AND claim_no = ($3::integer[])[width_bucket(task_id, $1::uuid[])]
    RETURNING
        task_id, lease_id, claim_no, attempt, version + 1 AS version, started_at, losses, run_at, claimed_by,
        claimed_reason, cancel_requested_at IS NOT NULL AS cancel_requested,
        width_bucket(task_id, $1::uuid[]) AS place
),
decided AS (
    SELECT
        task_id, lease_id, claim_no, version, started_at, cancel_requested, place, attempt AS claimed_attempt,
        losses AS claimed_losses, run_at AS claimed_run_at, claimed_by, claimed_reason,
        attempt - CASE WHEN ($10::boolean[])[place] THEN 0 ELSE 1 END AS attempt,
        ($4::text[])[place] AS intended,
        CASE WHEN cancel_requested THEN ($6::text[])[place] ELSE ($4::text[])[place] END AS status
    FROM freed
),
ended AS (
    UPDATE taskmill.task AS t
    SET final_status = nullif(d.status, 'new'),
        claim_no = d.claim_no,
        attempt = d.attempt,
        losses = t.losses + CASE WHEN ($11::boolean[])[d.place] THEN 1 ELSE 0 END,
        version = d.version,
        cancel_requested = d.cancel_requested,
        run_at = CASE
            WHEN d.status = 'new' THEN now() + make_interval(secs => ($9::double precision[])[d.place])
            ELSE t.run_at
        END,
        started_at = d.started_at,
        finished_at = CASE WHEN d.status <> 'new' THEN now() END,
        updated_at = now(),
        result = ($12::text[])[d.place]::json,
        error = CASE
            WHEN d.intended = 'succeeded' THEN NULL
            ELSE coalesce(($13::text[])[d.place]::jsonb, t.error)
        END
    FROM decided AS d
    WHERE t.id = d.task_id AND t.final_status IS NULL
        -- For one: AND t.id = ($1::uuid[])[1]
    RETURNING
        t.id, t.version, d.status, t.run, t.attempt, t.losses, t.claim_no, t.run_at, t.queue, t.type,
        t.priority, t.expires_at, d.lease_id, d.claimed_by, d.claimed_attempt, d.claimed_losses, d.claimed_run_at,
        d.claimed_reason, CASE WHEN NOT d.cancel_requested THEN d.started_at END AS claimed_at,
        coalesce($14, (SELECT l.worker FROM taskmill.lease AS l WHERE l.id = d.lease_id)) AS worker,
        CASE WHEN d.status = d.intended THEN ($5::text[])[d.place] ELSE ($7::text[])[d.place] END AS event,
        CASE WHEN d.status = d.intended THEN ($8::text[])[d.place] ELSE 'cancelled' END AS reason,
        ($13::text[])[d.place] AS error,
        date_part('epoch', t.updated_at - t.started_at) AS ran_s
),
waiting AS (
    INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at, expires_at)
    SELECT id, queue, type, priority, run_at, expires_at FROM ended WHERE status = 'new'
),
logged AS (
    INSERT INTO taskmill.task_event (
        task_id, version, event, status, run, attempt, losses, claim_no, run_at, lease_id, worker, reason, error,
        claimed_at, claimed_by, claimed_attempt, claimed_losses, claimed_run_at, claimed_reason
    )
    SELECT
        id, version, event, status, run, attempt, losses, claim_no, run_at, lease_id, worker, reason, error::jsonb,
        claimed_at, nullif(claimed_by, worker), nullif(claimed_attempt, attempt), nullif(claimed_losses, losses),
        nullif(claimed_run_at, run_at), claimed_reason
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
