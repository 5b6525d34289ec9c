"""Failures are counted by queue, too, and a refused message has the queue that it named.

The previous program runs with it: failures that it adds up are missing by queue, and messages that it refuses have
no queue. Both are then shown only to who may see all queues.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "up"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
