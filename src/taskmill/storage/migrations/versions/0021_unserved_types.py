"""Types that wait without a contract and without a live worker are recorded, so that there are not too many.

Their tasks wait for no worker that exists, and each type is one more place to search. `taskmill.create_task` comes
whole here: it records such types, and what a task was not given (`open_policy`, since 0018). The previous program
runs with it, and records no types.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "unserved_type", "store_tasks", "create_task"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
