from datetime import datetime, timedelta

import pytest
from cronsim import CronSimError
from hypothesis import given, strategies as st

from taskmill.domain.schedules.wall_times import (
    ALIASES,
    NO_DATE,
    WallTimes,
    cron_fault,
    wall_times,
)


def wall(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day)  # noqa: DTZ001 - local times have no zone


DAY = wall(2026, 1, 1)


@given(
    cron=st.sampled_from(
        ["*/7 3,5 * * *", "5,10 * * * * *", "0 0 31 * *", "30 59 23 * * *", "* * * * *"]
    ),
    bounds=st.tuples(st.integers(-10, 200_000), st.integers(0, 200_000), st.integers(0, 999_999)),
)
def test_times_are_counted_as_they_are_listed(cron: str, bounds: tuple[int, int, int]) -> None:
    times = wall_times(cron)
    start = DAY + timedelta(seconds=bounds[0], microseconds=bounds[2])
    end = start + timedelta(seconds=bounds[1])
    whole = list(times.between(DAY - timedelta(days=1), DAY + timedelta(days=6)))
    listed = [one for one in whole if start <= one < end]
    assert list(times.between(start, end)) == listed
    assert list(times.between(start, end, newest_first=True)) == listed[::-1]
    assert times.count(start, end) == len(listed)
    assert times.has_any(start, end) is bool(listed)


@pytest.mark.parametrize(
    ("cron", "distance"),
    [
        ("* * * * * *", timedelta(seconds=1)),
        ("0,59 * * * * *", timedelta(seconds=1)),
        ("10,40 0 * * * *", timedelta(seconds=30)),
        ("5,59 * * * * *", timedelta(seconds=6)),
        ("5,59 1,2 * * * *", timedelta(seconds=6)),
        ("0,50 0,59 * * * *", timedelta(seconds=10)),
        ("0 0,45 0,23 * * *", timedelta(minutes=15)),
        ("* * * * *", timedelta(minutes=1)),
        ("0,59 * * * *", timedelta(minutes=1)),
        ("0,59 3 * * *", timedelta(minutes=59)),
        ("0,45 3,4 * * *", timedelta(minutes=15)),
        ("0 0,23 * * *", timedelta(hours=1)),
        ("0 0,23 * * 1", timedelta(hours=23)),
        ("30 2 * * *", timedelta(days=1)),
        ("0 0 * * 1", timedelta(days=7)),
        ("0 0 31 * *", timedelta(days=31)),
        ("0 0 29 2 *", timedelta(days=4 * 365 + 1)),
    ],
)
def test_the_shortest_distance_is_that_of_the_closest_two(cron: str, distance: timedelta) -> None:
    assert wall_times(cron).shortest_distance() == distance


@pytest.mark.parametrize(
    ("cron", "does"),
    [
        ("0 0 29 2 *", True),
        ("0 0 29 2 */7", True),  # a Sunday: once in 28 years
        ("0 0 */30 * MON#2", False),
        ("0 0 */10 2 1#5", False),
        ("0 0 L 2 *", True),
    ],
)
def test_whether_a_date_ever_comes_is_known(cron: str, does: bool) -> None:  # noqa: FBT001 - a case
    assert wall_times(cron).matches_some_day() is does


@pytest.mark.parametrize("alias", ALIASES)
def test_names_stand_for_expressions(alias: str) -> None:
    start, end = wall(2025, 12, 31), wall(2027, 6, 1)
    same = list(WallTimes(ALIASES[alias]).between(start, end))
    assert same
    assert list(WallTimes(alias.upper()).between(start, end)) == same


def test_times_say_how_many_a_day_has_and_whether_each_hour_has_some() -> None:
    assert wall_times("*/20 2,3 * * *").per_day == 6
    assert wall_times("0 0-23 * * *").has_every_hour
    assert not wall_times("0 1-23 * * *").has_every_hour


@pytest.mark.parametrize(
    "cron", ["", "@reboot", "* * * *", "60 * * * *", "0 0 30 2 *", "* * * * * * *"]
)
def test_what_is_no_cron_expression_is_refused(cron: str) -> None:
    with pytest.raises(CronSimError):
        wall_times(cron)


@pytest.mark.parametrize(
    ("cron", "fault"),
    [
        ("0 0 31 2 *", NO_DATE),
        ("0 0 0 30 2 *", NO_DATE),
        ("0 0 */30 * MON#2", NO_DATE),
        ("0 0 32 2 *", "bad day-of-month"),
        ("0 24 * * *", "bad hour"),
        ("0 0 * FOO *", "bad month"),
        ("0 0 * * 8", "bad day-of-week"),
        ("60 * * * * *", "bad second"),
        ("* * * *", "wrong number of fields"),
        ("0 0 29 2 *", None),
    ],
)
def test_what_is_wrong_with_an_expression_is_named(cron: str, fault: str | None) -> None:
    assert cron_fault(cron) == fault
