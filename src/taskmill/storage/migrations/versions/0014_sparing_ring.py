"""The SQL door reads no more than 200 changes to know whether to ring, and none above READ COMMITTED.

Two SERIALIZABLE transactions that called it at the same time were refused; each call walked over all that others
had not committed yet. Programs of before run with it.
"""

from pathlib import Path

from alembic import op

from taskmill.storage.migrate import commands

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    file = Path(__file__).parents[1] / "sql_door" / "ring.sql"
    [ring] = commands(file.read_text(encoding="utf-8"))
    # Whoever may not call it still may not.
    op.execute(ring.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1))


def downgrade() -> None:
    """Leave it: 0013 makes the same function."""
