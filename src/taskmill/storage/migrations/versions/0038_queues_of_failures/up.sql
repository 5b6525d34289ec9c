ALTER TABLE taskmill.failure_delta ADD COLUMN queue text;

ALTER TABLE taskmill.rejection ADD COLUMN queue text;

-- What is refused is seldom much, and no row has a queue yet: the index is empty, and made by one scan.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX rejection_queue ON taskmill.rejection (queue, id) WHERE queue IS NOT NULL;

-- Failures as in `failure`, of one queue each. `type` and `error` are * for what is beyond the limit of a queue and
-- step.
CREATE TABLE taskmill.queue_failure (
    -- A day at most.
    -- squawk-ignore prefer-bigint-over-int
    step_s integer NOT NULL,
    queue text NOT NULL,
    at timestamptz NOT NULL,
    type text NOT NULL,
    error text NOT NULL,
    tasks bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    task_id uuid NOT NULL,
    PRIMARY KEY (step_s, queue, at, type, error)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

CREATE INDEX queue_failure_at ON taskmill.queue_failure (step_s, at);

CREATE OR REPLACE FUNCTION taskmill.note_failure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO taskmill.failure_delta (queue, type, error, task_id)
    VALUES (NEW.queue, NEW.type, taskmill.error_shape(NEW.error), NEW.id);
    RETURN NULL;
END $$;
