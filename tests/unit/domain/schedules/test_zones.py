import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import pairwise

import pytest

from taskmill.domain.schedules.zones import (
    TZ_VERSION,
    ClockChange,
    changes_in,
    nearest_zone,
    offset_at,
    zone_names,
    zone_of,
)
from tests.support.tick_walk import utc


def transitions(name: str) -> Iterator[int]:
    """All moments in a zone's file at which anything changes, by RFC 8536."""
    data = files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
    counts = struct.unpack(">6l", data[20:44])
    is_ut, is_std, leap, time, types, chars = counts
    second = 44 + time * 5 + types * 6 + chars + leap * 8 + is_std + is_ut
    (count,) = struct.unpack(">l", data[second + 32 : second + 36])
    begin = second + 44
    yield from struct.unpack(f">{count}q", data[begin : begin + 8 * count])


def test_all_clock_changes_of_a_zones_file_are_found() -> None:
    start, end = utc(2000, 1, 1), utc(2038, 1, 1)
    for name in sorted(zone_names())[::25]:
        zone = zone_of(name)
        moments = [datetime.fromtimestamp(at, UTC) for at in transitions(name) if at > 0]
        listed = [
            at
            for at in moments
            if start < at <= end
            and offset_at(zone, at) != offset_at(zone, at - timedelta(seconds=1))
        ]
        found = [change.at for year in range(2000, 2038) for change in changes_in(name, year)]
        assert [at for at in found if at <= max(moments, default=start)] == listed, name


def test_no_zone_has_two_changes_within_four_days_since_2000() -> None:
    start = utc(1999, 12, 1).timestamp()
    for name in zone_names():
        zone = zone_of(name)
        moments = [datetime.fromtimestamp(at, UTC) for at in transitions(name) if at > start]
        offsets = pairwise(offset_at(zone, at) for at in moments)
        moves = [at for at, (old, new) in zip(moments[1:], offsets, strict=False) if old != new]
        assert all(after - before > timedelta(days=4) for before, after in pairwise(moves)), name


def test_changes_are_at_whole_minutes_since_2000() -> None:
    changes = [change for name in zone_names() for change in changes_in(name, 2026)]
    assert len(changes) > 300
    assert {change.at.second for change in changes} == {0}


def test_a_change_says_what_it_leaves_out_or_repeats() -> None:
    spring, autumn = changes_in("Europe/Berlin", 2026)
    assert spring == ClockChange(
        at=utc(2026, 3, 29, 1), before=timedelta(hours=1), after=timedelta(hours=2)
    )
    assert spring.is_gap
    assert not autumn.is_gap
    hour = timedelta(hours=1)
    assert (spring.size, autumn.size) == (hour, hour)
    assert f"{spring.local_start:%H:%M} {spring.local_end:%H:%M}" == "02:00 03:00"
    assert f"{autumn.local_start:%H:%M} {autumn.local_end:%H:%M}" == "02:00 03:00"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Europe/Moskow", "Europe/Moscow"),
        ("europe/moscow", "Europe/Moscow"),
        ("Moscow", "Europe/Moscow"),
        ("America/New York", "America/New_York"),
        ("Kolkatta", "Asia/Kolkata"),
        ("utc", "UTC"),
        ("rome", "Europe/Rome"),
        ("Ushuaia", "America/Argentina/Ushuaia"),
        ("New York", "America/New_York"),
        ("Lisbo", "Europe/Lisbon"),
    ],
)
def test_the_nearest_zone_is_found_by_its_name_or_its_city(typed: str, meant: str) -> None:
    assert nearest_zone(typed) == meant


def test_a_name_that_resembles_none_has_no_nearest_zone() -> None:
    assert nearest_zone("qqqq") is None
    assert nearest_zone("x" * 100_000) is None


def test_all_zones_can_be_read() -> None:
    assert TZ_VERSION >= "2026a"
    assert len(zone_names()) > 500
    for name in zone_names():
        assert zone_of(name).key == name
