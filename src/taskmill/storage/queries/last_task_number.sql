-- Purpose: the highest number that was given to a task. Reads only.
SELECT last_value FROM taskmill.task_number
