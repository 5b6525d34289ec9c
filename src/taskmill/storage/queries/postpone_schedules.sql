-- Purpose: leave schedules for later that can't be fired now, and record since when they are due; they are locked. $1 bigint[] ids; $2
-- double precision: for how long, in s.
-- Locks: schedule_cursor. Relies on the primary key.
UPDATE taskmill.schedule_cursor
SET next_at = clock_timestamp() + make_interval(secs => $2), postponed_since = coalesce(postponed_since, next_at)
WHERE schedule_id = ANY($1)
