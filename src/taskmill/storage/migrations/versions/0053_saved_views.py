"""Saved views: names for addresses of the dashboard, by the name of an API key.

The previous program runs with it: it shows none.
"""

from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None

_SAVED_VIEW = """
    CREATE TABLE taskmill.saved_view (
        owner text NOT NULL,
        name text NOT NULL,
        address text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (owner, name)
    )
"""


def upgrade() -> None:
    op.execute(_SAVED_VIEW)


def downgrade() -> None:
    op.execute("DROP TABLE taskmill.saved_view")
