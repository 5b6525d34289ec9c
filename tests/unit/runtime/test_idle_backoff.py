"""When a process may poll seldom, and what ends that."""

import asyncio
from datetime import UTC, datetime, timedelta

from taskmill.runtime.clock import SystemClock
from taskmill.runtime.idle_backoff import IDLE_AFTER_S, IDLE_PAUSE_S, NOTIFIED_PAUSE_S, IdleBackoff
from tests.support.clocks import ManualClock

LONGER = timedelta(seconds=IDLE_AFTER_S + 0.1)


def a_clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 26, tzinfo=UTC))


def test_a_process_that_is_not_notified_is_never_idle() -> None:
    clock = a_clock()
    idle_backoff = IdleBackoff(clock)
    clock.advance(timedelta(days=1))
    assert not idle_backoff.is_idle
    assert idle_backoff.pause_s(0.1) == 0.1
    assert idle_backoff.notified_pause_s(0.5) == 0.5


def test_a_notified_process_is_idle_some_time_after_the_latest_activity() -> None:
    clock = a_clock()
    idle_backoff = IdleBackoff(clock)
    idle_backoff.set_notified(is_notified=True)
    assert idle_backoff.pause_s(0.1) == 0.1
    assert idle_backoff.notified_pause_s(0.5) == NOTIFIED_PAUSE_S
    clock.advance(LONGER)
    assert idle_backoff.pause_s(0.1) == IDLE_PAUSE_S
    assert idle_backoff.pause_s(0.1, 1.0) == 1.0
    assert idle_backoff.pause_s(60) == 60, "being idle makes nobody poll sooner"
    idle_backoff.mark_activity()
    assert idle_backoff.pause_s(0.1) == 0.1


def test_all_are_woken_when_a_process_is_no_longer_idle_and_not_by_each_activity() -> None:
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


def test_a_process_that_is_no_longer_notified_polls_at_once() -> None:
    woken = []
    idle_backoff = IdleBackoff(a_clock())
    idle_backoff.on_wake(lambda: woken.append("one"))
    idle_backoff.set_notified(is_notified=False)
    assert woken == []
    idle_backoff.set_notified(is_notified=True)
    idle_backoff.set_notified(is_notified=False)
    assert woken == ["one"]


async def test_a_pause_ends_by_activity_and_by_the_stop() -> None:
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


async def test_a_pause_is_short_while_there_is_activity() -> None:
    idle_backoff = IdleBackoff(SystemClock(), idle_pause_s=3600)
    idle_backoff.set_notified(is_notified=True)
    async with asyncio.timeout(10):
        await idle_backoff.pause(0.001, asyncio.Event())


async def test_a_pause_ends_when_it_is_woken_also_while_not_idle() -> None:
    idle_backoff, stop = IdleBackoff(SystemClock()), asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        resting = group.create_task(idle_backoff.pause(3600, stop))
        await asyncio.sleep(0)
        assert not resting.done()
        idle_backoff.wake_all()
