"""Functions make and drop the partitions, so that processes need not own the tables.

The previous program runs with it: it does the same by commands of its own, as the owner of the tables.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "make", "drop"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
