-- Purpose: the queues of schedules that SQL has asked for. There are few of those.
SELECT DISTINCT queue FROM taskmill.schedule_request WHERE queue IS NOT NULL
