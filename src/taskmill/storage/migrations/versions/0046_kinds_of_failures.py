"""Failures are grouped by kinds that a place or a fingerprint decides, and kinds have a row of their own.

The previous program runs with it: what it counts is named by the new kinds, and its filter by the kind of an error
finds their tasks. It lists a kind once for each type, as before, and knows nothing of what is ignored or resolved.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "kinds"):
        op.execute(command)
    with op.get_context().autocommit_block():
        for command in script(__file__, "indexes", "translation"):
            op.execute(command)
    for command in script(__file__, "shapes"):
        op.execute(command)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for command in script(__file__, "indexes_before"):
            op.execute(command)
    for command in script(__file__, "down"):
        op.execute(command)
