-- Purpose: which of these tasks have not ended. $1 uuid[]. Relies on the primary key of task.
SELECT id FROM taskmill.task WHERE id = ANY($1) AND final_status IS NULL
