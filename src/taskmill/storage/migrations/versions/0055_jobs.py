"""Jobs that cancel or retry many tasks are in the database, so that any process shows, stops and continues them.

The previous program runs with it: its jobs are in its memory.
"""

from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None

_TABLE = """
    CREATE TABLE taskmill.job (
        id uuid PRIMARY KEY,
        action text NOT NULL,
        wanted json NOT NULL,
        task_ids uuid[] NOT NULL,
        task_limit bigint,
        expected bigint,
        first_at timestamptz,
        spacing_s double precision NOT NULL,
        origin json NOT NULL,
        key_id text,
        idempotency_key text,
        request_hash bytea,
        scopes text[] NOT NULL,
        entry_id uuid,
        state text NOT NULL DEFAULT 'running',
        problem text,
        after_id uuid NOT NULL,
        until_id uuid NOT NULL,
        matched bigint NOT NULL DEFAULT 0,
        changed bigint NOT NULL DEFAULT 0,
        requested bigint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        stop_requested_at timestamptz,
        stop_requested_by text,
        ended_at timestamptz,
        holder uuid,
        held_until timestamptz,
        CONSTRAINT job_action CHECK (action IN ('cancel', 'retry')),
        CONSTRAINT job_state CHECK (state IN ('running', 'done', 'stopped', 'limited', 'failed')),
        CONSTRAINT job_end CHECK ((ended_at IS NULL) = (state = 'running')),
        CONSTRAINT job_task_limit CHECK (matched <= task_limit),
        CONSTRAINT job_request CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
    )
"""

_KEYS = """
    CREATE UNIQUE INDEX job_idempotency ON taskmill.job (key_id, idempotency_key)
    NULLS NOT DISTINCT WHERE idempotency_key IS NOT NULL
"""


def upgrade() -> None:
    op.execute(_TABLE)
    op.execute("CREATE INDEX job_open ON taskmill.job (id) WHERE state = 'running'")
    op.execute(_KEYS)
    op.execute("CREATE INDEX job_ended ON taskmill.job (ended_at) WHERE state <> 'running'")


def downgrade() -> None:
    op.execute("DROP TABLE taskmill.job")
