"""Queues: created by tasks or by hand, removed when they are empty, without delaying a task."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

from taskmill.domain.errors import QueueLimitReached, QueueNotEmpty, QueueNotFound
from taskmill.domain.lifecycle import Permanent, Status, Succeeded
from taskmill.domain.system import PageRequest, TaskFilter
from taskmill.operations.queues import RESERVE, KnownQueues, remove, set_paused, tidy
from taskmill.storage import figures, minutes, queues as rows, tasks
from taskmill.storage.statements import statement
from tests.support.api import Served
from tests.support.builders import ERROR, a_draft
from tests.support.contracts import NEEDS_TO, a_contract, registered
from tests.support.locks import until_blocked
from tests.support.safety import assert_safe
from tests.support.stage import Stage, a_creation, a_stage


async def names(stage: Stage) -> list[str]:
    return [queue.name for queue in await stage.service.queues()]


async def row_names(stage: Stage) -> list[str]:
    found = await stage.sql.fetch("SELECT name FROM taskmill.queue ORDER BY name")
    return [row["name"] for row in found]


@asynccontextmanager
async def a_task_not_yet_committed(
    stage: Stage, queue: str
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Store a task in an existing queue, in a session that has not committed."""
    await stage.creation.queues.ensure([queue])
    connection = await stage.database.connect()
    await connection.execute("BEGIN")
    await tasks.insert(connection, [stage.creation._with_id(a_draft(queue=queue))])
    try:
        yield connection
    finally:
        await connection.close()


async def test_a_queue_can_be_paused_before_its_first_task(api: Served, stage: Stage) -> None:
    response = await api.http.patch("/queues/later", json={"paused": True})
    assert (response.status_code, response.json()["paused"]) == (200, True)
    lease = await stage.open_lease()
    await api.create(queue="later")
    assert await stage.take(lease) == []
    await api.http.patch("/queues/later", json={"paused": False})
    assert len(await stage.take(lease)) == 1


async def test_an_empty_queue_is_deleted_and_its_ended_tasks_stay(
    api: Served, stage: Stage
) -> None:
    lease = await stage.open_lease()
    await stage.end(await stage.running(lease, queue="gone"), lease, Succeeded())
    assert (await api.http.delete("/queues/gone")).status_code == 204
    assert (await api.get("/queues")).json() == {"items": []}
    stats = (await api.get("/stats")).json()
    assert (stats["total"], stats["by_queue"]["gone"]["succeeded"]) == (1, 1)
    listed = (await api.get("/tasks", params={"queue": "gone"})).json()
    assert (listed["total"], len(listed["items"])) == (1, 1)
    response = await api.http.delete("/queues/gone")
    assert (response.status_code, response.json()["type"]) == (404, "/problems/queue-not-found")
    await api.create(queue="gone")
    assert await names(stage) == ["gone"]


async def test_waiting_and_running_tasks_prevent_a_deletion(api: Served, stage: Stage) -> None:
    lease = await stage.open_lease()
    await stage.running(lease, queue="busy")
    for _ in range(2):
        await api.create(queue="busy")
    response = await api.http.delete("/queues/busy")
    problem = response.json()
    assert (response.status_code, problem["type"]) == (409, "/problems/queue-not-empty")
    assert (problem["waiting"], problem["running"]) == (2, 1)
    assert "2 of its tasks wait, and 1 run" in problem["detail"]
    assert await names(stage) == ["busy"]


async def test_an_operator_can_create_a_queue_when_tasks_have_reached_the_limit(
    stage: Stage,
) -> None:
    async with a_creation(stage.database, stage.clock, stage.ids, queue_limit=5) as creation:
        junk = await creation.create_all([a_draft(queue=f"junk-{n}") for n in range(5)])
        with pytest.raises(QueueLimitReached):
            await creation.create(a_draft(queue="mine"))
        await set_paused(stage.database, creation.queues, "mine", paused=False)
        await creation.create(a_draft(queue="mine"))
        for one in junk:
            await stage.service.cancel(one.task.id)
            await remove(stage.database, creation.queues, one.task.queue, with_keep=False)
        await creation.create(a_draft(queue="room-again"))
    assert await names(stage) == ["mine", "room-again"]


