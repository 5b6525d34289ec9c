"""The marks of released tasks: counted, and removed to release all tasks again."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from taskmill.domain.system import BrokerPresence
from taskmill.operations.broker import BrokerWatch, find_hint_queues, forget_releases
from taskmill.operations.read import TaskReading
from taskmill.operations.service import TaskService
from taskmill.storage import releases
from tests.support.api import Served, serving
from tests.support.builders import a_draft
from tests.support.stage import Stage, a_creation, a_rejections

LIFE = timedelta(seconds=10)


async def release(stage: Stage, queue: str, *, ago_s: float = 0.0) -> None:
    """Mark all waiting tasks of a queue, as the relay does."""
    await stage.sql.execute(
        "UPDATE taskmill.dispatch SET released_at = now() - make_interval(secs => $2) WHERE queue = $1",
        queue,
        ago_s,
    )


async def test_what_is_released_and_not_claimed_is_counted_by_queue(stage: Stage) -> None:
    for queue, count in (("a", 3), ("b", 2), ("c", 1)):
        for number in range(count):
            await stage.created(queue=queue, priority=number)
    await release(stage, "a")
    await release(stage, "b")
    assert await releases.count(stage.database, hint_life=LIFE) == {"a": 3, "b": 2}
    lease_id = await stage.open_lease()
    await stage.take(lease_id, 1)
    counted = await releases.count(stage.database, hint_life=LIFE)
    assert sum(counted.values()) == 4


async def test_an_expired_release_does_not_count(stage: Stage) -> None:
    await stage.created(queue="a")
    await release(stage, "a", ago_s=9)
    assert await releases.count(stage.database, hint_life=LIFE) == {"a": 1}
    await release(stage, "a", ago_s=11)
    assert await releases.count(stage.database, hint_life=LIFE) == {}


async def test_forgetting_releases_removes_every_mark_and_returns_how_many(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "_UNMARKED_AT_ONCE", 7)
    await stage.creation.create_all([a_draft(queue="a") for _ in range(20)])
    await stage.creation.create_all([a_draft(queue="b") for _ in range(20)])
    await release(stage, "a")
    assert await forget_releases(stage.database) == 20
    assert await releases.count(stage.database, hint_life=LIFE) == {}
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.dispatch") == 40
    assert await forget_releases(stage.database) == 0


async def test_forgetting_releases_and_claims_do_not_block_each_other(stage: Stage) -> None:
    await stage.creation.create_all([a_draft(queue="a") for _ in range(300)])
    await release(stage, "a")
    lease_id = await stage.open_lease()
    claimed = 0

    async def claim() -> None:
        nonlocal claimed
        while claimed < 300:  # a claim skips what others have locked just now
            taken = await stage.take(lease_id, 10)
            claimed += len(taken)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(claim())
        group.create_task(claim())
        for _ in range(5):
            group.create_task(forget_releases(stage.database))
    assert claimed == 300


async def test_hint_queues_are_of_waiting_tasks_and_of_what_live_workers_serve(
    stage: Stage,
) -> None:
    await stage.created(queue="a", type="report")
    await stage.created(queue="b", type="mail")
    await stage.take(await stage.open_lease())
    assert await find_hint_queues(stage.database) == []
    await stage.created(queue="a", type="report")
    assert await find_hint_queues(stage.database) == [("a", "report")]
    await stage.sql.execute("UPDATE taskmill.lease SET types = '{mail}', queues = '{b}'")
    assert await find_hint_queues(stage.database) == [("a", "report"), ("b", "mail")]


class Broker:
    """A broker's state that a test sets."""

    trouble: str | None = None


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
async def watching(stage: Stage, broker: Broker) -> AsyncIterator[Served]:
    """A server that watches a broker."""
    watch = BrokerWatch(policy="auto", hint_life=LIFE, trouble=lambda: broker.trouble)
    creation = a_creation(stage.database, stage.clock, stage.ids)
    refused = a_rejections(stage.database, creation, stage.ids)
    async with (
        creation,
        TaskReading(stage.database) as reading,
        serving(TaskService(stage.database, creation, reading, refused, broker=watch)) as served,
    ):
        yield served


async def test_released_tasks_and_the_broker_are_reported(
    watching: Served, stage: Stage, broker: Broker
) -> None:
    await watching.create(queue="mail")
    await watching.create(queue="other")
    await release(stage, "mail")
    stats = (await watching.get("/stats")).json()
    assert stats["window"] == {"mail": 1}
    assert stats["broker"] == {"state": "ok", "trouble": None, "policy": "auto"}
    queues = (await watching.get("/queues")).json()["items"]
    assert [(queue["name"], queue["window"]) for queue in queues] == [("mail", 1), ("other", 0)]
    broker.trouble = "nobody answers"
    stats = (await watching.get("/stats")).json()
    assert stats["broker"]["state"] == BrokerPresence.AWAY
    ready = await watching.get("/readyz")
    assert (ready.status_code, ready.json()["parts"]["broker"]) == (200, "away: nobody answers")
    broker.trouble = None
    assert (await watching.get("/readyz")).json()["parts"]["broker"] == "ok"


async def test_without_a_broker_nothing_is_counted_as_released(api: Served, stage: Stage) -> None:
    await api.create(queue="mail")
    await release(stage, "mail")
    stats = (await api.get("/stats")).json()
    assert stats["window"] == {}
    assert stats["broker"] == {"state": "none", "trouble": None, "policy": "postgres"}
