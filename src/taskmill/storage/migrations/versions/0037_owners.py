"""Queues, types and webhooks have the name of the API key that made them, and API keys have quotas.

The previous program runs with it: what it makes has no owner, and it knows no quotas.
"""

from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

_OWNED = ("queue", "unserved_type", "webhook")


def upgrade() -> None:
    for table in _OWNED:
        op.execute(f"ALTER TABLE taskmill.{table} ADD COLUMN owner text")
    op.execute("ALTER TABLE taskmill.api_key ADD COLUMN quotas text[] NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    op.execute("ALTER TABLE taskmill.api_key DROP COLUMN quotas")
    for table in _OWNED:
        op.execute(f"ALTER TABLE taskmill.{table} DROP COLUMN owner")
