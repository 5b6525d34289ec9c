"""The worker that the earlier service's address starts: one at a time, of all processes."""

import asyncio
from contextlib import AsyncExitStack

from taskmill import settings as configuration
from taskmill.composition.process import Process
from taskmill.composition.workers import Drainer
from taskmill.domain.lifecycle import Status
from taskmill.storage.draining import drain_lock
from tests.support.polling import eventually
from tests.support.roles import process_settings
from tests.support.stage import Stage

QUICK = {"seed": 1, "delay_s": 0, "failure_probability": 0}


async def test_one_worker_at_a_time_runs_what_the_legacy_address_starts(stage: Stage) -> None:
    """Another process has its worker: this one waits for it, and then runs the remaining tasks."""
    task = await stage.created(type="emulate", payload=QUICK)
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        process = Process(configuration.load(**process_settings(stage.url)))
        stack.push_async_callback(process.close)
        drainer = Drainer(process)

        async with asyncio.TaskGroup() as group:
            group.create_task(drainer.run(stop))
            async with drain_lock(stage.database) as is_ours:
                assert is_ours
                before = await stage.sql.fetchval(SESSIONS)

                async def waits_for_the_lock() -> bool:
                    return bool(await stage.sql.fetchval(SESSIONS) >= before + 2)

                drainer.drain()
                await eventually(waits_for_the_lock, "a process that waits for the lock")
                assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.lease") == 0
                async with drain_lock(stage.database) as is_anothers:
                    assert not is_anothers

            async def has_run() -> bool:
                return (await stage.task(task.id)).status is Status.SUCCEEDED

            await eventually(has_run, "it runs what waits", timeout_s=30)
            stop.set()


# Each try is a session, too short for pg_stat_activity; the one of the lock held here may be counted late.
SESSIONS = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"
