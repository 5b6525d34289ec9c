"""What runs is in a table of its own: a claim writes no row of `task`, and only ended tasks are indexed by status.

The previous program does not run with it: stop all of its processes first. `task` has `final_status` instead of
`status` and `lease_id`, which are in the view `current_task`. Tasks that have not ended are moved in batches, each
a transaction of its own. If that breaks off, it goes on when the migration is run again.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for command in script(__file__, "move"):
            op.execute(command)
    for command in script(__file__, "task", "current_task", "create_task"):
        op.execute(command)


def downgrade() -> None:
    before = __file__.replace("0029_running_tasks", "0027_counts_by_week")
    for command in [*script(__file__, "down"), *script(before, "create_task")]:
        op.execute(command)
