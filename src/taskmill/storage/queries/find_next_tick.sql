-- Purpose: in how many seconds there is next something to do for a schedule; null: not soon. $1 double precision: how far to
-- look ahead, in s. Relies on schedule_due.
SELECT extract(epoch FROM next_at - clock_timestamp())::double precision
FROM taskmill.schedule_cursor
-- Bounded, as in find_duties.
WHERE paused_at IS NULL AND next_at <= now() + make_interval(secs => $1)
ORDER BY next_at
LIMIT 1
