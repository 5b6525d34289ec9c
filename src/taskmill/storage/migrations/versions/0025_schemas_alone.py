"""Contracts are stored as their schemas alone: `form`, by which PostgreSQL checked payloads before 0022, goes.

The previous program reads no `form` and runs on, but it writes one, so it can register no contract that is new to
the database: its workers try again until they are replaced, and `PUT /types/{name}` fails. After a downgrade to
before 0022 the contracts that are there let every payload from SQL pass.
"""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE taskmill.type_contract DROP COLUMN form")


def downgrade() -> None:
    # One node that accepts every value.
    op.execute(
        "ALTER TABLE taskmill.type_contract ADD COLUMN form jsonb NOT NULL DEFAULT '[{}]'::jsonb"
    )
    op.execute("ALTER TABLE taskmill.type_contract ALTER COLUMN form DROP DEFAULT")
