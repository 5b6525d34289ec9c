"""An index over the running tasks that were asked to stop, for the workers that ask once a second."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Whatever has a lease runs (task_lease_while_running). A condition on the status would tempt the planner into
# reading all that run by task_status_id.
#
# A week at a time, each in a transaction of its own: writers wait for one week's scan at most, not for all of
# them. Whoever was interrupted goes on where it stopped.
EACH_WEEK = """
DO $$
DECLARE
    week text;
BEGIN
    FOR week IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'taskmill.task'::regclass
        ORDER BY 1
    LOOP
        EXECUTE format(
            'CREATE INDEX IF NOT EXISTS %I ON taskmill.%I (lease_id) '
            'WHERE cancel_requested AND lease_id IS NOT NULL',
            week || '_lease_id_idx', week);
        COMMIT;
    END LOOP;
END $$
"""

# It adopts what the weeks have, and later weeks get theirs from it.
WHOLE = """
CREATE INDEX IF NOT EXISTS task_cancel_asked ON taskmill.task (lease_id)
    WHERE cancel_requested AND lease_id IS NOT NULL
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(EACH_WEEK)
        op.execute(WHOLE)


def downgrade() -> None:
    op.execute("DROP INDEX taskmill.task_cancel_asked")
