"""What handlers log, kept with their tasks: cut by the same weeks, and dropped with them."""

from alembic import op

from taskmill.storage.migrate import commands

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# `fields` is json, not jsonb: it may have \u0000 in it. `level` is the number that Python's logging has for it.
TASK_LOG = """
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
"""

# The weeks that `task` has, with the same bounds, under the lock of whoever makes weeks (storage/partitions.py).
# A program of the previous release goes on making weeks of `task` without this table's: lines of these land in the
# DEFAULT partition, until a program of this release makes the week.
WEEKS = """
DO $$
DECLARE
    week record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('taskmill.partitions'));
    FOR week IN
        SELECT substr(c.relname, 6) AS suffix, pg_get_expr(c.relpartbound, c.oid) AS bounds
        FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'taskmill.task'::regclass AND c.relname ~ '^task_[0-9]{4}w[0-9]{2}$'
    LOOP
        EXECUTE format(
            'CREATE TABLE taskmill.%I PARTITION OF taskmill.task_log %s',
            'task_log_' || week.suffix, week.bounds);
    END LOOP;
END $$
"""


def upgrade() -> None:
    for command in commands(TASK_LOG):
        op.execute(command)
    op.execute(WEEKS)


def downgrade() -> None:
    op.execute("DROP TABLE taskmill.task_log")
