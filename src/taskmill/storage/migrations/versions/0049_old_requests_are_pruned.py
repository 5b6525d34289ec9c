"""What SQL has asked for of schedules and was refused is found by its age, so that it can be deleted.

The previous program runs with it, and deletes none.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "up"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
