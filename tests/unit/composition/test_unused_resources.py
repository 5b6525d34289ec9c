"""Memory is given back once after each time of activity, while nothing happens."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from taskmill.composition import unused_resources
from taskmill.composition.process_context import ProcessContext
from taskmill.runtime.idle_backoff import IdleBackoff
from taskmill.settings import load
from tests.support.clocks import ManualClock
from tests.support.polling import eventually

LONG = timedelta(hours=1)


class FakeDatabase:
    """Counts the rounds."""

    rounds = 0

    async def close_unused(self) -> None:
        self.rounds += 1


async def test_the_heap_is_trimmed_once_after_each_time_of_activity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trims: list[None] = []
    clock, database = ManualClock(datetime(2026, 12, 1, tzinfo=UTC)), FakeDatabase()
    context = ProcessContext(load(database_url="postgresql://nowhere/none"))
    idle = context.idle_backoff = IdleBackoff(clock)
    monkeypatch.setattr(ProcessContext, "databases", {database})
    monkeypatch.setattr(unused_resources, "trim_heap", lambda: trims.append(None))
    monkeypatch.setattr(unused_resources, "_INTERVAL_S", 0.001)
    stop = asyncio.Event()

    async def trims_after_rounds() -> int:
        wanted = database.rounds + 3

        async def are_done() -> bool:
            return database.rounds >= wanted

        await eventually(are_done, "three more rounds")
        return len(trims)

    async with asyncio.TaskGroup() as group:
        group.create_task(unused_resources.unused_releaser(context).run(stop))
        assert await trims_after_rounds() == 0, "it is not notified, so never idle"
        idle.set_notified(is_notified=True)
        clock.advance(LONG)
        assert await trims_after_rounds() == 1
        idle.mark_activity()
        assert await trims_after_rounds() == 1
        clock.advance(LONG)
        assert await trims_after_rounds() == 2
        stop.set()
