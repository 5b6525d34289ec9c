"""Searches by type, labels, kind of error and name find their tasks by indexes.

The previous program runs with it: its statements stay as they are, and some of them get faster.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "name_key"):
        op.execute(command)
    with op.get_context().autocommit_block():
        for command in script(__file__, "indexes"):
            op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
