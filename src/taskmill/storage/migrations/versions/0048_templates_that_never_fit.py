"""`put_schedule` refuses at once what maintenance refused after the commit, where no zone and no contract counts.

That is `expires_at`, a label too many with the schedule's own, fields that are there twice, a push without a
payload, intervals and times without a tick, and a jitter as long as their distance. The previous program runs
with it.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("rules", "template"):
        for command in script(__file__, name):
            op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
