-- Nobody waits for these: an index that is made concurrently blocks nothing.
SET lock_timeout = '10min';

SET statement_timeout = '1h';

DROP INDEX CONCURRENTLY IF EXISTS taskmill.schedule_fire_task;

CREATE INDEX CONCURRENTLY IF NOT EXISTS schedule_fire_task ON taskmill.schedule_fire (task_id)
WHERE task_id IS NOT NULL;
