"""Windows between two times: in whole steps that are still retained."""

from datetime import UTC, datetime, timedelta

import pytest

from taskmill.domain.time_ranges import FAILURE_DAYS, RETAINED_DAYS, TimeRange

NOW = datetime(2026, 11, 30, 10, 7, 30, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def between(ago: timedelta, length: timedelta) -> TimeRange:
    return TimeRange.between(NOW - ago, NOW - ago + length, NOW)


@pytest.mark.parametrize(
    ("ago", "length", "step"),
    [
        (HOUR, HOUR, MINUTE),
        (20 * HOUR, 72 * MINUTE, MINUTE),
        (20 * HOUR, 73 * MINUTE, 10 * MINUTE),
        (DAY, HOUR, 10 * MINUTE),
        (6 * DAY, HOUR, 10 * MINUTE),
        (7 * DAY, HOUR, HOUR),
        (3 * DAY, 3 * DAY, HOUR),
        (34 * DAY, HOUR, HOUR),
        (35 * DAY, HOUR, 6 * HOUR),
        (99 * DAY, 18 * DAY, 6 * HOUR),
        (99 * DAY, 19 * DAY, DAY),
        (500 * DAY, HOUR, DAY),
    ],
)
def test_it_has_the_shortest_steps_that_are_there_and_not_too_many(
    ago: timedelta, length: timedelta, step: timedelta
) -> None:
    assert between(ago, length).step == step


def test_it_begins_and_ends_where_steps_do_and_has_all_of_what_was_asked_for() -> None:
    found = between(2 * DAY, 90 * MINUTE)
    assert found.since == datetime(2026, 11, 28, 10, 0, tzinfo=UTC)
    assert found.until == datetime(2026, 11, 28, 11, 40, tzinfo=UTC)
    assert found.length == 100 * MINUTE
    whole = TimeRange.between(found.since, found.until, NOW)
    assert (whole.since, whole.until) == (found.since, found.until)


def test_ranges_of_failures_have_the_steps_of_failures() -> None:
    found = TimeRange.between(NOW - 2 * DAY, NOW - DAY, NOW, FAILURE_DAYS)
    assert found.step == HOUR
    assert list(RETAINED_DAYS) == sorted(RETAINED_DAYS)
    assert list(FAILURE_DAYS) == sorted(FAILURE_DAYS)


@pytest.mark.parametrize(
    "ago", [MINUTE, 5 * HOUR, 23 * HOUR, 6 * DAY, 34 * DAY, 98 * DAY, 390 * DAY]
)
def test_what_follows_a_range_until_now_is_few_steps_without_a_gap(ago: timedelta) -> None:
    of_it = between(ago, MINUTE)
    found = of_it.ranges_since(NOW)
    ends = [of_it.until, *(one.until for one in found)]
    assert [one.since for one in found] == ends[:-1]
    assert ends[-1] - found[-1].step < max(NOW, of_it.until + MINUTE) <= ends[-1]
    assert all(one.length % one.step == timedelta(0) for one in found)
    assert all(one.step in {timedelta(seconds=step) for step in RETAINED_DAYS} for one in found)
    shorter = [one for one in found if one.step < DAY]
    assert sum(one.length // one.step for one in shorter) <= 9 + 5 + 5 + 3
    for one in found:
        midnight = one.since.replace(hour=0, minute=0)
        assert (one.since - midnight) % min(one.step, DAY) == timedelta(0)


def test_a_range_that_ends_now_is_followed_by_one_step() -> None:
    now = NOW.replace(second=0)
    found = TimeRange.between(now - HOUR, now, now).ranges_since(now)
    assert [(one.since, one.length) for one in found] == [(now, MINUTE)]
