"""The page of checks matches the code of `verify`."""

import re
from pathlib import Path

from taskmill.domain.checks import CHECK_MEANINGS, Check

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/checks.md"


def test_the_page_has_every_check_with_its_meaning_in_order() -> None:
    violations, warnings = PAGE.read_text(encoding="utf-8").split("## Warnings")
    for text, is_warning in ((violations, False), (warnings, True)):
        rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", text, re.MULTILINE)
        checks = [check for check in Check if check.is_warning is is_warning]
        described = [(c, CHECK_MEANINGS[c].means, CHECK_MEANINGS[c].advice) for c in checks]
        assert rows == described
