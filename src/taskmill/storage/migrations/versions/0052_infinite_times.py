"""`put_schedule` refuses infinite times as others that it does not allow, also on PostgreSQL 15 and 16.

These subtract no infinite times, so that the error was theirs. The previous program runs with it.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "up"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
