-- Purpose: the highest number of a task so far. Reads only.
SELECT last_value FROM taskmill.task_number
