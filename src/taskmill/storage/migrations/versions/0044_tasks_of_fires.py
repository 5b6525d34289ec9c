"""The tick of which a schedule made a task is found by the task's id, in an index.

The previous program runs with it: it asks for no such thing.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for command in script(__file__, "up"):
            op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
