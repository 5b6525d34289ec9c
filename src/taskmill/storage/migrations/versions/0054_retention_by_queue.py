"""A queue may keep its ended tasks for its own time, and a week is archived before it is dropped.

The previous program runs with it. It deletes no ended task by a queue's time, but drops no week either that a
queue keeps for longer. A request whose idempotency key stands for a task that was deleted gets a 503 of it: give a
queue its own time when all processes of the API are upgraded. It archives nothing: upgrade all processes of
maintenance before an archive is set.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "queues", "weeks", "prune"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
