"""Schedules are asked for by SQL, and an app's code may declare them.

The previous program runs with it: nothing that was asked for is done until maintenance is a new one.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("tables", "rules", "template", "functions"):
        for command in script(__file__, name):
            op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
