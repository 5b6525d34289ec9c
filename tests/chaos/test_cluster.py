"""A node of a three-node cluster killed under load: nothing is lost, and everything works again within 15 s."""

import asyncio
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import orjson
import pytest

from taskmill.amqp.confirmed_publisher import ConfirmedPublisher, SentMessage, Undelivered
from taskmill.amqp.names import CREATE_KEY, CREATE_QUEUE, EXCHANGE, HINTS
from tests.support.dispatching import all_ended
from tests.support.fleet import Fleet, a_fleet
from tests.support.polling import eventually
from tests.support.rabbitmq import Management
from tests.support.rabbitmq_cluster import BrokerCluster
from tests.support.safety import assert_safe
from tests.support.stage import Stage

MESSAGES = 3000
TIMEOUT_S = 15.0


@pytest.fixture
def cluster() -> Iterator[BrokerCluster]:
    with (
        tempfile.TemporaryDirectory(prefix="taskmill-cluster-") as folder,
        BrokerCluster(Path(folder)) as cluster,
    ):
        yield cluster


def messages(round_number: int) -> list[SentMessage]:
    payload = {"delay_s": 0.01, "failure_probability": 0}
    body = orjson.dumps({"name": f"round {round_number}", "payload": payload})
    return [
        SentMessage(number=n, body=body, message_id=f"{round_number}:{n}")
        for n in range(1, MESSAGES + 1)
    ]


async def consumers_of(management: Management) -> list[str]:
    """Return the queue of each consumer."""
    found = await asyncio.to_thread(management.consumers)
    return [consumer["queue"]["name"] for consumer in found]


@pytest.mark.slow
async def test_a_node_that_is_killed_under_load_loses_nothing(
    stage: Stage, cluster: BrokerCluster, tmp_path: Path
) -> None:
    with a_fleet(
        tmp_path,
        database_url=stage.url,
        broker_url=cluster.url,
        env={"TASKMILL_BROKER": "rabbitmq", "TASKMILL_WORKER__CONCURRENCY": "100"},
        worker=2,
        relay=2,
        intake=1,
        maintenance=1,
    ) as fleet:
        await takes_messages(cluster)
        for victim in range(3):
            await one_round(stage, cluster, fleet, victim)
        assert fleet.logged("lease.lost") == 0
        assert fleet.logged("broker.away") > 0, "some of them had been on the killed nodes"
    created = await stage.sql.fetchval("SELECT count(*) FROM taskmill.task")
    assert created == 3 * MESSAGES, "each confirmed message is one task"
    ends = await stage.sql.fetch("SELECT DISTINCT status, claim_no FROM taskmill.current_task")
    assert [tuple(row) for row in ends] == [("succeeded", 1)]
    await assert_safe(stage.sql)


async def one_round(stage: Stage, cluster: BrokerCluster, fleet: Fleet, victim: int) -> None:
    """Publish, kill a node meanwhile, and check that everything works without it; then start it again."""
    confirmed_publisher = ConfirmedPublisher(
        cluster.url, exchange=EXCHANGE, routing_key=CREATE_KEY, timeout_s=30
    )
    delivered = 0

    def note() -> None:
        nonlocal delivered
        delivered += 1

    async def is_underway() -> bool:
        return delivered >= MESSAGES // 5

    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(
            confirmed_publisher.deliver(messages(victim), delivered=note)
        )
        await eventually(is_underway, "messages to be published")
        await asyncio.to_thread(cluster.kill, victim)
        killed_at = stage.clock.now()
        await are_back(stage, cluster, fleet, victim, killed_at)
        assert (stage.clock.now() - killed_at).total_seconds() < TIMEOUT_S
    failed: list[Undelivered] = publishing.result()
    assert failed == []
    await has_all(stage, (victim + 1) * MESSAGES)
    await all_ended(stage, timeout_s=30)
    cluster.restart(victim)
    node = cluster.nodes[victim]

    async def is_back() -> bool:
        return await asyncio.to_thread(node.is_ready)

    await eventually(is_back, "the killed node to serve again", timeout_s=60)


async def takes_messages(cluster: BrokerCluster) -> None:
    """Wait for the intake to consume: by then it has declared the queue."""
    management = Management(cluster.nodes[0].management_url, cluster.nodes[0].password)

    async def probe() -> bool:
        return CREATE_QUEUE in await consumers_of(management)

    try:
        await eventually(probe, "the intake to consume")
    finally:
        management.close()


async def are_back(
    stage: Stage, cluster: BrokerCluster, fleet: Fleet, victim: int, killed_at: datetime
) -> None:
    """Wait until all are connected, intake and both workers consume, and a new message's task has ended."""
    survivor = cluster.nodes[(victim + 1) % 3]
    management = Management(survivor.management_url, survivor.password)

    async def probe() -> bool:
        consumed = await consumers_of(management)
        hints = [name for name in consumed if name.startswith(HINTS)]
        if fleet.links_down or CREATE_QUEUE not in consumed or len(hints) != 2:
            return False
        ended: int = await stage.sql.fetchval(
            "SELECT count(*) FROM taskmill.current_task WHERE created_at > $1 AND status = 'succeeded'",
            killed_at,
        )
        return ended > 0

    try:
        queues = await asyncio.to_thread(management.queues)
        types = {queue["type"] for name, queue in queues.items() if name.startswith(HINTS)}
        assert types == {"quorum"}, "the address names a cluster"
        await eventually(probe, "all to be back", timeout_s=TIMEOUT_S)
    finally:
        management.close()


async def has_all(stage: Stage, total: int) -> None:
    async def probe() -> bool:
        made: int = await stage.sql.fetchval("SELECT count(*) FROM taskmill.task")
        return made == total

    await eventually(probe, f"{total} tasks", timeout_s=60)
