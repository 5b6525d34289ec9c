-- Tasks by queue and status. Rows are only inserted, as differences, and summed up once a second: the sum is the
-- count, in every snapshot.
CREATE TABLE taskmill.task_count (
    queue text NOT NULL,
    status text NOT NULL,
    tasks bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

-- A duration's place on a scale whose steps grow by e^0.2 (1.22): 0 is up to 1 ms, b is up to e^(b/5) ms, and 110
-- is 34 days and everything longer. The argument is used once, so that calls are inlined.
CREATE FUNCTION taskmill.duration_bucket(seconds double precision) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT least(ceil(5 * ln(greatest(seconds, 0.001) * 1000)), 110)::smallint $$;

-- A histogram is one number with 12 decimal digits for each bucket, the first ones last: sum() adds histograms.
CREATE FUNCTION taskmill.packed_bucket(tasks bigint, bucket smallint) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (tasks::text || repeat('0', 12 * bucket))::numeric $$;

-- Rows are only inserted, and summed up into task_minute once a second. `bucket` and `seconds` are the time of
-- waiting for what was claimed, the time of running for what ended an attempt, and null for the rest.
CREATE TABLE taskmill.task_minute_delta (
    at timestamptz NOT NULL DEFAULT now(),
    queue text NOT NULL,
    type text NOT NULL,
    happening text NOT NULL,
    bucket smallint,
    tasks bigint NOT NULL,
    seconds double precision
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

-- What happened in a minute, and in the longer steps that past minutes are carried into. `type` is * for all types
-- beyond the limit.
CREATE TABLE taskmill.task_minute (
    step_s integer NOT NULL,
    at timestamptz NOT NULL,
    queue text NOT NULL,
    type text NOT NULL,
    carried boolean NOT NULL DEFAULT false,
    created bigint NOT NULL,
    claimed bigint NOT NULL,
    succeeded bigint NOT NULL,
    failed bigint NOT NULL,
    retry_scheduled bigint NOT NULL,
    handed_back bigint NOT NULL,
    lost bigint NOT NULL,
    expired bigint NOT NULL,
    cancelled bigint NOT NULL,
    run_again bigint NOT NULL,
    waiting numeric NOT NULL,
    waiting_s double precision NOT NULL,
    running numeric NOT NULL,
    running_s double precision NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

-- Only open rows are added to. A row that was carried is part of a longer step, too.
CREATE UNIQUE INDEX task_minute_open ON taskmill.task_minute (step_s, at, queue, type) WHERE NOT carried;

CREATE INDEX task_minute_at ON taskmill.task_minute (step_s, at);

-- What failures of one kind have in common: the error's type, and the last line of its message with # for
-- numbers and ids. Only the message's end is read, and 200 characters of it are kept: it is part of a key.
CREATE FUNCTION taskmill.error_shape(error jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT left(coalesce(error ->> 'type', '?'), 100) || ': ' || left(regexp_replace(regexp_replace(
        regexp_replace(
            regexp_replace(
                right(btrim(coalesce(error ->> 'message', ''), E' \t\r\n'), 4000), '^.*[\r\n]', ''),
            '\m(0x)?[0-9a-f-]*[0-9][0-9a-f-]*\M', '#', 'g'),
        '[0-9]+', '#', 'g'), '#([.,:-]+#)+', '#', 'g'), 200)
$$;

-- Rows are only inserted, and summed up into failure once a second.
CREATE TABLE taskmill.failure_delta (
    at timestamptz NOT NULL DEFAULT now(),
    type text NOT NULL,
    error text NOT NULL,
    task_id uuid NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

-- How many tasks failed in this way in a step of time, and the last of them. Each failure is in one row of each
-- length of step. `type` and `error` are * for what is beyond the limit of a step.
CREATE TABLE taskmill.failure (
    step_s integer NOT NULL,
    at timestamptz NOT NULL,
    type text NOT NULL,
    error text NOT NULL,
    tasks bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    task_id uuid NOT NULL,
    PRIMARY KEY (step_s, at, type, error)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

CREATE FUNCTION taskmill.note_failure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO taskmill.failure_delta (type, error, task_id)
    VALUES (NEW.type, taskmill.error_shape(NEW.error), NEW.id);
    RETURN NULL;
END $$;

-- The condition is in WHEN, so that a change that is no failure never calls the function.
CREATE TRIGGER task_failure AFTER UPDATE ON taskmill.task FOR EACH ROW
WHEN (NEW.status = 'failed' AND OLD.status <> 'failed')
EXECUTE FUNCTION taskmill.note_failure();