async def test_queues_created_by_hand_have_a_limit_as_well(stage: Stage) -> None:
    known = KnownQueues(stage.database, limit=2, clock=stage.clock)
    for n in range(2 + RESERVE):
        await set_paused(stage.database, known, f"by-hand-{n}", paused=False)
    with pytest.raises(QueueLimitReached):
        await set_paused(stage.database, known, "one-more", paused=True)
    await set_paused(stage.database, known, "by-hand-0", paused=True)


async def test_a_task_created_while_its_queue_is_removed_has_a_queue(stage: Stage) -> None:
    """It was not committed when the queue was found empty, so no session could see it."""
    async with a_task_not_yet_committed(stage, "raced") as creating:
        await stage.service.remove_queue("raced")
        assert await row_names(stage) == []
        await creating.execute("COMMIT")
    [shown] = await stage.service.queues()
    assert (shown.name, shown.counts) == ("raced", {Status.NEW: 1})
    with pytest.raises(QueueNotEmpty):
        await stage.service.remove_queue("raced")
    await tidy(stage.maintenance_database)
    assert await row_names(stage) == ["raced"]
    assert (await stage.service.set_queue_paused("raced", paused=True)).counts == {Status.NEW: 1}
    await assert_safe(stage.sql)


async def test_a_queue_that_got_a_task_while_it_was_removed_can_be_paused_at_once(
    stage: Stage,
) -> None:
    async with a_task_not_yet_committed(stage, "raced") as creating:
        await stage.service.remove_queue("raced")
        await creating.execute("COMMIT")
    await stage.service.set_queue_paused("raced", paused=True)
    assert await stage.take(await stage.open_lease()) == []


async def test_a_removal_sees_a_task_that_commits_at_that_moment(stage: Stage) -> None:
    """The removal waits for its commit, and then counts again."""
    lock_holder = await stage.database.connect()
    await lock_holder.execute("BEGIN")
    async with a_task_not_yet_committed(stage, "raced") as creating, asyncio.TaskGroup() as group:
        await lock_holder.execute(statement("lock_queues"))
        removing = group.create_task(_is_removed(stage, "raced"))
        await creating.execute("COMMIT")
        await lock_holder.execute("COMMIT")
    await lock_holder.close()
    assert not removing.result()
    assert await row_names(stage) == ["raced"]


async def _is_removed(stage: Stage, name: str) -> bool:
    try:
        await stage.service.remove_queue(name)
    except QueueNotEmpty:
        return False
    return True


async def test_a_process_that_has_cached_a_removed_queue_can_create_tasks_in_it(
    stage: Stage,
) -> None:
    async with a_stage(stage.url) as other:
        task = await other.created(queue="shared")
        await other.service.cancel(task.id)
        await stage.service.remove_queue("shared")
        await other.created(queue="shared")
        assert await names(stage) == ["shared"]
        await tidy(stage.maintenance_database)
        assert await row_names(stage) == ["shared"]


