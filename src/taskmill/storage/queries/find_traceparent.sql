-- Purpose: the trace within which a task was created. $1 uuid. Relies on the primary key.
SELECT traceparent FROM taskmill.task WHERE id = $1
