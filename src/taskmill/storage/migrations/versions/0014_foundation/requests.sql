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

-- Messages that were refused. `body` is the message as it came. The same message, delivered again, stays one row.
-- `headers` and `problem` are json, not jsonb: they are shown as they were written.
CREATE TABLE taskmill.rejection (
    id uuid NOT NULL PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    door text NOT NULL,
    message_id text,
    body bytea NOT NULL,
    body_hash bytea NOT NULL,
    headers json NOT NULL,
    status integer NOT NULL,
    problem json NOT NULL,
    redeliveries integer NOT NULL DEFAULT 0,
    resent_at timestamptz,
    task_id uuid
);

CREATE UNIQUE INDEX rejection_message ON taskmill.rejection (door, message_id, body_hash)
    WHERE message_id IS NOT NULL;
