"""How much a test that searches for faults tries, and where it begins."""

from typing import Final

import pytest
from hypothesis import settings

_SHARE: Final = 20


def tries(whole: int) -> int:
    """Return how many things to try: all with `./scripts/test --all`, else a twentieth."""
    is_whole = settings.get_current_profile_name() == "many"
    return whole if is_whole else -(-whole // _SHARE)


def seed_of(config: pytest.Config) -> int:
    """Return the number of `--hypothesis-seed`, which `./scripts/test` makes of the commit; else 0."""
    return int(config.getoption("--hypothesis-seed") or 0)
