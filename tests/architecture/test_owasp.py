"""The table of the OWASP API Security Top 10 has each risk, and each of its rows tests that show it."""

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs/explanation/owasp-api-top-10.md").read_text(encoding="utf-8")
ROWS: Final = re.findall(r"^\| (API\d+) [^|]+\| [^|]+\| ([^|]+) \|$", PAGE, re.MULTILINE)
TESTS: Final = {
    name
    for file in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
}


def test_every_risk_has_a_row() -> None:
    assert [risk for risk, _ in ROWS] == [f"API{number}" for number in range(1, 11)]


@pytest.mark.parametrize(("risk", "shown_by"), ROWS)
def test_every_row_names_tests_that_exist(risk: str, shown_by: str) -> None:
    named = re.findall(r"`(test_\w+)`", shown_by)
    assert len(named) >= 3, f"{risk} needs tests that show it"
    assert set(named) <= TESTS, f"{risk} names tests that are gone"
    assert shown_by == ", ".join(f"`{name}`" for name in named)
