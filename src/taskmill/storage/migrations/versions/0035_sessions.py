"""Sessions of the dashboard have a table.

The previous program runs with it: it knows no sessions.
"""

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE taskmill.session (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    key_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz NOT NULL DEFAULT now(),
    ends_at timestamptz NOT NULL
)
"""


def upgrade() -> None:
    op.execute(_TABLE)
    op.execute("CREATE INDEX session_end ON taskmill.session (ends_at)")
    op.execute("CREATE INDEX session_key ON taskmill.session (key_id)")


def downgrade() -> None:
    op.execute("DROP TABLE taskmill.session")
