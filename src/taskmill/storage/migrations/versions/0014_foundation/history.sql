-- One row for each change of a task. Partitions are those of `task`.
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

-- What handlers log. Partitions are those of `task`: log lines are dropped with their tasks. `fields` is json,
-- not jsonb: it may contain \u0000. `level` is the number that Python's logging has for it.
CREATE TABLE taskmill.task_log (
    task_id uuid NOT NULL,
    claim_no integer NOT NULL,
    seq integer NOT NULL,
    at timestamptz NOT NULL,
    level smallint NOT NULL,
    logger text,
    message text NOT NULL,
    fields json,
    PRIMARY KEY (task_id, claim_no, seq)
) PARTITION BY RANGE (task_id);

CREATE TABLE taskmill.task_log_default PARTITION OF taskmill.task_log DEFAULT;

-- What running tasks report of themselves: one row for each task that ever reported. Not partitioned: reading a
-- task reads this, too, and would have to search sixty partitions. Rows of tasks that are gone are pruned.
CREATE TABLE taskmill.task_progress (
    task_id uuid NOT NULL PRIMARY KEY,
    claim_no integer NOT NULL,
    serial integer NOT NULL DEFAULT 1,
    share double precision,
    message text,
    at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT task_progress_share CHECK (share BETWEEN 0 AND 1)
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000
);

-- The feed of changes: one row for each statement that changed tasks. `position` is given after the commit, by
-- one process and without gaps: readers that follow it miss nothing. An order by `id` could not promise that, since
-- ids are drawn before their transactions commit.
CREATE TABLE taskmill.change_batch (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    task_ids uuid[] NOT NULL,
    versions integer[] NOT NULL,
    position bigint
);

CREATE UNIQUE INDEX change_batch_position ON taskmill.change_batch (position);

CREATE INDEX change_batch_unnumbered ON taskmill.change_batch (id) WHERE position IS NULL;

-- How far the feed was delivered to a place outside, such as RabbitMQ, and who delivers it now.
CREATE TABLE taskmill.feed_delivery (
    place text NOT NULL PRIMARY KEY,
    position bigint NOT NULL,
    ordinal integer NOT NULL,
    holder uuid,
    expires_at timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 500);
