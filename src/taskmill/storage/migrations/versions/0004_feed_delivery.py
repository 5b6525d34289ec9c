"""How far the feed of changes was delivered to places outside, as to RabbitMQ, and who delivers it now."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DELIVERY = """
CREATE TABLE taskmill.feed_delivery (
    place text NOT NULL PRIMARY KEY,
    position bigint NOT NULL,
    ordinal integer NOT NULL,
    holder uuid,
    expires_at timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 500)
"""


def upgrade() -> None:
    op.execute(DELIVERY)


def downgrade() -> None:
    op.execute("DROP TABLE taskmill.feed_delivery")
