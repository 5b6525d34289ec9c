-- Purpose: record that stretches of skipped ticks end earlier, as some of their ticks have a fire of their own now. $1..$4: arrays, one
-- element a stretch: schedule_id bigint, tick and until_tick timestamptz, ticks bigint.
-- Locks: schedule_fire. Relies on its primary key.
UPDATE taskmill.schedule_fire AS f
SET until_tick = short.until_tick, ticks = short.ticks
FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::bigint[])
    AS short (schedule_id, tick, until_tick, ticks)
WHERE f.schedule_id = short.schedule_id AND f.tick = short.tick
