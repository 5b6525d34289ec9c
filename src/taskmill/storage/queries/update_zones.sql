-- Purpose: record when schedules next have something to do by other rules of time zones; they are locked. $1 bigint[] ids; $2
-- timestamptz[]: when; $3 text: the version of the rules.
-- Locks: schedule_cursor, schedule_revision. Relies on the primary keys.
WITH updated AS (
    UPDATE taskmill.schedule_cursor AS c
    SET next_at = new.next_at, tz_version = $3
    FROM unnest($1::bigint[], $2::timestamptz[]) AS new (id, next_at)
    WHERE c.schedule_id = new.id
    RETURNING c.schedule_id, c.revision, c.cursor_at
)
INSERT INTO taskmill.schedule_revision (schedule_id, revision, from_tick, spec, tz_version)
SELECT u.schedule_id, u.revision, u.cursor_at, s.spec, $3
FROM updated AS u JOIN taskmill.schedule AS s ON s.id = u.schedule_id
ON CONFLICT (schedule_id, revision, from_tick) DO UPDATE SET tz_version = excluded.tz_version
