"""Schedules that need attention are found: those that are left for later, and those whose ticks made no task.

The previous program runs with it. It forgets since when it leaves a schedule for later, and ends no such time.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "up"):
        op.execute(command)
    with op.get_context().autocommit_block():
        for command in script(__file__, "index"):
            op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
