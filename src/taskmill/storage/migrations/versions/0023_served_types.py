"""A type counts as served if it has a contract, or has or had a worker within the last hour: `served_type`.

A worker that pulls over HTTP has a lease only while it runs tasks, so the types that it asks for are recorded. The
previous program runs with it: it records none, and asks for live workers.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "up"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
