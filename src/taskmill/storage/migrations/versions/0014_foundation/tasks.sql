CREATE SEQUENCE taskmill.task_number;

-- A task for all of its life. Partitions by week are made by the program (`storage/partitions.py`).
-- `payload` and `result` are json, not jsonb: they are given back exactly as they came.
CREATE TABLE taskmill.task (
    id uuid NOT NULL,
    number bigint NOT NULL DEFAULT nextval('taskmill.task_number'),
    name text NOT NULL,
    description text,
    type text NOT NULL,
    payload json,
    queue text NOT NULL,
    priority smallint NOT NULL,
    status text NOT NULL,
    run integer NOT NULL DEFAULT 1,
    attempt integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL,
    losses integer NOT NULL DEFAULT 0,
    max_losses integer NOT NULL,
    cancel_requested boolean NOT NULL DEFAULT false,
    run_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    timeout_s double precision,
    retry jsonb,
    result json,
    error jsonb,
    labels jsonb NOT NULL,
    source text NOT NULL,
    traceparent text,
    version integer NOT NULL DEFAULT 1,
    claim_no integer NOT NULL DEFAULT 0,
    lease_id uuid,
    PRIMARY KEY (id),
    CONSTRAINT task_status CHECK (
        status IN ('new', 'in_progress', 'succeeded', 'failed', 'cancelled')),
    CONSTRAINT task_lease_while_running CHECK ((lease_id IS NOT NULL) = (status = 'in_progress')),
    CONSTRAINT task_finished_when_terminal CHECK (
        (finished_at IS NOT NULL) = (status IN ('succeeded', 'failed', 'cancelled'))),
    CONSTRAINT task_attempts CHECK (max_attempts > 0 AND attempt BETWEEN 0 AND max_attempts),
    CONSTRAINT task_losses CHECK (losses BETWEEN 0 AND max_losses)
) PARTITION BY RANGE (id);

-- Lists by status, and by queue and status, newest first. Rescue reads the running tasks from the first.
CREATE INDEX task_status_id ON taskmill.task (status, id);

CREATE INDEX task_queue_status_id ON taskmill.task (queue, status, id);

CREATE TABLE taskmill.task_default PARTITION OF taskmill.task DEFAULT;

-- The running tasks that were asked to stop, for workers that look once a second. What has a lease is running
-- (task_lease_while_running). With a condition on the status the planner would read all running tasks by
-- task_status_id.
CREATE INDEX task_cancel_asked ON taskmill.task (lease_id) WHERE cancel_requested AND lease_id IS NOT NULL;

-- The guard: whatever the program does, a task changes only as its state machine allows.
CREATE FUNCTION taskmill.refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'task % may not go from % (run %, version %) to % (run %, version %)',
        OLD.id, OLD.status, OLD.run, OLD.version, NEW.status, NEW.run, NEW.version
        USING ERRCODE = 'check_violation', CONSTRAINT = 'task_transition';
END $$;

CREATE FUNCTION taskmill.refuse_birth() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'task % must begin as new, version 1, not as %, version %',
        NEW.id, NEW.status, NEW.version
        USING ERRCODE = 'check_violation', CONSTRAINT = 'task_transition';
END $$;

-- The whole condition is in WHEN, so that an allowed change never calls the function (a fifth of the cost).
CREATE TRIGGER task_transition BEFORE UPDATE ON taskmill.task FOR EACH ROW
WHEN (NOT (
    NEW.id = OLD.id
    AND NEW.version = OLD.version + 1
    AND CASE OLD.status
        WHEN 'new' THEN
            NEW.run = OLD.run AND (
                (NEW.status = 'in_progress' AND NEW.claim_no = OLD.claim_no + 1)
                OR (NEW.status IN ('new', 'cancelled', 'failed') AND NEW.claim_no = OLD.claim_no))
        WHEN 'in_progress' THEN
            NEW.run = OLD.run AND NEW.claim_no = OLD.claim_no
            AND (NEW.status <> 'in_progress' OR NEW.lease_id = OLD.lease_id)
        ELSE
            NEW.status = 'new' AND NEW.run = OLD.run + 1 AND NEW.claim_no = OLD.claim_no
            AND NEW.attempt = 0 AND NEW.losses = 0
    END))
EXECUTE FUNCTION taskmill.refuse_transition();

CREATE TRIGGER task_birth BEFORE INSERT ON taskmill.task FOR EACH ROW
WHEN (NEW.status <> 'new' OR NEW.version <> 1 OR NEW.run <> 1 OR NEW.claim_no <> 0)
EXECUTE FUNCTION taskmill.refuse_birth();
