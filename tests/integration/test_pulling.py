"""Pulling over HTTP when things go wrong, and the cost of many waiting calls."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import Status, Succeeded
from taskmill.domain.remote import LeaseRequest, RemoteLease
from taskmill.maintenance.rescue import Rescue
from taskmill.maintenance.time_out import TimeOut
from taskmill.operations.pull import Pull
from taskmill.runtime.clock import SystemClock
from taskmill.settings import DatabaseSettings, LimitSettings, PullSettings, Settings
from taskmill.storage import contracts, remote_leases
from taskmill.storage.claims import Bucket
from taskmill.storage.database import Database
from taskmill.storage.notifier import NotificationListener
from taskmill.storage.releases import HintQueue, Workers
from tests.support.api import LIMITS, LogLines, Served, serving
from tests.support.auditing import found_in
from tests.support.builders import AT_ONCE, a_draft
from tests.support.dispatching import a_relay, is_released
from tests.support.locks import until_blocked
from tests.support.polling import eventually
from tests.support.pulling import a_pull
from tests.support.safety import assert_safe
from tests.support.stage import Stage, a_stage


def a_request(**parts: object) -> LeaseRequest:
    """A request for one task of the type of all tests."""
    usual: dict[str, object] = {
        "worker": "w",
        "queues": frozenset(),
        "types": frozenset({"emulate"}),
        "limit": 1,
        "ttl_s": 30.0,
        "wait_s": 10.0,
    }
    return LeaseRequest(**{**usual, **parts})  # type: ignore[arg-type]


@pytest.fixture
async def pull(stage: Stage) -> AsyncIterator[Pull]:
    """The running service, which is notified."""
    made, stop = a_pull(stage.database), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(made.run(stop))
        group.create_task(stage.creation._notifier.run(stop))
        group.create_task(NotificationListener(stage.database, made.wake).run(stop))
        yield made
        stop.set()


async def lease_of(pull: Pull, **parts: object) -> RemoteLease:
    found = await pull.claim(a_request(**parts))
    assert found is not None
    return found


async def waiting(pull: Pull, count: int) -> None:
    """Wait until so many calls wait, and all buckets were scanned for them."""

    async def check() -> bool:
        calls = pull._claims._calls
        return len(calls) == count and all(call.has_scanned_all for call in calls)

    await eventually(check, f"{count} calls to wait")


async def is_new_at_no_cost(stage: Stage, task_id: UUID) -> None:
    async def check() -> bool:
        task = await stage.task(task_id)
        return (task.status, task.attempt, task.losses) == (Status.NEW, 0, 0)

    await eventually(check, "the task to be handed back")


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

        pull._claims._database = counted = Database(stage.url, DatabaseSettings())
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
        await stage.service.create_all([a_draft() for _ in range(299)])
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


async def test_a_call_that_is_cancelled_during_its_claim_hands_it_back(
    stage: Stage, pull: Pull
) -> None:
    made = await stage.created(max_losses=0)
    await stage.sql.execute("BEGIN")
    await stage.sql.execute("LOCK TABLE taskmill.task_event")
    call = asyncio.get_running_loop().create_task(pull.claim(a_request()))
    await until_blocked(stage)
    call.cancel()
    await asyncio.wait([call])
    await stage.sql.execute("COMMIT")

    async def was_claimed() -> bool:
        return await stage.event_types(made.id) == ["created", "claimed", "handed_back"]

    await eventually(was_claimed, "the task to be claimed in vain, and handed back")
    await is_new_at_no_cost(stage, made.id)
    assert await found_in(stage.database) == {}


async def test_a_lease_that_no_caller_took_is_handed_back(stage: Stage, pull: Pull) -> None:
    made = await stage.created()
    call = asyncio.get_running_loop().create_task(pull.claim(a_request()))
    future = None
    while future is None or not future.done():  # it is set in this iteration of the loop
        await asyncio.sleep(0)
        future = next((one.future for one in pull._claims._calls), None)
        if call.done():
            raise AssertionError("the moment has passed")
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()
    await is_new_at_no_cost(stage, made.id)


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Served]:
    async with serving(stage.service) as served:
        yield served


BODY = {"worker": "w", "types": ["emulate"], "wait_s": 30}


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


async def test_a_claim_too_late_for_its_request_is_handed_back(stage: Stage) -> None:
    limits = LimitSettings(request_timeout_s=0.3)
    async with serving(stage.service, Settings(limits=limits)) as api:
        made = await stage.created(max_losses=0)
        await stage.sql.execute("BEGIN")
        await stage.sql.execute("LOCK TABLE taskmill.task_event")
        response = await api.post("/leases", {**BODY, "wait_s": 0})
        assert response.status_code == 503
        await stage.sql.execute("COMMIT")

        async def was_claimed() -> bool:
            return await stage.event_types(made.id) == ["created", "claimed", "handed_back"]

        await eventually(was_claimed, "the task to be claimed in vain, and handed back")
        await is_new_at_no_cost(stage, made.id)


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
    await blocker.execute("BEGIN; LOCK TABLE taskmill.task_event")
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


async def test_a_claim_whose_result_was_lost_is_handed_back(stage: Stage, pull: Pull) -> None:
    made = await stage.created(max_losses=0)
    claim, lost = remote_leases.claim, []

    async def losing(*arguments: object) -> object:
        lost.append(await claim(*arguments))  # type: ignore[arg-type]
        raise Unavailable(1.0, "the database")

    remote_leases.claim = losing  # type: ignore[assignment]
    try:
        with pytest.raises(Unavailable):
            await pull.claim(a_request())
    finally:
        remote_leases.claim = claim
    assert lost[0] is not None
    await is_new_at_no_cost(stage, made.id)
    assert await found_in(stage.database) == {}


async def test_a_claim_that_commits_after_its_result_was_lost_is_handed_back(
    stage: Stage, pull: Pull, log_lines: LogLines
) -> None:
    made = await stage.created(max_losses=0)
    lease_id, wanted = stage.ids(), a_request()
    bucket = Bucket(queue="default", type="emulate", priority=made.priority)
    blocker = await asyncpg.connect(stage.url)
    await blocker.execute("BEGIN; LOCK TABLE taskmill.task_event")
    claiming = asyncio.get_running_loop().create_task(
        remote_leases.claim(stage.database, lease_id, wanted, [bucket])
    )
    await until_blocked(stage)
    pull.return_lease(lease_id)

    async def was_searched() -> bool:
        return bool(log_lines.named("lease.left_open"))

    await eventually(was_searched, "a search while the claim was open")
    await blocker.close()
    assert await claiming is not None
    await is_new_at_no_cost(stage, made.id)
    assert await stage.event_types(made.id) == ["created", "claimed", "handed_back"]
    assert await found_in(stage.database) == {}


async def test_an_abandoned_claim_can_not_be_made_later(stage: Stage, pull: Pull) -> None:
    await stage.created()
    lease_id = stage.ids()
    pull.return_lease(lease_id)

    async def is_barred() -> bool:
        query = "SELECT close_reason FROM taskmill.lease WHERE id = $1"
        return bool(await stage.sql.fetchval(query, lease_id) == "lost")

    await eventually(is_barred, "the lease to be barred")
    bucket = Bucket(queue="default", type="emulate", priority=4)
    with pytest.raises(asyncpg.UniqueViolationError):
        await remote_leases.claim(stage.database, lease_id, a_request(), [bucket])
    assert await found_in(stage.database) == {}


async def test_a_lease_has_no_more_than_fits_into_a_response(stage: Stage) -> None:
    largest = 1000
    settings = PullSettings(answer_bytes=4 * largest)
    made = [
        await stage.created(payload=json.dumps({"text": "é" * count}, ensure_ascii=False))
        for count in (480, 10, 10, 480, 480, 10, 480, 480, 10)
    ]
    pull, stop = a_pull(stage.database, settings, payload_bytes=largest), asyncio.Event()
    leases: list[RemoteLease] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(pull.run(stop))
        while sum(len(lease.tasks) for lease in leases) < len(made):
            leases.append(await lease_of(pull, limit=9, wait_s=0))
        stop.set()
    sizes = [sum(len((task.payload or "").encode()) for task in one.tasks) for one in leases]
    assert all(size <= 4 * largest for size in sizes)
    assert 2 <= len(leases) <= 4
    taken = [task for lease in leases for task in lease.tasks]
    assert sorted(task.id for task in taken) == [task.id for task in made]
    assert {task.claim_no for task in taken} == {1}, "nothing was taken and put back"


async def test_a_lease_may_have_one_task_of_any_size(stage: Stage) -> None:
    made = [await stage.created(payload='{"text": "%s"}' % ("x" * 500)) for _ in range(2)]
    pull, stop = a_pull(stage.database, PullSettings(answer_bytes=1)), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(pull.run(stop))
        leases = [await lease_of(pull, limit=2) for _ in made]
        stop.set()
    assert [len(lease.tasks) for lease in leases] == [1, 1]


async def test_a_hung_client_that_keeps_renewing_does_not_defeat_the_timeout(
    stage: Stage, pull: Pull
) -> None:
    made = [await stage.created(timeout=timedelta(seconds=0.2)), await stage.created()]
    lease = await lease_of(pull, limit=2)
    assert len(lease.tasks) == 2
    time_out = TimeOut(stage.database, policy=AT_ONCE, name="rescue@here")

    async def is_over() -> bool:
        await time_out()
        renewed = await pull.renew(lease.id, None)
        return list(renewed.tasks) == [made[1].id]

    await eventually(is_over, "the attempt to be ended")
    ended = await stage.task(made[0].id)
    assert (ended.status, ended.attempt) == (Status.FAILED, 1)
    assert ended.error == '{"type": "Timeout", "message": "the attempt ran longer than 0.2 s"}'
    last = (await stage.service.events(made[0].id))[-1]
    assert (last.reason, last.worker) == ("timeout", "rescue@here")
    assert (last.at - (ended.started_at or last.at)).total_seconds() >= 0.2
    assert not await time_out(), "the other one has no timeout"
    row = await stage.sql.fetchrow("SELECT timeout_at, running FROM taskmill.lease")
    assert tuple(row or ()) == (None, 1)
    assert await found_in(stage.database) == {}


async def test_a_timeout_is_a_failure_that_may_be_retried(stage: Stage, pull: Pull) -> None:
    made = await stage.created(timeout=timedelta(milliseconds=50), max_attempts=2)
    lease = await lease_of(pull)
    time_out = TimeOut(stage.database, policy=AT_ONCE, name="rescue@here")

    async def is_over() -> bool:
        await time_out()
        return (await stage.task(made.id)).status is Status.NEW

    await eventually(is_over, "the attempt to be ended")
    assert (await lease_of(pull)).tasks[0].attempt == 2
    state = await remote_leases.find(stage.database, lease.id)
    assert state is not None
    assert (state.is_closed, state.reason) == (True, "timed out")


async def test_rescue_takes_back_what_a_dead_client_had(stage: Stage, pull: Pull) -> None:
    made = await stage.created(max_losses=1)
    lease = await lease_of(pull, ttl_s=1.0)
    rescue = Rescue(stage.database, ttl_s=0.1, interval_s=0.1, name="rescue", clock=SystemClock())

    async def is_back() -> bool:
        await rescue()
        return (await stage.task(made.id)).status is Status.NEW

    await eventually(is_back, "the task to be taken back")
    task = await stage.task(made.id)
    assert (task.attempt, task.losses) == (0, 1), "it cost a loss, and no attempt"
    with pytest.raises(Exception, match="does not hold"):
        await pull.end(made.id, lease.id, 1, Succeeded())
    assert (await stage.task(made.id)).version == task.version
    assert await found_in(stage.database) == {}


async def test_remote_leases_do_not_count_as_workers(stage: Stage, pull: Pull) -> None:
    own = await stage.open_lease(worker="process")
    for _ in range(6):
        await stage.created()
    held = [await lease_of(pull, worker=f"shell-{number % 2}") for number in range(5)]
    listed = await stage.service.workers()
    assert listed[0].id == own, "workers come first"
    assert [one.id for one in listed[1:]] == [lease.id for lease in reversed(held)]
    stats = await stage.service.stats()
    assert (stats.workers_alive, stats.slots, stats.running) == (3, 105, 5)
    stream = HintQueue(queue="default", type="emulate")
    assert (await Workers.read(stage.database)).of(stream).slots == 100, "the relay's"
    assert (await Workers.read(stage.database, with_remote=True)).total.workers == 3
    await stage.sql.execute(
        "INSERT INTO taskmill.task_type (name, version) VALUES ('emulate', 1); "
        "INSERT INTO taskmill.type_contract (type, version, digest, schema, form, defaults, registered_by) "
        "VALUES ('emulate', 1, '', '{}', '[{}]', '{}', 'w')"
    )
    [emulated] = await contracts.types(stage.database)
    assert emulated.workers == 3
    for lease in held:
        await pull.end(lease.tasks[0].id, lease.id, 1, Succeeded())
    assert [w.id for w in await stage.service.workers()] == [own], "ended claims are not shown"
    await stage.sql.execute(
        "UPDATE taskmill.lease SET closed_at = now() - interval '11 min' WHERE remote"
    )
    assert len(await stage.database.fetch("prune_remote_leases", 100)) == 5
    assert len(await stage.database.fetch("prune_leases", 100)) == 0


async def test_only_types_of_workers_that_take_hints_are_released(
    stage: Stage, pull: Pull, broker_url: str
) -> None:
    thumbnails = frozenset({"thumbnail"})
    async with a_relay(stage, broker_url):
        for _ in range(2):
            await stage.created(type="thumbnail")
        held = await lease_of(pull, types=thumbnails)
        # A worker of the relay's kind comes: what it serves is released, and the other type still is not.
        await stage.open_lease()
        await stage.sql.execute("UPDATE taskmill.lease SET types = '{emulate}' WHERE NOT remote")
        mine = await stage.created()
        await is_released(stage, 1)
        marked = "SELECT task_id FROM taskmill.dispatch WHERE released_at IS NOT NULL"
        assert await stage.sql.fetchval(marked) == mine.id
        assert [one.id for one in (await lease_of(pull)).tasks] == [mine.id], "released or not"
        assert (await lease_of(pull, types=thumbnails)).id != held.id


async def test_a_task_that_only_pulled_workers_run_is_explained(stage: Stage, pull: Pull) -> None:
    await stage.created(type="thumbnail")
    waits = await stage.created(type="thumbnail")
    why = await stage.service.explain(waits.id)
    assert why.holding.name == "no_worker"
    await lease_of(pull, types=frozenset({"thumbnail"}))
    why = await stage.service.explain(waits.id)
    assert why.holding.name == "no_free_slot"


async def test_ten_thousand_leases_slow_nothing_down(stage_url: str) -> None:
    async with a_stage(stage_url) as stage:
        await stage.sql.execute("""
            INSERT INTO taskmill.lease (
                id, worker, queues, types, slots, running, expires_at, remote, task_ids)
            SELECT gen_random_uuid(), 'w' || n % 100, '{}', '{x}', 1, 1,
                now() + interval '1 hour', true, ARRAY[gen_random_uuid()]
            FROM generate_series(1, 10000) AS n
        """)
        own = await stage.open_lease(worker="process")
        listed = await stage.service.workers()
        assert (len(listed), listed[0].id) == (1000, own)
        stats = await stage.service.stats()
        assert (stats.workers_alive, stats.slots) == (101, 10_100)
        made = await stage.created(type="emulate")
        assert (await stage.service.explain(made.id)).holding.name == "not_claimed"
        ids = [
            row["id"]
            for row in await stage.sql.fetch("SELECT id FROM taskmill.lease WHERE remote LIMIT 500")
        ]
        renewed = await remote_leases.renew(stage.database, dict.fromkeys(ids))
        assert len(renewed) == 500
        await remote_leases.settle(stage.database, ids, "finished")
        assert (
            await stage.sql.fetchval("SELECT count(*) FROM taskmill.lease WHERE closed_at IS NULL")
            == 9501
        )


class Careless:
    """A client that does everything that a client can do to its tasks, and forgets some."""

    def __init__(self, servers: Sequence[Served], seed: int) -> None:
        self._servers = servers
        self._choice = random.Random(seed)  # noqa: S311 - no secret

    async def work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            body = {**BODY, "ttl_s": 1, "limit": self._choice.randint(1, 4), "wait_s": 0.2}
            call = asyncio.get_running_loop().create_task(self._server.post("/leases", body))
            if self._choice.random() < 0.2:
                await asyncio.wait([call], timeout=self._choice.random() / 20)
                call.cancel()
                await asyncio.wait([call])
                continue
            response = await call
            if response.status_code == 201:
                await self._handle(response.json())

    @property
    def _server(self) -> Served:
        return self._choice.choice(self._servers)

    async def _handle(self, lease: dict[str, Any]) -> None:
        if self._choice.random() < 0.1:
            await self._server.http.delete(f"/leases/{lease['lease_id']}")
        for task in lease["tasks"]:
            fence = {"lease_id": lease["lease_id"], "claim_no": task["claim_no"]}
            await self._end(f"/tasks/{task['id']}", fence)

    async def _end(self, path: str, fence: dict[str, Any]) -> None:
        failure = {**fence, "error": {"message": "no"}, "retry_after_s": 0}
        match self._choice.choice(("finish", "finish", "twice", "fail", "cancel", "forget")):
            case "finish":
                await self._server.post(f"{path}/progress", {**fence, "share": 0.9})
                await self._server.post(f"{path}/finish", fence)
            case "twice":
                calls = [self._server.post(f"{path}/finish", fence) for _ in range(2)]
                statuses = {response.status_code for response in [await one for one in calls]}
                assert statuses in ({200}, {409})
            case "fail":
                await self._server.post(f"{path}/fail", failure)
            case "cancel":
                await self._server.post(f"{path}/cancel")
                await self._server.post(f"{path}/cancelled", fence)
            case _:
                return  # it runs out


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_clients_do_every_task_ends_and_the_database_is_sound(
    stage: Stage, seed: int
) -> None:
    drafts = [
        a_draft(max_attempts=4, max_losses=20, timeout=timedelta(seconds=0.4 if n % 3 else 30))
        for n in range(150)
    ]
    clock = SystemClock()
    rescue = Rescue(stage.database, ttl_s=0.3, interval_s=0.1, name="rescue", clock=clock)
    time_out = TimeOut(stage.database, policy=AT_ONCE, name="rescue")
    left = "SELECT count(*) FROM taskmill.task WHERE finished_at IS NULL"
    async with serving(stage.service) as one, serving(stage.service) as other:
        await stage.service.create_all(drafts)
        stop = asyncio.Event()

        async def all_ended() -> bool:
            await rescue()
            await time_out()
            return bool(await stage.sql.fetchval(left) == 0)

        async with asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task(Careless((one, other), 100 * seed + number).work(stop))
            await eventually(all_ended, "every task to end", timeout_s=60)
            stop.set()
    assert await found_in(stage.database) == {}
    await assert_safe(stage.sql)
