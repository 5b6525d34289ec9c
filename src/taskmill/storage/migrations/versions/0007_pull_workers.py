"""What tasks report of themselves while they run, and leases of workers that pull over HTTP.

Programs of before run with it: they show no progress, and take such leases for those of any worker.
"""

from alembic import op

from taskmill.storage.migrate import commands

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# One row for each task that ever reported, not partitioned: reading a task looks here, too, and a week of its
# own would have to be looked for among sixty. Rows of tasks that are gone are pruned, some thousand at a time.
PROGRESS = """
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
"""

# A remote lease is of one claim, so it can name all its tasks: nothing has to search for them. `timeout_at` is
# when the first of them runs out of time. Renewals touch neither.
LEASE = """
ALTER TABLE taskmill.lease
    ADD COLUMN remote boolean NOT NULL DEFAULT false,
    ADD COLUMN task_ids uuid[],
    ADD COLUMN timeout_at timestamptz;

-- Whoever looks at leases looks at the open ones, of which there may be far fewer.
CREATE INDEX lease_open ON taskmill.lease (id) WHERE closed_at IS NULL;

CREATE INDEX lease_timeout ON taskmill.lease (timeout_at)
    WHERE timeout_at IS NOT NULL AND closed_at IS NULL;
"""

UNDO = """
DROP INDEX taskmill.lease_timeout, taskmill.lease_open;

ALTER TABLE taskmill.lease DROP COLUMN remote, DROP COLUMN task_ids, DROP COLUMN timeout_at;

DROP TABLE taskmill.task_progress;
"""


def upgrade() -> None:
    for part in (PROGRESS, LEASE):
        for command in commands(part):
            op.execute(command)


def downgrade() -> None:
    for command in commands(UNDO):
        op.execute(command)
