"""What SQL asks for of a schedule is kept though maintenance does, at that moment, what was asked for before.

The previous program runs with it.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "up"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