async def test_cached_queues_are_read_again_after_a_while(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.operations.known_names._TRUSTED_S", 0.0)
    known = KnownQueues(stage.database, limit=1, clock=stage.clock)
    await known.ensure(["a"])
    assert not known.has(["a"])
    monkeypatch.setattr("taskmill.operations.known_names._TRUSTED_S", 60.0)
    await known.ensure(["a"])
    assert known.has(["a"])
    known.forget("a")
    assert not known.has(["a"])


async def test_an_ended_task_that_runs_again_brings_its_queue_back(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease, queue="back")
    await stage.end(taken, lease, Permanent(error=ERROR))
    await stage.service.remove_queue("back")
    await stage.service.retry(taken.task.id)
    assert await row_names(stage) == ["back"]


async def _age(stage: Stage, days: float) -> None:
    """Make everything so much older."""
    ago = timedelta(days=days)
    await stage.sql.execute("UPDATE taskmill.queue SET created_at = created_at - $1::interval", ago)
    await stage.sql.execute("UPDATE taskmill.task_minute SET at = at - $1::interval", ago)
    await stage.sql.execute("UPDATE taskmill.task_minute_delta SET at = at - $1::interval", ago)


@pytest.mark.parametrize("is_rolled_up", [True, False])
async def test_a_queue_without_events_for_a_day_is_removed(
    stage: Stage, *, is_rolled_up: bool
) -> None:
    lease = await stage.open_lease()
    for queue in ("idle", "used-lately", "paused"):
        await stage.end(await stage.running(lease, queue=queue), lease, Succeeded())
    await stage.created(queue="waiting")
    await stage.running(lease, queue="running")
    await stage.service.set_queue_paused("paused", paused=True)
    await stage.service.set_queue_paused("named-by-a-contract", paused=False)
    await registered(stage, a_contract(NEEDS_TO, queue="named-by-a-contract"))
    if is_rolled_up:
        await minutes.roll_up(stage.maintenance_database)
    await _age(stage, days=1.5)
    await stage.end(await stage.running(lease, queue="used-lately"), lease, Succeeded())
    await stage.created(queue="new")
    assert await rows.prune(stage.maintenance_database) == ["idle"]
    assert await rows.prune(stage.maintenance_database) == []
    await assert_safe(stage.sql)


async def test_a_queue_that_is_paused_while_it_is_removed_stays_paused(
    stage: Stage,
) -> None:
    await stage.service.set_queue_paused("idle", paused=False)
    await _age(stage, days=2)
    pausing = await stage.database.connect()
    await pausing.execute("BEGIN")
    await pausing.fetch(statement("set_queue_pause"), "idle", True)  # noqa: FBT003 - the statement's
    async with asyncio.TaskGroup() as group:
        pruning = group.create_task(rows.prune(stage.maintenance_database))
        await until_blocked(stage)
        await pausing.execute("COMMIT")
    await pausing.close()
    assert pruning.result() == []
    [shown] = await stage.service.queues()
    assert shown.paused_at is not None


async def test_a_queue_that_is_not_a_day_old_stays_without_events(
    stage: Stage,
) -> None:
    await stage.service.set_queue_paused("by-hand", paused=False)
    await _age(stage, days=0.9)
    assert await rows.prune(stage.maintenance_database) == []
    await stage.service.set_queue_paused("by-hand", paused=True)
    await _age(stage, days=1)
    await stage.service.set_queue_paused("by-hand", paused=False)
    assert await rows.prune(stage.maintenance_database) == [], "it was resumed a moment ago"


async def test_maintenance_removes_idle_queues(stage: Stage) -> None:
    await stage.service.set_queue_paused("idle", paused=False)
    await _age(stage, days=2)
    await tidy(stage.maintenance_database)
    assert await row_names(stage) == []


async def test_no_queue_of_that_name_can_be_removed(stage: Stage) -> None:
    with pytest.raises(QueueNotFound):
        await stage.service.remove_queue("unknown")


async def test_the_limit_holds_while_queues_are_removed_and_created(stage: Stage) -> None:
    async with a_creation(stage.database, stage.clock, stage.ids, queue_limit=3) as creation:
        for n in range(9):
            made = await creation.create(a_draft(queue=f"q{n}"))
            await stage.service.cancel(made.task.id)
            if n >= 2:
                await rows.remove(stage.database, f"q{n - 2}", with_keep=True)
                creation.queues.forget(f"q{n - 2}")
        assert await row_names(stage) == ["q7", "q8"]


async def test_lists_of_a_removed_queue_stay_right(stage: Stage) -> None:
    task = await stage.created(queue="gone")
    await stage.service.cancel(task.id)
    await stage.service.remove_queue("gone")
    page = await stage.service.page(TaskFilter(queue="gone"), PageRequest(limit=10))
    assert ([one.id for one in page.items], page.total) == ([task.id], 1)


async def test_figures_count_the_tasks_of_removed_queues_together(stage: Stage) -> None:
    lease = await stage.open_lease()
    for queue in ("gone-a", "gone-b", "here"):
        await stage.end(await stage.running(lease, queue=queue), lease, Succeeded())
    for queue in ("gone-a", "gone-b"):
        await stage.service.remove_queue(queue)
    found = await figures.read(stage.database)
    assert [(queue.name, queue.counts) for queue in found.queues] == [
        ("here", {Status.SUCCEEDED: 1}),
        ("_other", {Status.SUCCEEDED: 2}),
    ]
