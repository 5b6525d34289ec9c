-- What SQL has asked for and is not done yet. `body` is that of a request to put the schedule, null when it is only to be
-- paused or to go on (`paused`). PL/pgSQL can't compute ticks, so maintenance does what is asked for; what it refuses stays,
-- with the `problem`. `replaced_queue` is the queue of the schedule of that name when it was asked for.
CREATE TABLE taskmill.schedule_request (
    name text NOT NULL PRIMARY KEY,
    id bigint GENERATED ALWAYS AS IDENTITY,
    body json,
    queue text,
    type text,
    replaced_queue text,
    paused boolean,
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL,
    problem json
);

CREATE INDEX schedule_request_open ON taskmill.schedule_request (id) WHERE problem IS NULL OR paused IS NOT NULL;

-- Which schedules the code of an app declares: `digest` is of all of them, and `replaced` has the digests that were in force
-- before, the latest last.
CREATE TABLE taskmill.schedule_app (
    name text NOT NULL PRIMARY KEY,
    digest text NOT NULL,
    replaced text[] NOT NULL DEFAULT '{}',
    declared_at timestamptz NOT NULL DEFAULT now()
);

-- Since when the app that manages it does not declare it any more.
ALTER TABLE taskmill.schedule ADD COLUMN undeclared_at timestamptz;

-- Nothing was managed before, so it is empty, and the table is read once.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX schedule_managed ON taskmill.schedule (managed_by) WHERE managed_by IS NOT NULL;
