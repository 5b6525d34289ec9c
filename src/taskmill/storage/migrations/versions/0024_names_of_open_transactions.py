"""A transaction of a user that makes a queue shows which one, so that programs need not wait for its end.

So does one that records a type, since 0023. The previous program runs with it, and waits as before.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "up"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
