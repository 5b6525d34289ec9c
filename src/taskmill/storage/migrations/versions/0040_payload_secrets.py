"""A task may name fields of its payload as secret, which readers see masked.

The previous program runs with it, and masks nothing of that. `create_task` has another argument; who may execute
it still may.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "column", "create_task"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
