-- Purpose: delete what became of ticks long ago, and the revisions that no fire is left of. $1 double precision: days to keep
-- them; $2 integer: the most of each. A tick that is held stays until its schedule is done with it.
-- Locks: schedule_fire, schedule_revision; skips what others have locked. Relies on schedule_fire_at, schedule_revision_at.
-- Returns a row for each fire.
WITH old_fire AS (
    SELECT f.schedule_id, f.tick FROM taskmill.schedule_fire AS f
    WHERE f.at < now() - make_interval(secs => $1 * 86400)
        AND NOT (
            f.outcome = 'held'
            AND EXISTS (
                SELECT FROM taskmill.schedule_cursor AS c WHERE c.schedule_id = f.schedule_id AND c.held_tick = f.tick
            )
        )
    ORDER BY f.at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
),
old_revision AS (
    SELECT r.schedule_id, r.revision, r.from_tick FROM taskmill.schedule_revision AS r
    WHERE r.at < now() - make_interval(secs => $1 * 86400)
        AND (
            EXISTS (
                SELECT FROM taskmill.schedule_revision AS later
                WHERE later.schedule_id = r.schedule_id
                    AND later.from_tick >= r.from_tick
                    AND (later.revision, later.from_tick) > (r.revision, r.from_tick)
                    AND later.at < now() - make_interval(secs => $1 * 86400)
            )
            OR NOT EXISTS (SELECT FROM taskmill.schedule AS s WHERE s.id = r.schedule_id)
        )
    ORDER BY r.at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
),
pruned_revision AS (
    DELETE FROM taskmill.schedule_revision
    WHERE (schedule_id, revision, from_tick) IN (SELECT schedule_id, revision, from_tick FROM old_revision)
)
DELETE FROM taskmill.schedule_fire
WHERE (schedule_id, tick) IN (SELECT schedule_id, tick FROM old_fire)
RETURNING schedule_id
