"""What lost workers ran, workers that stop when they are empty, callbacks that fail, failures by first line.

The previous program runs with it: its quiet workers stay quiet, and the failures that it records are named by the
first line, too. Kinds of failures that are counted already get the name that the last of them has now; a traceback
keeps its last line.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "up"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
