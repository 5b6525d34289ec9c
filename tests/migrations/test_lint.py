"""The lint of migrations refuses what locks large tables or breaks the programs of before, unless it is explained.

`scripts/test` runs it on all migrations.
"""

import tomllib
from pathlib import Path

import pytest

from tests.migrations.test_timeouts import LONG_STEP
from tests.support.migrating import with_more
from tools.migration_lint.__main__ import EXPLAINED, scripts, violations

TIMEOUTS = "SET lock_timeout = '2s';\n\nSET statement_timeout = '5s';\n\n"


def rules(text: str) -> list[str]:
    """Return the rules that a migration's only commands violate."""
    script = f"{TIMEOUTS}BEGIN;\n\n{text};\n\nCOMMIT;\n\n"
    return [violation.rule for violation in violations({"9001_more": script})]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("CREATE INDEX task_name ON taskmill.task (name)", "require-concurrent-index-creation"),
        ("ALTER TABLE taskmill.task ADD COLUMN a text NOT NULL", "adding-required-field"),
        ("ALTER TABLE taskmill.task DROP COLUMN labels", "ban-drop-column"),
        ("ALTER TABLE taskmill.task RENAME COLUMN labels TO tags", "renaming-column"),
        ("ALTER TABLE taskmill.task ALTER COLUMN priority TYPE bigint", "changing-column-type"),
        ("ALTER TABLE taskmill.task ADD CHECK (priority > 0)", "constraint-missing-not-valid"),
        ("DROP FUNCTION taskmill.create_task", "ban-drop-function"),
        ("-- Many rows.\nSET LOCAL statement_timeout = '1min'", "long-step"),
        ("COMMIT;\n\nSET lock_timeout = '1min';\n\nBEGIN", "no-reason"),
        (
            "-- squawk-ignore ban-drop-column\nALTER TABLE taskmill.task DROP COLUMN labels",
            "no-reason",
        ),
    ],
)
def test_what_is_dangerous_is_refused(text: str, rule: str) -> None:
    assert rules(text) == [rule]


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE taskmill.task ADD COLUMN a text",
        """-- It has few rows.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX queue_a ON taskmill.queue (a)""",
        """COMMIT;

-- Nobody waits for it.
SET lock_timeout = '1min';

SET statement_timeout = '1min';

CREATE INDEX CONCURRENTLY IF NOT EXISTS queue_a ON taskmill.queue (a);

BEGIN""",
    ],
)
def test_what_is_safe_or_explained_is_accepted(text: str) -> None:
    assert rules(text) == []


def test_what_alembic_runs_is_linted_wherever_it_is_written(tmp_path: Path) -> None:
    index = 'op.execute("CREATE INDEX task_name ON taskmill.task (name)")'
    written = scripts(with_more(tmp_path, LONG_STEP, index))
    [found] = violations({name: written[name] for name in ("9001_more", "9002_more")})
    assert (found.migration, found.rule) == ("9002_more", "require-concurrent-index-creation")
    assert found.line == "CREATE INDEX task_name ON taskmill.task (name);"


def test_only_migrations_of_before_the_lint_are_explained_in_a_list() -> None:
    """Those that came later explain themselves, where they can be read."""
    explained = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))
    assert max(explained) < "0027"
