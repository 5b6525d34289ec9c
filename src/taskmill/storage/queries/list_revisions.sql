-- Purpose: the specs that a schedule had, in the order in which they held. $1 bigint: its id. Relies on the primary key.
SELECT schedule_id, revision, from_tick, spec, tz_version
FROM taskmill.schedule_revision
WHERE schedule_id = $1
ORDER BY revision, from_tick
