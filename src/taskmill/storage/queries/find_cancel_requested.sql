-- Purpose: for which running tasks of a worker a cancel was requested. $1 uuid lease.
-- Reads only; relies on running_cancel_requested, which is nearly always empty, as this runs once a second.
SELECT task_id AS id, claim_no
FROM taskmill.running
WHERE lease_id = $1 AND cancel_requested_at IS NOT NULL
