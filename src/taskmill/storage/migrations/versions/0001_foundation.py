"""The foundation: tasks, what waits, leases, history, change batches, keys, queues and counters.

Partitions of `task` and `task_event` are made by the program (`storage/partitions.py`), not here.
"""

from alembic import op

from taskmill.storage.migrate import commands

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TASK = """
CREATE SEQUENCE taskmill.task_number;

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

-- Lists by status, and by queue and status, newest first; rescue reads the running tasks from the first.
CREATE INDEX task_status_id ON taskmill.task (status, id);

CREATE INDEX task_queue_status_id ON taskmill.task (queue, status, id);

CREATE TABLE taskmill.task_default PARTITION OF taskmill.task DEFAULT;
"""

GUARD = """
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

-- The whole test stands in WHEN, so that an allowed change never calls the function (a fifth of the cost).
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
"""

DISPATCH = """
CREATE TABLE taskmill.dispatch (
    task_id uuid NOT NULL PRIMARY KEY,
    queue text NOT NULL,
    type text NOT NULL,
    priority smallint NOT NULL,
    run_at timestamptz NOT NULL,
    expires_at timestamptz,
    released_at timestamptz
) WITH (
    autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0.0, autovacuum_vacuum_insert_threshold = 20000,
    autovacuum_analyze_scale_factor = 0.0, autovacuum_analyze_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

-- A lane is (queue, type, priority); within a lane tasks are claimed in order of (run_at, task_id).
CREATE INDEX dispatch_lane ON taskmill.dispatch (queue, type, priority, run_at, task_id);

CREATE INDEX dispatch_expiry ON taskmill.dispatch (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE taskmill.lease (
    id uuid NOT NULL PRIMARY KEY,
    worker text NOT NULL,
    queues text[] NOT NULL,
    types text[] NOT NULL,
    slots integer NOT NULL,
    running integer NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    renewed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    closed_at timestamptz,
    close_reason text
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 500);
"""

HISTORY = """
CREATE TABLE taskmill.task_event (
    task_id uuid NOT NULL,
    version integer NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    happening text NOT NULL,
    status text NOT NULL,
    run integer NOT NULL,
    attempt integer NOT NULL,
    losses integer NOT NULL,
    claim_no integer NOT NULL,
    run_at timestamptz NOT NULL,
    lease_id uuid,
    worker text,
    reason text,
    error jsonb,
    PRIMARY KEY (task_id, version)
) PARTITION BY RANGE (task_id);

CREATE TABLE taskmill.task_event_default PARTITION OF taskmill.task_event DEFAULT;

-- One row a flush. `position` is given after commit, densely, by one runner: readers that follow it miss
-- nothing, which an order by `id` could not promise (ids are drawn before their transactions commit).
CREATE TABLE taskmill.change_batch (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    task_ids uuid[] NOT NULL,
    versions integer[] NOT NULL,
    position bigint
);

CREATE UNIQUE INDEX change_batch_position ON taskmill.change_batch (position);

CREATE INDEX change_batch_unnumbered ON taskmill.change_batch (id) WHERE position IS NULL;
"""

REST = """
CREATE TABLE taskmill.idempotency (
    scope text NOT NULL,
    key text NOT NULL,
    task_id uuid NOT NULL,
    request_hash bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);

CREATE INDEX idempotency_expiry ON taskmill.idempotency (expires_at);

CREATE TABLE taskmill.queue (
    name text NOT NULL PRIMARY KEY,
    paused_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Insert-only deltas, folded once a second: the sum is the count, in every snapshot.
CREATE TABLE taskmill.task_count (
    queue text NOT NULL,
    status text NOT NULL,
    tasks bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);
"""

UNDO = """
DROP TABLE taskmill.task_count, taskmill.queue, taskmill.idempotency, taskmill.change_batch,
    taskmill.task_event, taskmill.lease, taskmill.dispatch, taskmill.task;

DROP FUNCTION taskmill.refuse_transition, taskmill.refuse_birth;

DROP SEQUENCE taskmill.task_number;
"""


def upgrade() -> None:
    for part in (TASK, GUARD, DISPATCH, HISTORY, REST):
        for command in commands(part):
            op.execute(command)


def downgrade() -> None:
    for command in commands(UNDO):
        op.execute(command)
