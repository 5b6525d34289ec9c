-- Purpose: which running tasks of a worker were asked to stop. $1 uuid lease.
-- Reads only; relies on task_cancel_asked, in which hardly ever is anything: it is asked once a second. Whatever has
-- a lease runs; a condition on the status would tempt the planner into reading all that run by task_status_id.
SELECT id, claim_no
FROM taskmill.task
WHERE lease_id = $1 AND cancel_requested
