-- Purpose: whether some tasks are counted in no week: those from before weeks were counted, and those that the
-- release before has changed since. Reads only: queues and weeks are few.
SELECT EXISTS (
    SELECT FROM (
        SELECT queue, status, tasks FROM taskmill.task_count WHERE week IS NULL
        UNION ALL
        SELECT queue, status, -tasks FROM taskmill.task_week_count
    ) AS counted
    GROUP BY queue, status
    HAVING sum(tasks) <> 0
)
