"""Tasks are counted by week, too, so that dropping a week reads none of its tasks.

The previous program runs with it. What it counts names no week: while such counts are left, and for the weeks from
before, a week is counted once more before it is dropped, without a lock.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in script(__file__, "week_counts", "create_task"):
        op.execute(command)


def downgrade() -> None:
    before = __file__.replace("0027_counts_by_week", "0026_plain_names")
    for command in [*script(before, "create_task"), *script(__file__, "down")]:
        op.execute(command)
