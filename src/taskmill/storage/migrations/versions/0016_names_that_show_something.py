"""`taskmill.create_task` refuses names of nothing but white space, as the other entry points do.

`wire/fields.py` has the same characters, and says what they are. The previous program runs with it.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "up"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
