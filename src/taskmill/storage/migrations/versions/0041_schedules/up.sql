-- What fires: `spec` says when and by which policies, `task` is the body of a request to create a task. All ticks up to
-- `cursor_at` have their row in schedule_fire or lie in a stretch of one. `next_at` is when maintenance has something
-- to do next; null when there are no more ticks. `last_task_id` is the task that its latest fire made.
CREATE TABLE taskmill.schedule (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CONSTRAINT schedule_name UNIQUE,
    revision bigint NOT NULL DEFAULT 1,
    spec json NOT NULL,
    task json NOT NULL,
    queue text NOT NULL,
    type text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    cursor_at timestamptz NOT NULL,
    next_at timestamptz,
    held_tick timestamptz,
    last_task_id uuid,
    paused_at timestamptz,
    managed_by text,
    owner text,
    owner_quotas text[] NOT NULL DEFAULT '{}',
    tz_version text NOT NULL
);

CREATE INDEX schedule_due ON taskmill.schedule (next_at) WHERE paused_at IS NULL;

CREATE INDEX schedule_queue ON taskmill.schedule (queue, id);

-- Each spec that a schedule had, for the ticks after `from_tick`: with them every tick of the past can be computed.
CREATE TABLE taskmill.schedule_revision (
    schedule_id bigint NOT NULL,
    revision bigint NOT NULL,
    from_tick timestamptz NOT NULL,
    spec json NOT NULL,
    tz_version text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT schedule_revision_pkey PRIMARY KEY (schedule_id, revision, from_tick)
);

CREATE INDEX schedule_revision_at ON taskmill.schedule_revision (at);

-- What became of a tick, or of a stretch of `ticks` ones up to `until_tick`. They are of a schedule's id: a name may come
-- again. The primary key is what keeps a tick from firing twice.
CREATE TABLE taskmill.schedule_fire (
    schedule_id bigint NOT NULL,
    tick timestamptz NOT NULL,
    until_tick timestamptz,
    ticks bigint NOT NULL DEFAULT 1,
    cause text NOT NULL,
    outcome text NOT NULL,
    task_id uuid,
    cancelled_task_id uuid,
    problem json,
    at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT schedule_fire_pkey PRIMARY KEY (schedule_id, tick),
    CONSTRAINT schedule_fire_cause CHECK (cause IN ('tick', 'catch_up', 'backfill', 'manual')),
    CONSTRAINT schedule_fire_outcome CHECK (
        outcome IN (
            'created', 'held', 'skipped_overlap', 'skipped_missed', 'skipped_paused', 'skipped_gap', 'refused'
        )
    ),
    CONSTRAINT schedule_fire_task CHECK ((task_id IS NOT NULL) = (outcome = 'created')),
    CONSTRAINT schedule_fire_stretch CHECK (
        CASE WHEN until_tick IS NULL THEN ticks = 1 ELSE ticks > 1 AND until_tick > tick END
    )
);

CREATE INDEX schedule_fire_at ON taskmill.schedule_fire (at);
