-- Since when its tick is due although it is left for later, again and again: nobody can read it, or its queue can't be made.
-- Null, if its latest tick was not. It is there already when the migration is repeated.
ALTER TABLE taskmill.schedule_cursor ADD COLUMN IF NOT EXISTS postponed_since timestamptz;

-- It is empty, and there are 100,000 schedules at most.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX IF NOT EXISTS schedule_postponed ON taskmill.schedule_cursor (postponed_since)
WHERE postponed_since IS NOT NULL AND paused_at IS NULL;
