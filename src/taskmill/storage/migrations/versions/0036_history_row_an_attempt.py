"""A claim writes no row of `task_event`: its facts are in `running`, then in the row of the task's next change.

The previous program does not run with it: stop all of its processes first. It can't claim, and the ends that it
would record would lose the claims of others. A task that runs meanwhile has its claim moved to `running`; older
claims keep their rows. The view `task_history` has one row for each version in any case.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "up"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
