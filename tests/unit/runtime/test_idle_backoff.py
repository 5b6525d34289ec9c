"""When a process may look seldom, and what ends that."""

import asyncio
from datetime import UTC, datetime, timedelta

from taskmill.runtime.clock import ManualClock, SystemClock
from taskmill.runtime.idle_backoff import IDLE_AFTER_S, IDLE_PAUSE_S, NOTIFIED_PAUSE_S, IdleBackoff

LONGER = timedelta(seconds=IDLE_AFTER_S + 0.1)


def a_clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 26, tzinfo=UTC))


def test_who_hears_nothing_is_never_calm() -> None:
    clock = a_clock()
    idle_backoff = IdleBackoff(clock)
    clock.advance(timedelta(days=1))
    assert not idle_backoff.is_idle
    assert idle_backoff.pause_s(0.1) == 0.1
    assert idle_backoff.notified_pause_s(0.5) == 0.5


def test_who_hears_is_calm_some_time_after_the_last_that_happened() -> None:
    clock = a_clock()
    idle_backoff = IdleBackoff(clock)
    idle_backoff.set_notified(is_notified=True)
    assert idle_backoff.pause_s(0.1) == 0.1
    assert idle_backoff.notified_pause_s(0.5) == NOTIFIED_PAUSE_S
    clock.advance(LONGER)
    assert idle_backoff.pause_s(0.1) == IDLE_PAUSE_S
    assert idle_backoff.pause_s(0.1, 1.0) == 1.0
    assert idle_backoff.pause_s(60) == 60, "nobody looks sooner because of the calm"
    idle_backoff.mark_activity()
    assert idle_backoff.pause_s(0.1) == 0.1


def test_all_are_woken_when_the_calm_ends_and_not_each_time_that_something_happens() -> None:
    clock, woken = a_clock(), []
    idle_backoff = IdleBackoff(clock)
    idle_backoff.on_wake(lambda: woken.append("one"))
    idle_backoff.on_wake(lambda: woken.append("other"))
    idle_backoff.set_notified(is_notified=True)
    idle_backoff.mark_activity()
    assert woken == []
    clock.advance(LONGER)
    idle_backoff.mark_activity()
    idle_backoff.mark_activity()
    assert woken == ["one", "other"]


def test_who_becomes_deaf_looks_at_once() -> None:
    woken = []
    idle_backoff = IdleBackoff(a_clock())
    idle_backoff.on_wake(lambda: woken.append("one"))
    idle_backoff.set_notified(is_notified=False)
    assert woken == []
    idle_backoff.set_notified(is_notified=True)
    idle_backoff.set_notified(is_notified=False)
    assert woken == ["one"]


async def test_a_rest_ends_with_the_calm_and_with_everything() -> None:
    clock = a_clock()
    idle_backoff = IdleBackoff(clock, idle_pause_s=3600)
    idle_backoff.set_notified(is_notified=True)
    for ends_by_stop in (False, True):
        clock.advance(LONGER)
        stop = asyncio.Event()
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            resting = group.create_task(idle_backoff.pause(0.01, stop))
            await asyncio.sleep(0)
            assert not resting.done()
            if ends_by_stop:
                stop.set()
            else:
                idle_backoff.mark_activity()


async def test_a_rest_is_short_while_something_happens() -> None:
    idle_backoff = IdleBackoff(SystemClock(), idle_pause_s=3600)
    idle_backoff.set_notified(is_notified=True)
    async with asyncio.timeout(10):
        await idle_backoff.pause(0.001, asyncio.Event())


async def test_a_rest_ends_when_something_is_there_also_while_it_is_not_calm() -> None:
    idle_backoff, stop = IdleBackoff(SystemClock()), asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        resting = group.create_task(idle_backoff.pause(3600, stop))
        await asyncio.sleep(0)
        assert not resting.done()
        idle_backoff.wake_all()
