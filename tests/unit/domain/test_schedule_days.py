"""What became of a schedule's ticks by day, in its own zone."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from taskmill.domain.fires import FireOutcome
from taskmill.domain.schedule_days import (
    DAYS,
    MOST_OF_A_DAY,
    DayCount,
    ScheduleDay,
    day_bounds,
    schedule_days,
)
from tests.support.stored_schedules import NOW, a_schedule

BERLIN = ZoneInfo("Europe/Berlin")
BOUNDS = day_bounds(UTC, NOW)


def a_count(day: int, outcome: FireOutcome = FireOutcome.CREATED, **parts: int) -> DayCount:
    facts = {"fires": 1, "ticks": 1, "failed": 0, **parts}
    return DayCount(since=BOUNDS[day][1], outcome=outcome, until_tick=None, **facts)


def marked(days: list[ScheduleDay]) -> list[int]:
    return [number - len(days) for number, day in enumerate(days) if day.stretch is not None]


def test_the_days_end_with_today_and_have_no_holes() -> None:
    bounds = day_bounds(BERLIN, datetime(2026, 10, 26, 23, 30, tzinfo=UTC))
    assert len(bounds) == DAYS
    assert bounds[-1][0] == date(2026, 10, 27)
    assert all(before[2] == after[1] for before, after in pairwise(bounds))


def test_a_day_on_which_clocks_go_back_has_25_hours() -> None:
    bounds = day_bounds(BERLIN, datetime(2026, 10, 26, 12, tzinfo=UTC))
    lengths = [until - since for _, since, until in bounds]
    assert lengths[-2] == timedelta(hours=25)
    assert lengths[-1] == timedelta(hours=24)


def test_a_day_has_its_numbers_by_outcome() -> None:
    counts = [
        a_count(-1, ticks=5, fires=5, failed=2),
        a_count(-1, FireOutcome.SKIPPED_OVERLAP, ticks=3),
        a_count(-1, FireOutcome.SKIPPED_PAUSED),
        a_count(-1, FireOutcome.REFUSED),
        a_count(-2),
    ]
    *_, before, today = schedule_days(a_schedule(), BOUNDS, counts)
    assert (today.created, today.failed, today.skipped, today.refused) == (3, 2, 4, 1)
    assert (before.created, before.failed, before.skipped, before.is_more) == (1, 0, 0, False)


def test_a_day_of_many_ticks_says_that_not_all_are_counted() -> None:
    half = MOST_OF_A_DAY // 2
    counts = [a_count(-1, fires=half), a_count(-1, FireOutcome.REFUSED, fires=half)]
    assert schedule_days(a_schedule(), BOUNDS, counts)[-1].is_more


def test_a_stretch_marks_the_days_that_it_reaches_into() -> None:
    missed = FireOutcome.SKIPPED_MISSED
    stretch = a_count(-5, missed, ticks=3000)._replace(until_tick=BOUNDS[-3][1])
    days = schedule_days(a_schedule(), BOUNDS, [stretch])
    assert marked(days) == [-4, -3]
    assert [day.stretch for day in days[-4:-2]] == [missed, missed]
    assert days[-5].skipped == 3000


def test_a_stretch_that_began_before_the_first_day_is_seen() -> None:
    long_ago = datetime(1970, 1, 1, tzinfo=UTC)
    stretch = a_count(0, FireOutcome.SKIPPED_MISSED)._replace(
        since=long_ago, until_tick=BOUNDS[1][1]
    )
    days = schedule_days(a_schedule(), BOUNDS, [stretch])
    assert marked(days) == [-DAYS, 1 - DAYS]
    assert days[0].skipped == 0


def test_a_pause_marks_its_days_until_now() -> None:
    paused = a_schedule(paused_at=BOUNDS[-2][1] + timedelta(hours=3))
    days = schedule_days(paused, BOUNDS, [])
    assert marked(days) == [-2, -1]
    assert days[-1].stretch is FireOutcome.SKIPPED_PAUSED
