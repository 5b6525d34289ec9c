-- Purpose: record when schedules next have something to do by other rules of time zones; they are locked. $1 bigint[] ids; $2
-- timestamptz[]: when; $3 text: the version of the rules.
-- Locks: schedule, schedule_revision. Relies on the primary keys.
WITH updated AS (
    UPDATE taskmill.schedule AS s
    SET next_at = new.next_at, tz_version = $3
    FROM unnest($1::bigint[], $2::timestamptz[]) AS new (id, next_at)
    WHERE s.id = new.id
    RETURNING s.id, s.revision, s.cursor_at, s.spec
)
INSERT INTO taskmill.schedule_revision (schedule_id, revision, from_tick, spec, tz_version)
SELECT id, revision, cursor_at, spec, $3 FROM updated
ON CONFLICT (schedule_id, revision, from_tick) DO UPDATE SET tz_version = excluded.tz_version
