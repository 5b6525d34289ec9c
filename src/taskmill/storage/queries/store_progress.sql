-- Purpose: store the latest progress of running tasks, each only if its fence holds.
-- $1..$5: arrays, one element a report, sorted by task (see storage/progress.py), or empty for nulls only.
-- Locks: no row of running; task_progress (in the order of tasks). A report that arrives just as the claim
-- ends still belongs to that claim; the condition on claim_no keeps it from replacing one of a later claim.
-- Relies on: the primary keys of running and task_progress; LIMIT has the former looked up for each report. The
-- serial goes on through all claims of a task: together with the version it never names two states. Returns the
-- claims whose fence held.
WITH input AS MATERIALIZED (
    SELECT *
    FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::double precision[], $5::text[])
        AS input (task_id, lease_id, claim_no, share, message)
),
fenced AS MATERIALIZED (
    SELECT i.task_id, i.lease_id, i.claim_no, i.share, i.message
    FROM input AS i
    CROSS JOIN LATERAL (
        SELECT FROM taskmill.running AS r
        WHERE r.task_id = i.task_id AND r.lease_id = i.lease_id AND r.claim_no = i.claim_no
        LIMIT 1
    ) AS running
),
stored AS (
    INSERT INTO taskmill.task_progress AS p (task_id, claim_no, share, message)
    SELECT task_id, claim_no, share, message FROM fenced ORDER BY task_id
    ON CONFLICT (task_id) DO UPDATE
    SET claim_no = excluded.claim_no,
        serial = p.serial + 1,
        share = excluded.share,
        message = excluded.message,
        at = excluded.at
    WHERE p.claim_no <= excluded.claim_no
)
SELECT task_id, lease_id, claim_no FROM fenced
