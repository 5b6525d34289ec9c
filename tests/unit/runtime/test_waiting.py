"""Waiting for more than one thing."""

import asyncio

import pytest

from taskmill.runtime.waiting import alongside, first_of, wake_on
from tests.support.attempts import settle_down


async def test_a_service_is_woken_once_when_its_stop_is_set() -> None:
    stop, woken = asyncio.Event(), []
    async with wake_on(stop, lambda: woken.append(1)):
        await settle_down()
        assert woken == []
        stop.set()
        await settle_down()
        assert woken == [1]


async def test_a_block_that_ends_before_the_stop_is_not_woken() -> None:
    stop, woken = asyncio.Event(), []
    async with asyncio.timeout(5), wake_on(stop, lambda: woken.append(1)):
        await settle_down()
    stop.set()
    await settle_down()
    assert woken == []


async def test_a_block_that_ends_just_when_the_stop_is_set_is_woken() -> None:
    stop, woken = asyncio.Event(), []
    async with wake_on(stop, lambda: woken.append(1)):
        await settle_down()
        stop.set()
    assert woken == [1]


async def test_an_error_of_the_block_or_beside_it_ends_both() -> None:
    async def fails() -> None:
        raise KeyError("beside")

    async def use(*, fails_beside: bool) -> None:
        async with alongside(fails() if fails_beside else asyncio.Event().wait()):  # type: ignore[arg-type]
            if not fails_beside:
                raise KeyError("within")
            await asyncio.Event().wait()

    for fails_beside in (True, False):
        with pytest.raises(ExceptionGroup) as failed:
            async with asyncio.timeout(5):
                await use(fails_beside=fails_beside)
        assert failed.group_contains(KeyError, match="beside" if fails_beside else "within")


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_the_first_of_several_events_ends_the_wait(which: int) -> None:
    events = [asyncio.Event() for _ in range(3)]
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiting = group.create_task(first_of(*events))
        await settle_down()
        assert not waiting.done()
        events[which].set()
    assert waiting.done()


async def test_an_event_that_is_set_already_ends_the_wait_at_once() -> None:
    events = [asyncio.Event(), asyncio.Event()]
    events[1].set()
    waiting = first_of(*events)
    with pytest.raises(StopIteration):
        waiting.send(None)


async def test_the_wait_for_events_ends_when_time_is_up() -> None:
    async with asyncio.timeout(5):
        await first_of(asyncio.Event(), asyncio.Event(), timeout_s=0.01)
    assert len(asyncio.all_tasks()) == 1, "nothing waits any more"
