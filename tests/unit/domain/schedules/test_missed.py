from datetime import datetime, timedelta
from itertools import takewhile

import pytest
from hypothesis import given, strategies as st

from taskmill.domain.schedules.missed import (
    ON_TIME,
    DueTicks,
    SkippedTicks,
    missed,
    skipped_ticks,
)
from taskmill.domain.schedules.spec import CatchUp, Gap, ScheduleSpec, TickPolicy
from taskmill.domain.schedules.ticks import Tick, due_at, next_tick, ticks_after, ticks_until
from tests.support.tick_walk import utc

EVERY_MINUTE = ScheduleSpec(cron="* * * * *")
EVERY_SECOND = ScheduleSpec(cron="* * * * * *")
NIGHTLY = ScheduleSpec(cron="30 2 * * *")
NOON = utc(2026, 1, 1, 12)
NOW = NOON + timedelta(seconds=30)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def fired(due: DueTicks) -> list[datetime]:
    return [tick.at for tick in due.fired]


def policy(catch_up: CatchUp, within: timedelta = HOUR, most: int = 100) -> TickPolicy:
    return TickPolicy(catch_up=catch_up, within=within, most=most)


@pytest.mark.parametrize("catch_up", CatchUp)
def test_a_tick_on_time_gets_its_task_whatever_the_policy(catch_up: CatchUp) -> None:
    due = missed(EVERY_MINUTE, NOON - timedelta(minutes=1), NOW, policy(catch_up))
    assert due == DueTicks(fired=(Tick(at=NOON),), skipped=(), cursor_at=NOON)


@pytest.mark.parametrize("catch_up", CatchUp)
def test_a_short_stop_loses_no_tick_of_any_second(catch_up: CatchUp) -> None:
    cursor_at = NOW - ON_TIME - timedelta(seconds=1)
    due = missed(EVERY_SECOND, cursor_at, NOW, policy(catch_up))
    assert fired(due) == [cursor_at + timedelta(seconds=n) for n in range(1, 62)]
    assert due.skipped == ()
    assert due.cursor_at == NOW


@pytest.mark.parametrize("catch_up", [CatchUp.NONE, CatchUp.LATEST])
def test_after_an_outage_one_tick_gets_a_task(catch_up: CatchUp) -> None:
    cursor_at = NOON - 3 * HOUR
    due = missed(EVERY_MINUTE, cursor_at, NOW, policy(catch_up))
    assert fired(due) == [NOON]
    first, last = cursor_at + timedelta(minutes=1), NOON - timedelta(minutes=1)
    assert due.skipped == (SkippedTicks(first=first, last=last, count=179),)
    assert due.cursor_at == NOON


def test_after_an_outage_the_latest_tick_gets_a_task_though_it_was_missed() -> None:
    now = utc(2026, 1, 1, 3)
    due = missed(NIGHTLY, utc(2025, 12, 29, 2, 30), now, policy(CatchUp.LATEST))
    assert fired(due) == [utc(2026, 1, 1, 2, 30)]
    skipped = SkippedTicks(first=utc(2025, 12, 30, 2, 30), last=utc(2025, 12, 31, 2, 30), count=2)
    assert due.skipped == (skipped,)
    assert due.cursor_at == utc(2026, 1, 1, 2, 30)


def test_without_catching_up_no_missed_tick_gets_a_task() -> None:
    due = missed(NIGHTLY, utc(2025, 12, 31, 2, 30), utc(2026, 1, 1, 3), policy(CatchUp.NONE))
    only = utc(2026, 1, 1, 2, 30)
    assert due == DueTicks(
        fired=(), skipped=(SkippedTicks(first=only, last=only, count=1),), cursor_at=only
    )


def test_without_catching_up_a_flood_of_seconds_is_one_task() -> None:
    due = missed(EVERY_SECOND, NOW - HOUR, NOW, policy(CatchUp.NONE))
    assert fired(due) == [NOW]


def test_a_tick_that_is_too_late_gets_no_task() -> None:
    exactly = utc(2026, 1, 1, 3, 30)
    for catch_up in (CatchUp.LATEST, CatchUp.ALL):
        due = missed(NIGHTLY, utc(2025, 12, 31, 3), exactly, policy(catch_up))
        assert fired(due) == [utc(2026, 1, 1, 2, 30)]
        late = exactly + timedelta.resolution
        due = missed(NIGHTLY, utc(2025, 12, 31, 3), late, policy(catch_up))
        assert due.fired == ()
        assert due.cursor_at == utc(2026, 1, 1, 2, 30)


def test_all_missed_ticks_get_tasks_if_that_is_wanted_within_its_bounds() -> None:
    cursor_at = NOON - 3 * HOUR
    due = missed(EVERY_MINUTE, cursor_at, NOW, policy(CatchUp.ALL))
    assert fired(due) == [NOON - timedelta(minutes=n) for n in reversed(range(60))]
    [skipped] = due.skipped
    assert skipped.count == 120
    few = missed(EVERY_MINUTE, cursor_at, NOW, policy(CatchUp.ALL, most=5))
    assert fired(few) == [NOON - timedelta(minutes=n) for n in reversed(range(5))]
    [skipped] = few.skipped
    assert (skipped.last, skipped.count) == (NOON - timedelta(minutes=5), 175)


@pytest.mark.parametrize("now", [NOON, NOON - timedelta.resolution, NOON - DAY])
def test_a_clock_that_jumps_back_has_nothing_due(now: datetime) -> None:
    due = missed(EVERY_MINUTE, NOON, now, TickPolicy())
    assert due == DueTicks(fired=(), skipped=(), cursor_at=NOON)


