"""A login may create tasks by SQL in the queues that are granted to it, if any are.

The previous program runs with it, and knows nothing of it.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "up"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
