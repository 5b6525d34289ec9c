"""A task that waits may get another queue, priority and due time, as a version of its own.

The previous program runs with it. It can't read a history with such a version, as it does not know the event:
upgrade all processes before tasks are rescheduled.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "up"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
