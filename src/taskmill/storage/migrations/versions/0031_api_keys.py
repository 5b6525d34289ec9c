"""API keys have a table.

The previous program runs with it: it knows no keys, and checks none.
"""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE taskmill.api_key (
    id text PRIMARY KEY,
    name text NOT NULL,
    description text,
    grants text[] NOT NULL,
    networks cidr[] NOT NULL DEFAULT '{}',
    lifetime interval,
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
)
"""


def upgrade() -> None:
    op.execute(_TABLE)
    op.execute("CREATE INDEX api_key_name ON taskmill.api_key (name)")


def downgrade() -> None:
    op.execute("DROP TABLE taskmill.api_key")
