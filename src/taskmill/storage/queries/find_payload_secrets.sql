-- Purpose: what a task names as secret in its payload. $1 uuid. Relies on the primary key.
SELECT payload_secrets FROM taskmill.task WHERE id = $1
