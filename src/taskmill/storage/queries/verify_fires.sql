-- Purpose: the fires of a schedule in the order of their ticks, to compare with the ticks that it had. $1 bigint: its id; $2
-- timestamptz: after this tick; $3 timestamptz: up to this one. Reads only; relies on the primary key.
SELECT tick, until_tick, cause FROM taskmill.schedule_fire
WHERE schedule_id = $1 AND tick > $2 AND tick <= $3
ORDER BY tick
