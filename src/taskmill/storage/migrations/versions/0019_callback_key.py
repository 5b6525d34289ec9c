"""A key that callbacks are signed with where the settings have none: made once, here, for all processes.

The previous program runs with it, and goes on as its settings say.
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE taskmill.callback_key (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    secret text NOT NULL
)
"""
# 32 bytes from 244 random bits: `gen_random_uuid` is cryptographically strong, and needs no extension.
_MAKE = """
INSERT INTO taskmill.callback_key (secret)
SELECT 'whsec_' || encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'base64')
"""


def upgrade() -> None:
    op.execute(_TABLE)
    op.execute(_MAKE)


def downgrade() -> None:
    op.execute("DROP TABLE taskmill.callback_key")
