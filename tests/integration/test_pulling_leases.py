"""Leases of pulled tasks: how much is in one, how it ends by itself, and what workers and the relay see of it."""

import asyncio
import json
from datetime import timedelta

import pytest

from taskmill.domain.lifecycle import Status, Succeeded
from taskmill.domain.remote import RemoteLease
from taskmill.maintenance.rescue import Rescue
from taskmill.maintenance.time_out import TimeOut
from taskmill.operations.pull import Pull
from taskmill.runtime.clock import SystemClock
from taskmill.settings import PullSettings
from taskmill.storage import contracts, remote_leases
from taskmill.storage.capacity import Workers
from tests.support.builders import AT_ONCE
from tests.support.polling import eventually
from tests.support.pulling import a_pull, lease_of
from tests.support.stage import Stage, a_stage
from tests.support.verifying import found_in


async def test_a_lease_has_no_more_than_fits_into_a_response(stage: Stage) -> None:
    largest = 1000
    settings = PullSettings(response_bytes=4 * largest)
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
    pull, stop = a_pull(stage.database, PullSettings(response_bytes=1)), asyncio.Event()
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
    time_out = TimeOut(stage.maintenance_database, policy=AT_ONCE, name="rescue@here")

    async def is_over() -> bool:
        await time_out()
        renewed = await pull.renew(lease.id, None)
        return list(renewed.tasks) == [made[1].id]

    await eventually(is_over, "the attempt to be ended")
    ended = await stage.task(made[0].id)
    assert (ended.status, ended.attempt) == (Status.FAILED, 1)
    assert ended.error == '{"type": "Timeout", "message": "the attempt ran longer than 0.2 s"}'
    last = (await stage.service.reading.events(made[0].id))[-1]
    assert (last.reason, last.worker) == ("timeout", "rescue@here")
    assert (last.at - (ended.started_at or last.at)).total_seconds() >= 0.2
    assert not await time_out(), "the other one has no timeout"
    row = await stage.sql.fetchrow("SELECT timeout_at, running FROM taskmill.lease")
    assert tuple(row or ()) == (None, 1)
    assert await found_in(stage.database) == {}


async def test_a_timeout_is_a_failure_that_may_be_retried(stage: Stage, pull: Pull) -> None:
    made = await stage.created(timeout=timedelta(milliseconds=50), max_attempts=2)
    lease = await lease_of(pull)
    time_out = TimeOut(stage.maintenance_database, policy=AT_ONCE, name="rescue@here")

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
    rescue = Rescue(
        stage.maintenance_database, ttl_s=0.1, interval_s=0.1, name="rescue", clock=SystemClock()
    )

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
    assert (await Workers.read(stage.database)).total.slots == 100, "the relay's"
    assert (await Workers.read(stage.database, with_remote=True)).total.workers == 3
    await stage.sql.execute(
        "INSERT INTO taskmill.task_type (name, version) VALUES ('emulate', 1); "
        "INSERT INTO taskmill.type_contract (type, version, digest, schema, defaults, registered_by) "
        "VALUES ('emulate', 1, '', '{}', '{}', 'w')"
    )
    [emulated] = await contracts.types(stage.database)
    assert emulated.workers == 3
    for lease in held:
        await pull.end(lease.tasks[0].id, lease.id, 1, Succeeded())
    assert [w.id for w in await stage.service.workers()] == [own], "ended claims are not shown"
    await stage.sql.execute(
        "UPDATE taskmill.lease SET closed_at = now() - interval '11 min' WHERE remote"
    )
    assert len(await stage.maintenance_database.fetch("prune_remote_leases", 100)) == 5
    assert len(await stage.maintenance_database.fetch("prune_leases", 100)) == 0


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
