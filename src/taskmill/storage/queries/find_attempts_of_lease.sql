-- Purpose: what a worker runs according to PostgreSQL. $1 uuid lease. Reads only; relies on task_status_id.
SELECT
    id, lease_id, claim_no, queue, attempt, max_attempts, losses, max_losses, retry, cancel_requested
FROM taskmill.task
WHERE status = 'in_progress' AND lease_id = $1
