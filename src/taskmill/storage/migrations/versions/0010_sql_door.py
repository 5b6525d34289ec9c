"""The SQL door: `taskmill.create_task`, for tasks that exist when the caller's transaction commits.

It checks what the other doors check, in the same words. Its parts are in `migrations/sql_door`: `checks.sql`
mirrors `wire/contracts/checking.py`, `fields.sql` and `door.sql` mirror `wire/fields.py` and `wire/rules.py`,
`push.sql`, `urls.sql` and `unknown_fields.sql` mirror `wire/push.py`, `wire/urls.py` and `wire/violations.py`;
`tests/integration/test_sql_door.py`, `tests/property/test_contract_checks.py` and
`tests/property/test_push_checks.py` compare them. `store.sql` has `create_tasks.sql` and `store_callbacks.sql` as
they were when this migration was written: a test tells who changes one and not the other.

Programs of before run with it.
"""

import re
from pathlib import Path

from alembic import op

from taskmill.storage.migrate import commands

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

PARTS = (
    *("limits", "words", "checks", "problems", "strict_json", "unknown_fields"),
    *("fields", "urls", "push", "store", "door"),
)
_FUNCTION = re.compile(r"^CREATE FUNCTION taskmill\.(\w+)", re.MULTILINE)


def _read(part: str) -> str:
    folder = Path(__file__).parents[1] / "sql_door"
    return (folder / f"{part}.sql").read_text(encoding="utf-8")


def _functions() -> list[str]:
    return [name for part in PARTS for name in _FUNCTION.findall(_read(part))]


def upgrade() -> None:
    for part in PARTS:
        for command in commands(_read(part)):
            op.execute(command)
    # They run as their owner: who may call the door is the owner's to say.
    for name in _functions():
        op.execute(f"REVOKE ALL ON FUNCTION taskmill.{name} FROM PUBLIC")


def downgrade() -> None:
    for name in reversed(_functions()):
        op.execute(f"DROP FUNCTION taskmill.{name}")
    op.execute("DROP TABLE taskmill.door_limit")
