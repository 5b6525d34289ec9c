CREATE TABLE taskmill.webhook (
    id uuid NOT NULL PRIMARY KEY,
    url text NOT NULL,
    description text,
    queues text[] NOT NULL,
    types text[] NOT NULL,
    statuses text[] NOT NULL,
    secrets text[] NOT NULL,
    state text NOT NULL CHECK (state IN ('enabled', 'paused', 'disabled')),
    disabled_reason text,
    since_position bigint NOT NULL,
    failing_since timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 500);

-- A table beside `task`, not a column of it: most tasks have no callback, and then searching for those that do
-- costs nothing.
CREATE TABLE taskmill.task_callback (
    task_id uuid NOT NULL PRIMARY KEY,
    url text NOT NULL,
    lane text NOT NULL
);

-- `lane` is the endpoint: a webhook, or the origin of callbacks. Whoever tries a delivery moves `next_at` ahead
-- first, so that it is tried again if the outcome is never recorded.
CREATE TABLE taskmill.webhook_delivery (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lane text NOT NULL,
    webhook_id uuid,
    task_id uuid,
    version integer,
    position bigint,
    ordinal integer,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    next_at timestamptz NOT NULL DEFAULT now(),
    give_up_at timestamptz NOT NULL,
    tried_at timestamptz,
    finished_at timestamptz,
    answer integer,
    trouble text
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

CREATE INDEX webhook_delivery_lane ON taskmill.webhook_delivery (lane, next_at, id) WHERE state = 'pending';

CREATE INDEX webhook_delivery_give_up ON taskmill.webhook_delivery (give_up_at) WHERE state = 'pending';

CREATE INDEX webhook_delivery_webhook ON taskmill.webhook_delivery (webhook_id, state, id);

CREATE INDEX webhook_delivery_callback ON taskmill.webhook_delivery (task_id, id) WHERE webhook_id IS NULL;

CREATE INDEX webhook_delivery_finished ON taskmill.webhook_delivery (finished_at) WHERE state <> 'pending';

-- The relay goes on from here, whichever process it is: no change from before its first start is missed.
INSERT INTO taskmill.feed_delivery (place, position, ordinal) VALUES ('webhooks', 0, 0);
