-- Purpose: the callback URL of a task. $1 uuid. Relies on the primary key.
SELECT url FROM taskmill.task_callback WHERE task_id = $1
