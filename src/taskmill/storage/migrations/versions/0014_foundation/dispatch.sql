-- What waits for its time and for a worker. `released_at`: when a hint of it was published to the broker. That
-- changes no indexed column, so with room on its page (fillfactor) it touches no index.
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
    autovacuum_vacuum_cost_delay = 0, fillfactor = 70
);

-- Tasks with the same queue, type and priority are claimed in order of (run_at, task_id).
CREATE INDEX dispatch_lane ON taskmill.dispatch (queue, type, priority, run_at, task_id);

CREATE INDEX dispatch_expiry ON taskmill.dispatch (expires_at) WHERE expires_at IS NOT NULL;

-- A worker that is alive, with what it serves and what it was asked to do (`asked_to`).
-- A remote lease is of one claim over HTTP, so it can name all of its tasks, and nobody has to search for them.
-- `timeout_at` is when the first of them runs out of time. Renewals touch neither.
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
    close_reason text,
    remote boolean NOT NULL DEFAULT false,
    task_ids uuid[],
    timeout_at timestamptz,
    asked_to text,
    version text
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 500);

-- Of all leases there may be far fewer open ones.
CREATE INDEX lease_open ON taskmill.lease (id) WHERE closed_at IS NULL;

CREATE INDEX lease_timeout ON taskmill.lease (timeout_at)
    WHERE timeout_at IS NOT NULL AND closed_at IS NULL;
