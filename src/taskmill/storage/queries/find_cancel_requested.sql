-- Purpose: for which running tasks of a worker a cancel was requested. $1 uuid lease.
-- Reads only; relies on task_cancel_requested, which is nearly always empty, as this runs once a second. Whatever
-- has a lease runs; a condition on the status would tempt the planner to read all running tasks by task_status_id.
SELECT id, claim_no
FROM taskmill.task
WHERE lease_id = $1 AND cancel_requested
