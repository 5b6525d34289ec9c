"""What a worker is asked to do: to take no more tasks, or to stop."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE taskmill.lease ADD COLUMN asked_to text")


def downgrade() -> None:
    op.execute("ALTER TABLE taskmill.lease DROP COLUMN asked_to")
