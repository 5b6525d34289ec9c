-- Nobody waits for these: an index that is made concurrently blocks nothing.
SET lock_timeout = '10min';

SET statement_timeout = '1h';

DROP INDEX CONCURRENTLY IF EXISTS taskmill.schedule_fire_trouble;

-- Ticks that made no task although nobody asked for that.
CREATE INDEX CONCURRENTLY IF NOT EXISTS schedule_fire_trouble ON taskmill.schedule_fire (at, schedule_id)
WHERE outcome IN ('refused', 'skipped_overlap', 'skipped_missed');