def test_a_long_outage_costs_little_and_every_tick_of_it_is_counted() -> None:
    due = missed(EVERY_SECOND, utc(2016, 1, 1), utc(2026, 1, 1), TickPolicy())
    assert fired(due) == [utc(2026, 1, 1)]
    [skipped] = due.skipped
    assert skipped.count == (utc(2026, 1, 1) - utc(2016, 1, 1)).total_seconds() - 1


def test_a_tick_is_due_after_its_jitter_only() -> None:
    spec = ScheduleSpec(cron="* * * * *", jitter_s=50)
    tick = Tick(at=NOON)
    due_from = due_at("report", spec, tick)
    assert due_from > NOON
    before = NOON - timedelta(minutes=1)
    early = missed(spec, before, due_from - timedelta.resolution, TickPolicy(), name="report")
    assert early == DueTicks(fired=(), skipped=(), cursor_at=before)
    unnamed = due_at("", spec, tick)
    assert missed(spec, before, unnamed, TickPolicy()).fired == (tick,)
    assert missed(spec, before, unnamed - timedelta.resolution, TickPolicy()).fired == ()
    due = missed(spec, before, due_from, TickPolicy(), name="report")
    assert due == DueTicks(fired=(tick,), skipped=(), cursor_at=NOON)


def test_jitter_does_not_make_a_tick_late() -> None:
    spec = ScheduleSpec(cron="@hourly", jitter_s=3000)
    tick = Tick(at=NOON)
    due_from = due_at("report", spec, tick)
    assert due_from - NOON > 2 * ON_TIME, "the name was chosen for that"
    due = missed(spec, NOON - HOUR, due_from + ON_TIME, policy(CatchUp.NONE), name="report")
    assert due.fired == (tick,)
    late = missed(spec, NOON - 2 * HOUR, due_from + ON_TIME, policy(CatchUp.NONE), name="report")
    assert late.fired == (tick,)
    too_late = due_from + ON_TIME + timedelta.resolution
    late = missed(spec, NOON - HOUR, too_late, policy(CatchUp.NONE), name="report")
    assert late.fired == ()


BERLIN = ScheduleSpec(cron=NIGHTLY.cron, zone="Europe/Berlin", gap=Gap.SKIP)
GAP_END = utc(2026, 3, 29, 1)


def test_a_tick_that_a_gap_skips_is_reported_on_its_day() -> None:
    due = missed(BERLIN, utc(2026, 3, 28, 1, 30), GAP_END + timedelta(seconds=1), TickPolicy())
    skipped = Tick(at=GAP_END, after_gap=True, skipped_gap=True)
    assert due == DueTicks(fired=(skipped,), skipped=(), cursor_at=GAP_END)


def test_after_an_outage_no_skipped_tick_takes_the_place_of_another() -> None:
    within = policy(CatchUp.LATEST, within=2 * DAY)
    due = missed(BERLIN, GAP_END - 3 * DAY, GAP_END + HOUR, within)
    assert fired(due) == [utc(2026, 3, 28, 1, 30)]
    before, after = due.skipped
    assert (before.count, after.count) == (2, 1)
    assert after.first == after.last == due.cursor_at == GAP_END


def test_no_stretch_is_made_of_no_ticks() -> None:
    assert skipped_ticks(NIGHTLY, NOON, NOON + HOUR) is None
    assert skipped_ticks(ScheduleSpec(at=(NOON,)), NOON, NOON + DAY) is None


SPECS = (
    EVERY_MINUTE,
    EVERY_SECOND,
    NIGHTLY,
    ScheduleSpec(every=timedelta(seconds=7), jitter_s=6.9),
    ScheduleSpec(cron="*/7 1-3 * * *", zone="Europe/Berlin", gap=Gap.SKIP, jitter_s=200),
    ScheduleSpec(at=(utc(2026, 3, 28, 23), utc(2026, 3, 29, 1), utc(2026, 3, 29, 2))),
)


@given(
    spec=st.sampled_from(SPECS),
    minutes=st.integers(0, 1500),
    length=st.timedeltas(timedelta(), timedelta(hours=2)),
    chosen=st.builds(
        policy,
        st.sampled_from(CatchUp),
        st.timedeltas(timedelta(), timedelta(hours=3)),
        st.integers(1, 200),
    ),
)
def test_every_due_tick_is_fired_or_in_one_stretch_and_none_is_both(
    spec: ScheduleSpec, minutes: int, length: timedelta, chosen: TickPolicy
) -> None:
    cursor_at = utc(2026, 3, 28, 12) + timedelta(minutes=minutes)
    now = cursor_at + length
    due = missed(spec, cursor_at, now, chosen, name="n")
    ticks = until(spec, cursor_at, due.cursor_at)
    covered = fired(due)
    for stretch in due.skipped:
        inside = [at for at in ticks if stretch.first <= at <= stretch.last]
        assert len(inside) == stretch.count
        covered += inside
    assert sorted(covered) == ticks
    assert len(due.fired) <= max(chosen.most, ON_TIME.total_seconds() + 1)
    assert due.cursor_at == (ticks[-1] if ticks else cursor_at)
    rest = next_tick(spec, due.cursor_at)
    assert rest is None or due_at("n", spec, rest) > now


def until(spec: ScheduleSpec, cursor_at: datetime, end: datetime) -> list[datetime]:
    ticks = (tick.at for tick in ticks_after(spec, cursor_at))
    return list(takewhile(lambda at: at <= end, ticks))


def test_the_newest_tick_comes_first_backwards() -> None:
    assert [tick.at for tick in ticks_until(NIGHTLY, NOON - 2 * DAY, NOON)] == [
        utc(2026, 1, 1, 2, 30),
        utc(2025, 12, 31, 2, 30),
    ]
