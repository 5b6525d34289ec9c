"""What is computed once for all: forgotten before each test, so that each of them computes it."""

import pytest

from taskmill.domain.schedules.pieces import pieces_of
from taskmill.domain.schedules.wall_times import wall_times
from taskmill.domain.schedules.zones import changes_in, zone_names, zone_of


@pytest.fixture(autouse=True)
def _nothing_is_cached() -> None:
    for cached in (pieces_of, wall_times, changes_in, zone_names, zone_of):
        cached.cache_clear()
