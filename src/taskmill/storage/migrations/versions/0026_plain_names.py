"""Columns, indexes and a function have the names that the program has for the same things.

Nothing but names changes. The previous program does not run with it, since it uses the names of before: stop all
of its processes first.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "renames", "notify_if_idle", "create_task"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
    before = script(__file__.replace("0026_plain_names", "0022_plain_create_task"), "create_task")
    op.execute(next(command for command in before if "FUNCTION taskmill.create_task" in command))
