"""The SQL door rings when nothing has happened lately: then those who wait for tasks look seldom.

Programs of before run with it.
"""

from pathlib import Path

from alembic import op

from taskmill.storage.migrate import commands

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_STORES = "    PERFORM FROM taskmill.store_tasks(\n"
_RINGS = "    PERFORM taskmill.ring_if_quiet();\n"


def _read(part: str) -> list[str]:
    file = Path(__file__).parents[1] / "sql_door" / f"{part}.sql"
    return commands(file.read_text(encoding="utf-8"))


def _door() -> str:
    [door] = [one for one in _read("door") if "FUNCTION taskmill.create_task(" in one]
    return door.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)


def upgrade() -> None:
    [ring] = _read("ring")
    op.execute(ring)
    op.execute("REVOKE ALL ON FUNCTION taskmill.ring_if_quiet FROM PUBLIC")
    before, stores, after = _door().partition(_STORES)
    op.execute(f"{before}{_RINGS}{stores}{after}")


def downgrade() -> None:
    op.execute(_door())
    op.execute("DROP FUNCTION taskmill.ring_if_quiet")
