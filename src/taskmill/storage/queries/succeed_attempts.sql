-- Purpose: end a batch of attempts that have all succeeded, each only if its fence still holds. It does the same
-- as `end_attempts` in three quarters of the time: most attempts end so, and nothing is left to decide. $1..$4:
-- arrays, one element an attempt (see storage/claims.py), or empty for nulls only: the fence (id, lease, claim_no)
-- and the result. $5 text: the worker that ends them; null: for each the one that holds its lease. Locks and
-- relies as `end_attempts`. Returns the attempts that were ended; a missing one belongs to another worker.
-- Notifies.
WITH freed AS (
    DELETE FROM taskmill.running
    WHERE task_id = ANY($1)
        AND lease_id = ($2::uuid[])[width_bucket(task_id, $1::uuid[])]
        AND claim_no = ($3::integer[])[width_bucket(task_id, $1::uuid[])]
    RETURNING
        task_id, lease_id, claim_no, attempt, version + 1 AS version, started_at, claimed_by, claimed_reason,
        cancel_requested_at IS NOT NULL AS cancel_requested, width_bucket(task_id, $1::uuid[]) AS place
),
ended AS (
    UPDATE taskmill.task AS t
    SET final_status = 'succeeded',
        claim_no = f.claim_no,
        attempt = f.attempt,
        version = f.version,
        cancel_requested = f.cancel_requested,
        started_at = f.started_at,
        finished_at = now(),
        updated_at = now(),
        result = ($4::text[])[f.place]::json,
        error = NULL
    FROM freed AS f
    WHERE t.id = f.task_id AND t.final_status IS NULL
        -- For one: AND t.id = ($1::uuid[])[1]
    RETURNING
        t.id, t.version, t.run, t.attempt, t.losses, t.claim_no, t.run_at, t.queue, t.type, f.lease_id,
        coalesce($5, (SELECT l.worker FROM taskmill.lease AS l WHERE l.id = f.lease_id)) AS worker,
        CASE WHEN NOT t.cancel_requested THEN f.started_at END AS claimed_at, f.claimed_by, f.claimed_reason,
        date_part('epoch', t.updated_at - t.started_at) AS ran_s
),
logged AS (
    INSERT INTO taskmill.task_event (
        task_id, version, event, status, run, attempt, losses, claim_no, run_at, lease_id, worker,
        claimed_at, claimed_by, claimed_reason
    )
    SELECT
        id, version, 'succeeded', 'succeeded', run, attempt, losses, claim_no, run_at, lease_id, worker,
        claimed_at, nullif(claimed_by, worker), claimed_reason
    FROM ended
),
changed AS (
    INSERT INTO taskmill.change_batch (task_ids, versions)
    SELECT array_agg(id), array_agg(version) FROM ended HAVING count(*) > 0
),
counted AS (
    INSERT INTO taskmill.task_count (queue, status, tasks, week)
    SELECT moved.queue, change.status, change.sign * moved.tasks, moved.week
    FROM (
        SELECT queue, taskmill.week_of(id) AS week, count(*) AS tasks FROM ended GROUP BY 1, 2
    ) AS moved
    CROSS JOIN (VALUES ('in_progress', -1), ('succeeded', 1)) AS change (status, sign)
),
rolled AS (
    INSERT INTO taskmill.task_minute_delta (queue, type, event, bucket, tasks, seconds)
    SELECT queue, type, 'succeeded', taskmill.duration_bucket(ran_s), count(*), sum(greatest(ran_s, 0))
    FROM ended GROUP BY 1, 2, 4
)
SELECT id FROM ended
