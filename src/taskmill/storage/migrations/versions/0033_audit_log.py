"""Operators' actions are recorded: who asked for what, and the outcome. Rows are only added.

The previous program runs with it: it does not know these tables, and so records nothing.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "up"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
