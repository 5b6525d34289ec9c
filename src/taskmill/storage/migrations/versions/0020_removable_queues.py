"""Queues can be removed, and resuming one reads no task: `resumed_at` records when.

What was released to the broker before a queue was resumed counts as not released. Previous relays wait for up to
10 s until these marks run out. The previous program runs with it; it goes on naming queues that were removed, and
maintenance makes those anew that have tasks.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE taskmill.queue ADD COLUMN resumed_at timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE taskmill.queue DROP COLUMN resumed_at")
