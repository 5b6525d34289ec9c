"""Webhooks: subscriptions, tasks with a callback, and what is to be delivered to whom.

Programs of before run with it. What is to be delivered begins with what changes after this migration.
"""

from alembic import op

from taskmill.storage.migrate import commands

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

WEBHOOKS = """
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

-- Beside `task`, not a column of it: most tasks have none, and looking for those that do costs nothing then.
CREATE TABLE taskmill.task_callback (
    task_id uuid NOT NULL PRIMARY KEY,
    url text NOT NULL,
    lane text NOT NULL
);

-- `lane` is whom it goes to: a webhook, or the origin of callbacks. Who tries one moves `next_at` ahead first, so
-- that it is tried again if nothing is heard of the try.
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

-- Whoever comes first goes on from here, so that nothing is missed that a callback was asked for.
INSERT INTO taskmill.feed_delivery (place, position, ordinal)
SELECT 'webhooks', coalesce(max(b.position), 0), coalesce(max(cardinality(b.task_ids)), 0)
FROM (
    SELECT position, task_ids FROM taskmill.change_batch
    WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1
) AS b;
"""

UNDO = """
DROP TABLE taskmill.webhook_delivery, taskmill.task_callback, taskmill.webhook;

DELETE FROM taskmill.feed_delivery WHERE place = 'webhooks';
"""


def upgrade() -> None:
    for command in commands(WEBHOOKS):
        op.execute(command)


def downgrade() -> None:
    for command in commands(UNDO):
        op.execute(command)
