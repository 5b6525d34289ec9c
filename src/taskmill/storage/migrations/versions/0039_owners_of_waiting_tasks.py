"""Waiting tasks can have the name of the API key that created them, and the bytes of their texts, for its quotas.

The previous program runs with it: what it creates has no owner there, and so counts for no quota.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "columns"):
        op.execute(command)
    with op.get_context().autocommit_block():
        for command in script(__file__, "index"):
            op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
