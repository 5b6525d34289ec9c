"""Forgets before each test what is computed once, and has the machine in another zone than any of the tests."""

import time
from collections.abc import Iterator

import pytest

from taskmill.domain.schedules.pieces import pieces_of
from taskmill.domain.schedules.wall_times import wall_times
from taskmill.domain.schedules.zones import changes_in, zone_names, zone_of


@pytest.fixture(autouse=True)
def _nothing_is_cached() -> None:
    for cached in (pieces_of, wall_times, changes_in, zone_names, zone_of):
        cached.cache_clear()


@pytest.fixture(autouse=True)
def _machine_is_elsewhere() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "XXX-05:47")
        time.tzset()
        yield
    time.tzset()
