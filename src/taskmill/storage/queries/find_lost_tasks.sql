-- Purpose: what a worker ran when it was lost. $1 uuid lease. Reads only; relies on the primary key.
SELECT unnest(lost_task_ids) AS task_id FROM taskmill.lease WHERE id = $1
