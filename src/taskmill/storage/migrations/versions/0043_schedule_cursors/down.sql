DROP INDEX taskmill.schedule_owner;

ALTER TABLE taskmill.schedule
    ADD COLUMN cursor_at timestamptz,
    ADD COLUMN next_at timestamptz,
    ADD COLUMN held_tick timestamptz,
    ADD COLUMN last_task_id uuid,
    ADD COLUMN paused_at timestamptz,
    ADD COLUMN tz_version text;

UPDATE taskmill.schedule AS s
SET cursor_at = c.cursor_at,
    next_at = c.next_at,
    held_tick = c.held_tick,
    last_task_id = c.last_task_id,
    paused_at = c.paused_at,
    tz_version = c.tz_version
FROM taskmill.schedule_cursor AS c
WHERE c.schedule_id = s.id;

-- There are 100,000 schedules at most.
-- squawk-ignore adding-not-nullable-field
ALTER TABLE taskmill.schedule ALTER COLUMN cursor_at SET NOT NULL, ALTER COLUMN tz_version SET NOT NULL;

-- What it had is in the schedules again.
-- squawk-ignore ban-drop-table
DROP TABLE taskmill.schedule_cursor;

CREATE INDEX schedule_due ON taskmill.schedule (next_at) WHERE paused_at IS NULL;
