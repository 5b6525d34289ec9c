"""`dispatch` loses `released_at`, by which relays marked what they had released to the broker.

The previous program runs with it: like every program that runs with 0029, it neither reads nor writes that column.
"""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "-- No program that runs with 0029 uses it.\n"
        "-- squawk-ignore ban-drop-column\n"
        "ALTER TABLE taskmill.dispatch DROP COLUMN released_at"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE taskmill.dispatch ADD COLUMN released_at timestamptz")
