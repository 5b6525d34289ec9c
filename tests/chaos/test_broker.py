"""Brokers killed, emptied and wiped under load, with real processes: no task is lost or runs twice.

Every task starts within 15 s of when it could have, and no two claims of a task overlap.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from taskmill.amqp.names import HINTS
from tests.support.builders import a_draft
from tests.support.dispatching import a_notifier, all_ended
from tests.support.fleet import Fleet, a_fleet
from tests.support.polling import eventually
from tests.support.rabbitmq import FAST_SETTINGS, BrokerServer
from tests.support.safety import assert_safe
from tests.support.stage import Stage

# Counted from a task's creation, or from when the broker serves again if only hints lead to a claim.
TIMEOUT_S = 15.0
MOST_UNFINISHED = 600
CHUNK = 100
SLOTS = 50

Harm = Callable[[BrokerServer], Awaitable[None]]


async def kill(broker: BrokerServer) -> None:
    await asyncio.to_thread(broker.kill)
    await revive(broker)


async def wipe(broker: BrokerServer) -> None:
    await asyncio.to_thread(broker.wipe)
    await revive(broker)


async def delete_queues(broker: BrokerServer) -> None:
    management = broker.management()
    names = [name for name in management.queues() if name.startswith(HINTS)]
    assert names, "there are queues of hints"
    for name in names:
        await asyncio.to_thread(management.delete_queue, name)


async def revive(broker: BrokerServer) -> None:
    broker.spawn()
    await asyncio.to_thread(broker.wait)


HARMS: Sequence[Harm] = (kill, delete_queues, wipe)


async def count(stage: Stage, condition: str) -> int:
    """Count tasks on a connection of the pool: there are concurrent callers."""
    async with stage.database.hot() as connection:
        counted: int = await connection.fetchval(
            f"SELECT count(*) FROM taskmill.current_task WHERE {condition}"  # noqa: S608 - our own words
        )
    return counted


async def count_unfinished(stage: Stage) -> int:
    return await count(stage, "status IN ('new', 'in_progress')")


async def feed(stage: Stage, total: int) -> None:
    """Create tasks as fast as others end, in two queues and with two priorities."""

    async def has_room() -> bool:
        return await count_unfinished(stage) < MOST_UNFINISHED

    for start in range(0, total, CHUNK):
        await eventually(has_room, "tasks to end", timeout_s=60)
        await stage.creation.create_all(
            [
                a_draft(
                    queue=f"q{n % 2}",
                    priority=4 + n % 3 // 2,
                    payload={"delay_s": n % 10 * 0.02, "failure_probability": 0},
                )
                for n in range(start, min(start + CHUNK, total))
            ]
        )


async def feed_and_harm(
    stage: Stage, broker: BrokerServer, harms: Sequence[Harm], total: int
) -> list[datetime]:
    """Harm the broker several times while tasks run; return when it served again each time."""
    healed = []
    share = total // len(harms)
    for number, harm in enumerate(harms):

        async def is_time(least: int = number * share + share // 4) -> bool:
            return await count(stage, "status = 'succeeded'") >= least

        async with asyncio.TaskGroup() as group:
            group.create_task(feed(stage, share))
            await eventually(is_time, "some tasks to end", timeout_s=60)
            assert await count_unfinished(stage), "harm comes too late"
            await harm(broker)
            healed.append(stage.clock.now())
    return healed


async def longest_wait_s(stage: Stage, healed: list[datetime]) -> float:
    """How long the most unlucky task waited for its claim after it could have been claimed."""
    rows = await stage.sql.fetch("""
        SELECT t.created_at, e.at
        FROM taskmill.task AS t JOIN taskmill.task_history AS e ON e.task_id = t.id AND e.event = 'claimed'
    """)
    waits = [
        row["at"] - max([row["created_at"], *(moment for moment in healed if moment <= row["at"])])
        for row in rows
    ]
    longest: timedelta = max(waits)
    return longest.total_seconds()


@pytest.mark.parametrize("total", [1_500, pytest.param(5_001, marks=pytest.mark.slow)])
@pytest.mark.parametrize("policy", ["auto", "rabbitmq"])
async def test_tasks_end_whatever_becomes_of_the_broker(
    policy: str, total: int, stage: Stage, private_broker: BrokerServer, tmp_path: Path
) -> None:
    """It is killed, its queues are deleted and it is wiped, one after the other."""
    await survive(stage, private_broker, tmp_path, policy=policy, harms=HARMS, total=total)


async def survive(
    stage: Stage,
    broker: BrokerServer,
    folder: Path,
    *,
    policy: str,
    harms: Sequence[Harm],
    total: int,
) -> None:
    env = {"TASKMILL_BROKER": policy, "TASKMILL_WORKER__CONCURRENCY": str(SLOTS)}
    with a_fleet(
        folder,
        database_url=stage.url,
        broker_url=broker.url,
        env=env,
        worker=2,
        relay=2,
        maintenance=1,
    ) as fleet:
        async with a_notifier(stage):
            healed = await feed_and_harm(stage, broker, harms, total)
            await all_ended(stage, timeout_s=TIMEOUT_S)
        # With `auto` workers also claim without a broker.
        waited_s = await longest_wait_s(stage, healed if policy == "rabbitmq" else [])
        assert waited_s < TIMEOUT_S
        check_workers(fleet, policy)
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == total
    ends = await stage.sql.fetch(
        "SELECT DISTINCT status, attempt, claim_no FROM taskmill.current_task"
    )
    assert [tuple(row) for row in ends] == [("succeeded", 1, 1)]
    await assert_safe(stage.sql)


def check_workers(fleet: Fleet, policy: str) -> None:
    """Check that no worker was lost, and that both ran tasks."""
    assert fleet.logged("lease.lost") == 0
    for worker in fleet.of("worker"):
        assert worker.logged("task.succeeded")
        if policy == "rabbitmq":
            assert not worker.logged("hints.missing"), "a strict worker claims by hints alone"


@pytest.fixture
def impatient_broker() -> Iterator[BrokerServer]:
    """A node that closes the channel of a consumer that holds a message for a minute."""
    settings = {**FAST_SETTINGS, "consumer_timeout": "60000"}
    with (
        tempfile.TemporaryDirectory(prefix="taskmill-broker-") as folder,
        BrokerServer(Path(folder), settings=settings) as server,
    ):
        yield server


@pytest.mark.slow
async def test_a_task_longer_than_the_brokers_delivery_timeout_runs_once(
    stage: Stage, impatient_broker: BrokerServer, tmp_path: Path
) -> None:
    """It checks once a minute. More tasks wait than the worker has slots, and it holds none of their hints."""
    with a_fleet(
        tmp_path,
        database_url=stage.url,
        broker_url=impatient_broker.url,
        env={"TASKMILL_BROKER": "rabbitmq", "TASKMILL_WORKER__CONCURRENCY": "4"},
        worker=1,
        relay=1,
        maintenance=1,
    ) as fleet:
        payload = {"delay_s": 130, "failure_probability": 0}
        await stage.creation.create_all([a_draft(payload=payload) for _ in range(4)])
        quick = {"delay_s": 0, "failure_probability": 0}
        await stage.creation.create_all([a_draft(payload=quick, priority=0) for _ in range(40)])
        await all_ended(stage, timeout_s=200)
        assert fleet.logged("broker.away") == 0
    numbers = await stage.sql.fetch("SELECT DISTINCT status, claim_no FROM taskmill.current_task")
    assert [tuple(row) for row in numbers] == [("succeeded", 1)]
    await assert_safe(stage.sql)
