"""Calls that wait for a task: how they are woken, what many of them cost, and how they end."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import asyncpg
import httpx

from taskmill.domain.errors import Unavailable
from taskmill.operations.pull import Pull
from taskmill.settings import DatabaseSettings, PullSettings, Settings
from taskmill.storage.database import Database
from tests.support.api import LIMITS, Served, serving
from tests.support.builders import a_draft
from tests.support.locks import until_blocked
from tests.support.polling import eventually
from tests.support.pulling import BODY, a_pull, a_request, lease_of, waiting
from tests.support.role_database import RoleDatabase
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.verifying import found_in


async def test_hundreds_of_waiting_calls_cost_few_statements(stage: Stage, pull: Pull) -> None:
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(pull.claim(a_request(wait_s=60))) for _ in range(300)]
        await waiting(pull, 300)
        scans = 0
        fetch = stage.database.fetch

        async def counting(
            name: str, *arguments: object, for_one: bool = False
        ) -> list[asyncpg.Record]:
            nonlocal scans
            scans += 1
            return await fetch(name, *arguments, for_one=for_one)

        pull._claims._database = counted = RoleDatabase(stage.url, DatabaseSettings())
        counted.fetch = counting  # type: ignore[method-assign]
        begun = asyncio.get_running_loop().time()
        await asyncio.sleep(0)
        await eventually(_passed(begun, 1.0), "a second to pass")
        assert scans <= 4, "one scan in half a second, however many wait"
        scans = 0
        await stage.created()
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        assert scans <= 4, "one scan for the notification, and one claim"
        assert sum(call.done() for call in calls) == 1
        assert calls[0].done(), "who came first is served first"
        await stage.creation.create_all([a_draft() for _ in range(299)])
    leases = [call.result() for call in calls]
    assert len({one.tasks[0].id for one in leases if one is not None}) == 300
    await counted.close()
    await assert_safe(stage.sql)


def _passed(begun: float, seconds: float) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return asyncio.get_running_loop().time() - begun >= seconds

    return check


async def test_a_waiting_call_is_woken_when_a_scheduled_task_is_due(stage: Stage) -> None:
    pull, stop = a_pull(stage.database, PullSettings(poll_s=60)), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(pull.run(stop))
        made = await stage.created(delay=timedelta(milliseconds=300))
        lease = await lease_of(pull)
        stop.set()
    assert [task.id for task in lease.tasks] == [made.id]


async def test_a_client_that_hangs_up_waits_no_longer(stage: Stage, api: Served) -> None:
    pull = api.app._context.pull
    async with httpx.AsyncClient(base_url=api.url) as other:
        call = asyncio.get_running_loop().create_task(other.post("/leases", json=BODY))
        await waiting(pull, 1)
        call.cancel()
        await asyncio.wait([call])
    await waiting(pull, 0)
    made = await stage.created()
    lease = await lease_of(pull)
    assert lease.tasks[0].id == made.id
    assert lease.tasks[0].claim_no == 1, "no other claim came between"


async def test_stopping_ends_all_waits_at_once_without_a_lease(stage: Stage) -> None:
    async with serving(stage.service) as api:
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(api.post("/leases", BODY)) for _ in range(5)]
            await waiting(api.app._context.pull, 5)
            async with asyncio.timeout(5):
                api.app.stop_being_ready()
                await asyncio.wait(calls)
        assert {call.result().status_code for call in calls} == {204}
        async with asyncio.timeout(5):
            late = await api.post("/leases", BODY)
        assert late.status_code == 204, "a server that stops lets no call wait"
        await stage.created()
        assert (await api.post("/leases", BODY)).status_code == 201, "but serves what is due"


async def test_a_call_that_comes_during_the_last_round_does_not_hang(stage: Stage) -> None:
    await stage.created()
    pull, stop = a_pull(stage.database), asyncio.Event()
    blocker = await asyncpg.connect(stage.url)
    await blocker.execute("BEGIN; LOCK TABLE taskmill.change_batch")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(pull.run(stop))
        first = group.create_task(pull.claim(a_request()))
        await until_blocked(stage)
        stop.set()
        assert await first is None
        late = group.create_task(pull.claim(a_request()))
        await asyncio.sleep(0)
        await blocker.close()
        async with asyncio.timeout(5):
            await running
            assert await late is None
    assert await found_in(stage.database) == {}


async def test_calls_beyond_the_limit_get_503(stage: Stage) -> None:
    settings = Settings(limits=LIMITS, pull=PullSettings(waiting=2))
    async with serving(stage.service, settings) as api, asyncio.TaskGroup() as group:
        calls = [group.create_task(api.post("/leases", BODY)) for _ in range(2)]
        await waiting(api.app._context.pull, 2)
        response = await api.post("/leases", BODY)
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        api.app.stop_being_ready()
    assert {call.result().status_code for call in calls} == {204}


async def test_an_outage_is_reported_to_all_waiting_calls(stage: Stage, pull: Pull) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none", DatabaseSettings(connect_timeout_s=0.2))
    calls = [asyncio.get_running_loop().create_task(pull.claim(a_request())) for _ in range(3)]
    await waiting(pull, 3)
    there, pull._claims._database = pull._claims._database, away
    pull.wake()
    await asyncio.wait(calls)
    assert {type(call.exception()) for call in calls} == {Unavailable}
    pull._claims._database = there
    await stage.created()
    assert (await lease_of(pull)).tasks
    await away.close()
