"""Schedules have tables: what they are, which revisions they had, and what became of each tick.

The previous program runs with it: it knows no schedules, so nothing fires until maintenance is a new one.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "up"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
