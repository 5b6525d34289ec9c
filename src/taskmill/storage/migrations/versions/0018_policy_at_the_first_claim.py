"""A task that was given no policy takes that of its type at its first claim: `open_policy` says which parts.

Bits of `open_policy`: 1 max_attempts, 2 max_losses, 4 retry, 8 timeout_s. It is null when everything was given at
the creation, and 0 when the first claim has taken the rest. `taskmill.create_task` sets it since 0021. The
previous program runs with it: what that claims keeps the service's policy.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

VIEW = """
CREATE VIEW taskmill.type_policy AS
SELECT
    t.name AS type,
    (c.defaults ->> 'max_attempts')::integer AS max_attempts,
    (c.defaults ->> 'max_losses')::integer AS max_losses,
    (c.defaults ->> 'retry')::jsonb AS retry,
    (c.defaults ->> 'timeout_s')::double precision AS timeout_s
FROM taskmill.task_type AS t
JOIN taskmill.type_contract AS c ON c.type = t.name AND c.version = t.version
"""


def upgrade() -> None:
    op.execute("ALTER TABLE taskmill.task ADD COLUMN open_policy smallint")
    op.execute(VIEW)


def downgrade() -> None:
    op.execute("DROP VIEW taskmill.type_policy")
    op.execute("ALTER TABLE taskmill.task DROP COLUMN open_policy")
