"""How far a schedule has come has a table of its own, which is all that a tick changes; who owns one has an index.

No program of a release fires schedules, so none reads the columns that are dropped.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "up"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
