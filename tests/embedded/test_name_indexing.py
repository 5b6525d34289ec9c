"""`taskmill up` makes the index over names beside everything else: once all serves, and a stop ends it at once."""

import asyncio

import asyncpg

from taskmill.embedded.name_indexing import NameIndexing
from tests.support.polling import eventually
from tests.support.stage import Stage, a_stage

INDEX = (
    "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('taskmill.task_name_trigrams')"
)
MAKING = "SELECT FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND state = 'active'"


async def test_it_is_made_after_the_start_and_the_service_runs_until_it_is_stopped(
    database_url: str,
) -> None:
    started, stop = asyncio.Event(), asyncio.Event()
    indexing = NameIndexing(database_url, is_wanted=True, start_after=started)
    async with a_stage(database_url) as stage, asyncio.TaskGroup() as group:
        await stage.sql.execute("DROP INDEX taskmill.task_name_trigrams")
        service = group.create_task(indexing.run(stop))

        async def is_made() -> bool:
            return bool(await stage.sql.fetchval(INDEX))

        assert not await is_made()
        started.set()
        await eventually(is_made, "the index")
        assert not service.done()
        stop.set()


async def test_a_stop_ends_it_while_it_waits_for_who_writes(database_url: str) -> None:
    started, stop = asyncio.Event(), asyncio.Event()
    started.set()
    indexing = NameIndexing(database_url, is_wanted=True, start_after=started)
    async with a_stage(database_url) as stage:
        await stage.sql.execute("DROP INDEX taskmill.task_name_trigrams")
        holder = await asyncpg.connect(database_url)
        async with holder.transaction(), asyncio.TaskGroup() as group:
            await holder.execute("LOCK TABLE taskmill.task_default IN ROW EXCLUSIVE MODE")
            service = group.create_task(indexing.run(stop))
            await eventually(lambda: is_making(stage), "its command")
            stop.set()
            async with asyncio.timeout(10):
                await service
            assert not await is_making(stage)
        await holder.close()


async def test_it_does_not_begin_when_the_start_is_given_up(database_url: str) -> None:
    stop = asyncio.Event()
    stop.set()
    async with a_stage(database_url) as stage:
        await NameIndexing(database_url, is_wanted=False, start_after=asyncio.Event()).run(stop)
        assert await stage.sql.fetchval(INDEX) is True


async def is_making(stage: Stage) -> bool:
    return bool(await stage.sql.fetch(MAKING))
