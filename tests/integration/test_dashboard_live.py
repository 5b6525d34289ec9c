"""How open pages are notified of changes, and that nothing is polled while there are none."""

import asyncio

from taskmill.storage import changes
from tests.support.api import Served
from tests.support.pages import change_ticker_of, collect_events, until_begun
from tests.support.polling import eventually
from tests.support.stage import Stage


async def test_a_page_is_notified_of_changes_of_its_task_only(pages: Served, stage: Stage) -> None:
    mine, other = await stage.created(), await stage.created()
    events: list[str] = []
    events_of_other: list[str] = []
    async with asyncio.TaskGroup() as group:
        path = "/ui/live?task="
        group.create_task(
            collect_events(pages, f"{path}{mine.id}", events, lambda all_: len(all_) == 2)
        )
        quiet = group.create_task(
            collect_events(pages, f"{path}{other.id}", events_of_other, lambda _: False)
        )
        await until_begun(events)
        await until_begun(events_of_other)
        await stage.service.cancel(mine.id)

        async def has_arrived() -> bool:
            return len(events) == 2

        await eventually(has_arrived, "the event arrives", timeout_s=4)
        quiet.cancel()
    assert events == ["changed", "changed"]
    assert events_of_other == ["changed"]


async def test_a_page_of_everything_is_notified_of_any_change(pages: Served, stage: Stage) -> None:
    events: list[str] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(collect_events(pages, "/ui/live", events, lambda all_: len(all_) == 2))
        await until_begun(events)
        await stage.created()
        await changes.number(stage.maintenance_database, 10)

        async def has_arrived() -> bool:
            return len(events) == 2

        await eventually(has_arrived, "the event arrives", timeout_s=4)


async def test_the_database_is_not_polled_while_no_page_is_open(pages: Served) -> None:
    events: list[str] = []
    await collect_events(pages, "/ui/live", events, lambda all_: len(all_) == 1)
    watching = change_ticker_of(pages)

    async def is_quiet() -> bool:
        return not watching._watchers and not watching._wanted.is_set()

    await eventually(is_quiet, "the last page has gone")
