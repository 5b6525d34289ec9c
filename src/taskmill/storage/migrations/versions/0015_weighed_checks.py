"""Checking a payload in SQL counts steps as `wire/contracts/checking.py` does.

A schema that requires 5,000 fields took 20 s for an empty payload; an expression with 900 states took 12 s for
a megabyte. Now fields that are searched for, and the states of expressions, are steps, too. The previous program
runs with it: what that compiles has no weights, and an expression without one counts as 25 states.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "up"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
