"""When a process may look seldom, and what ends that."""

import asyncio
from datetime import UTC, datetime, timedelta

from taskmill.runtime.alertness import ALERT_S, CALM_S, SURE_S, Alertness
from taskmill.runtime.clock import ManualClock, SystemClock

LONGER = timedelta(seconds=ALERT_S + 0.1)


def a_clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 26, tzinfo=UTC))


def test_who_hears_nothing_is_never_calm() -> None:
    clock = a_clock()
    alertness = Alertness(clock)
    clock.advance(timedelta(days=1))
    assert not alertness.is_calm
    assert alertness.pause_s(0.1) == 0.1
    assert alertness.sure_pause_s(0.5) == 0.5


def test_who_hears_is_calm_some_time_after_the_last_that_happened() -> None:
    clock = a_clock()
    alertness = Alertness(clock)
    alertness.hear(hears=True)
    assert alertness.pause_s(0.1) == 0.1
    assert alertness.sure_pause_s(0.5) == SURE_S
    clock.advance(LONGER)
    assert alertness.pause_s(0.1) == CALM_S
    assert alertness.pause_s(0.1, 1.0) == 1.0
    assert alertness.pause_s(60) == 60, "nobody looks sooner because of the calm"
    alertness.stir()
    assert alertness.pause_s(0.1) == 0.1


def test_all_are_woken_when_the_calm_ends_and_not_each_time_that_something_happens() -> None:
    clock, woken = a_clock(), []
    alertness = Alertness(clock)
    alertness.wakes(lambda: woken.append("one"))
    alertness.wakes(lambda: woken.append("other"))
    alertness.hear(hears=True)
    alertness.stir()
    assert woken == []
    clock.advance(LONGER)
    alertness.stir()
    alertness.stir()
    assert woken == ["one", "other"]


def test_who_becomes_deaf_looks_at_once() -> None:
    woken = []
    alertness = Alertness(a_clock())
    alertness.wakes(lambda: woken.append("one"))
    alertness.hear(hears=False)
    assert woken == []
    alertness.hear(hears=True)
    alertness.hear(hears=False)
    assert woken == ["one"]


async def test_a_rest_ends_with_the_calm_and_with_everything() -> None:
    clock = a_clock()
    alertness = Alertness(clock, calm_s=3600)
    alertness.hear(hears=True)
    for ends_by_stop in (False, True):
        clock.advance(LONGER)
        stop = asyncio.Event()
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            resting = group.create_task(alertness.rest(0.01, stop))
            await asyncio.sleep(0)
            assert not resting.done()
            if ends_by_stop:
                stop.set()
            else:
                alertness.stir()


async def test_a_rest_is_short_while_something_happens() -> None:
    alertness = Alertness(SystemClock(), calm_s=3600)
    alertness.hear(hears=True)
    async with asyncio.timeout(10):
        await alertness.rest(0.001, asyncio.Event())


async def test_a_rest_ends_when_something_is_there_also_while_it_is_not_calm() -> None:
    alertness, stop = Alertness(SystemClock()), asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        resting = group.create_task(alertness.rest(3600, stop))
        await asyncio.sleep(0)
        assert not resting.done()
        alertness.end_rests()
