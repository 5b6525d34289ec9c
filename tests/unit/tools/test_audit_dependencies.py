"""`make audit-dependencies`: what is known, what could not be looked up, and that this is not nothing."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.audit_dependencies import NONE_KNOWN, NOT_LOOKED_UP, SOME_KNOWN, main, verdict

CLEAN: dict[str, Any] = {"name": "a", "version": "1", "vulns": []}
BAD: dict[str, Any] = {
    "name": "b",
    "version": "2",
    "vulns": [
        {"id": "PYSEC-1", "fix_versions": ["3", "4"]},
        {"id": "PYSEC-2", "fix_versions": []},
    ],
}
SKIPPED: dict[str, Any] = {"name": "c", "skip_reason": "Dependency not found"}


def test_nothing_is_known() -> None:
    assert verdict([CLEAN, CLEAN]) == (
        NONE_KNOWN,
        ["Nothing is known against any of 2 packages."],
    )


def test_what_is_known_is_listed_with_its_fix() -> None:
    assert verdict([CLEAN, BAD]) == (
        SOME_KNOWN,
        ["b 2: PYSEC-1, fixed in 3, 4", "b 2: PYSEC-2"],
    )


def test_a_package_that_could_not_be_looked_up_is_an_error() -> None:
    status, lines = verdict([CLEAN, SKIPPED])
    assert status == NOT_LOOKED_UP
    assert lines[0].startswith("1 of 2 packages could not be looked up.")
    assert lines[1] == "  c: Dependency not found"
    assert verdict([BAD, SKIPPED])[0] == SOME_KNOWN
    assert verdict([])[0] == NOT_LOOKED_UP


@pytest.mark.parametrize(
    ("program", "status", "shown"),
    [
        (f"print('{json.dumps({'dependencies': [CLEAN]})}')", NONE_KNOWN, "Nothing is known"),
        ("raise SystemExit('no route to host')", NOT_LOOKED_UP, "no route to host"),
        ("print('[]')", NOT_LOOKED_UP, "Nothing was looked up"),
        ("pass", NOT_LOOKED_UP, "pip-audit printed nothing"),
    ],
)
def test_a_database_out_of_reach_is_an_error(
    program: str, status: int, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(Path("lock.txt"), (sys.executable, "-c", program)) == status
    assert shown in capsys.readouterr().out
