-- How far a schedule has come: all ticks up to `cursor_at` have their row in schedule_fire or lie in a stretch of one. `next_at`
-- is when maintenance has something to do next; null when there are no more ticks. `last_task_id` is the task of the latest
-- tick that made one. `revision` and `owner` are those of the schedule; '' is nobody. Each tick changes a row here and
-- nothing else of a schedule: these rows are narrow, and have no other index than what fires.
CREATE TABLE taskmill.schedule_cursor (
    schedule_id bigint PRIMARY KEY,
    revision bigint NOT NULL DEFAULT 1,
    owner text NOT NULL DEFAULT '',
    cursor_at timestamptz NOT NULL,
    next_at timestamptz,
    held_tick timestamptz,
    last_task_id uuid,
    paused_at timestamptz,
    tz_version text NOT NULL
);

INSERT INTO taskmill.schedule_cursor (
    schedule_id, revision, owner, cursor_at, next_at, held_tick, last_task_id, paused_at, tz_version
)
SELECT id, revision, coalesce(owner, ''), cursor_at, next_at, held_tick, last_task_id, paused_at, tz_version
FROM taskmill.schedule;

-- No program of a release reads it.
-- squawk-ignore ban-drop-column
ALTER TABLE taskmill.schedule DROP COLUMN cursor_at;

-- No program of a release reads it.
-- squawk-ignore ban-drop-column
ALTER TABLE taskmill.schedule DROP COLUMN next_at;

-- No program of a release reads it.
-- squawk-ignore ban-drop-column
ALTER TABLE taskmill.schedule DROP COLUMN held_tick;

-- No program of a release reads it.
-- squawk-ignore ban-drop-column
ALTER TABLE taskmill.schedule DROP COLUMN last_task_id;

-- No program of a release reads it.
-- squawk-ignore ban-drop-column
ALTER TABLE taskmill.schedule DROP COLUMN paused_at;

-- No program of a release reads it.
-- squawk-ignore ban-drop-column
ALTER TABLE taskmill.schedule DROP COLUMN tz_version;

-- The one that it had went with its columns.
CREATE INDEX schedule_due ON taskmill.schedule_cursor (next_at) WHERE paused_at IS NULL;

-- What of each owner is due, where more is than a transaction takes.
CREATE INDEX schedule_owner_due ON taskmill.schedule_cursor (owner, next_at) WHERE paused_at IS NULL;

-- How many an owner has. There are 100,000 schedules at most.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX schedule_owner ON taskmill.schedule (owner) WHERE owner IS NOT NULL;
