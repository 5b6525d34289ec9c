"""Brokers that go away, cancel, close or lose data: tasks go on, and afterwards workers use hints again."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from taskmill.domain.lifecycle import Status
from taskmill.transports import hint_consumer, rabbitmq
from taskmill.transports.hint_consumer import HintConsumer
from taskmill.transports.rabbitmq import RabbitTransport
from tests.support.api import LogLines
from tests.support.builders import a_draft
from tests.support.dispatching import (
    EVERYTHING,
    Recorder,
    TransportSetup,
    a_notifier,
    a_relay,
    all_ended,
)
from tests.support.polling import eventually
from tests.support.rabbitmq import BrokerServer, Management
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.workers import RunningWorker, WorkerOptions, a_worker, finished


@pytest.fixture
async def transport(stage: Stage, broker_url: str) -> AsyncIterator[TransportSetup]:
    """Workers that use hints alone, and a relay."""
    async with a_notifier(stage), a_relay(stage, broker_url):
        yield TransportSetup(name="rabbitmq", stage=stage, broker_url=broker_url)


def consumer_of(worker: RunningWorker) -> HintConsumer:
    assert isinstance(worker.transport, RabbitTransport)
    return worker.transport.consumer


async def is_consuming(worker: RunningWorker) -> None:
    async def probe() -> bool:
        return consumer_of(worker).is_consuming

    await eventually(probe, "a consumer")


async def one_succeeds(stage: Stage, *, within_s: float, queue: str = "default") -> None:
    """Create a task, and check how long it waits for its claim."""
    made = await stage.created(queue=queue)
    await finished(stage, made.id)
    [claimed] = [
        e for e in await stage.service.reading.events(made.id) if e.event_type == "claimed"
    ]
    waited_s = (claimed.at - made.created_at).total_seconds()
    assert waited_s < within_s


async def test_a_consumer_that_the_server_cancelled_comes_back(
    transport: TransportSetup, stage: Stage, broker_management: Management
) -> None:
    recorder = Recorder()
    async with transport.worker({"*": recorder.quick}) as worker:
        await one_succeeds(stage, within_s=5)
        for _ in range(3):
            await asyncio.to_thread(broker_management.delete_queue, EVERYTHING)
            await one_succeeds(stage, within_s=8)
            await is_consuming(worker)
    assert len(recorder.runs) == 4
    await assert_safe(stage.sql)


async def test_a_channel_that_the_server_closed_comes_back(
    transport: TransportSetup, stage: Stage
) -> None:
    recorder = Recorder()
    async with transport.worker({"*": recorder.quick}) as worker:
        await one_succeeds(stage, within_s=5)
        link = consumer_of(worker).link
        driver = link.driver
        assert driver is not None
        await driver.basic_ack(123_456)
        await one_succeeds(stage, within_s=8)
        assert link.driver is not driver
    assert len(recorder.runs) == 2


async def test_connections_closed_under_load_come_back_and_nothing_is_lost_or_doubled(
    transport: TransportSetup, stage: Stage, broker_management: Management
) -> None:
    recorder = Recorder()
    first, second = WorkerOptions(name="a"), WorkerOptions(name="b")
    handlers = {"*": recorder.quick}

    async def has_closed_all() -> bool:
        # The management API shows a connection only some seconds after it was made.
        await stage.creation.create_all([a_draft() for _ in range(50)])
        return await asyncio.to_thread(broker_management.close_connections) >= 3

    async with transport.worker(handlers, first) as a, transport.worker(handlers, second) as b:
        await eventually(has_closed_all, "the relay's and the workers' connections to be closed")
        await all_ended(stage, timeout_s=15)
        for worker in (a, b):
            await is_consuming(worker)
    assert set(recorder.runs.values()) == {1}
    await assert_safe(stage.sql)


async def test_a_queue_that_the_broker_refuses_holds_up_no_task(
    stage: Stage,
    broker_url: str,
    broker_management: Management,
    log_lines: LogLines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker is woken by notifications until it may have its queue."""
    monkeypatch.setattr(hint_consumer, "_DECLARE_S", 0.5)
    recorder = Recorder()
    await asyncio.to_thread(broker_management.allow, but=EVERYTHING)
    options = WorkerOptions(broker_url=broker_url)
    async with (
        a_notifier(stage),
        a_relay(stage, broker_url),
        a_worker(stage, {"*": recorder.quick}, options) as worker,
    ):

        async def is_refused() -> bool:
            return bool(log_lines.named("hints.refused"))

        await eventually(is_refused, "the broker to refuse the queue")
        for _ in range(20):
            await one_succeeds(stage, within_s=0.5)
        assert not consumer_of(worker).is_consuming
        assert not log_lines.named("subscription.failed"), "the link was reopened"
        assert len(log_lines.named("hints.refused")) == 1
        await asyncio.to_thread(broker_management.allow)
        await is_consuming(worker)
        await one_succeeds(stage, within_s=2)
    assert set(recorder.runs.values()) == {1}
    await assert_safe(stage.sql)


async def test_without_any_relay_workers_claim_from_the_database_and_log_it_once(
    stage: Stage, broker_url: str, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbitmq, "_TIMEOUT_S", 1.0)
    recorder = Recorder()
    options = WorkerOptions(broker_url=broker_url)
    async with a_notifier(stage), a_worker(stage, {"*": recorder.quick}, options) as worker:
        await is_consuming(worker)

        async def is_logged() -> bool:
            await one_succeeds(stage, within_s=1)
            return bool(log_lines.named("hints.missing"))

        await eventually(is_logged, "missing hints to be logged")
        for _ in range(5):
            await one_succeeds(stage, within_s=1)
        assert len(log_lines.named("hints.missing")) == 1
        async with a_relay(stage, broker_url):

            async def gets_hints_again() -> bool:
                await stage.creation.create_all([a_draft() for _ in range(30)])
                await all_ended(stage)
                return bool(log_lines.named("hints.resumed"))

            await eventually(gets_hints_again, "the worker to get hints again")
    assert set(recorder.runs.values()) == {1}
    await assert_safe(stage.sql)


async def test_a_strict_worker_waits_for_hints_whatever_happens(
    stage: Stage, broker_url: str
) -> None:
    recorder = Recorder()
    options = WorkerOptions(broker_url=broker_url, is_strict=True)
    direct = WorkerOptions(name="direct", queues=("other",))
    handlers = {"*": recorder.quick}
    async with a_worker(stage, handlers, options) as strict, a_worker(stage, handlers, direct):
        made = await stage.created()
        await is_consuming(strict)

        async def has_waited() -> bool:
            other = await stage.created(queue="other")
            await finished(stage, other.id)
            waited: bool = await stage.sql.fetchval(
                "SELECT now() - created_at > interval '4.5 s' FROM taskmill.task WHERE id = $1",
                made.id,
            )
            return waited

        await eventually(has_waited, "longer than the timeout of others")
        assert (await stage.task(made.id)).status is Status.NEW
        async with a_relay(stage, broker_url):
            await finished(stage, made.id)


async def test_tasks_run_without_a_broker_that_died_and_use_it_again_afterwards(
    stage: Stage, private_broker: BrokerServer, log_lines: LogLines
) -> None:
    recorder, strict = Recorder(), Recorder()
    url = private_broker.url
    auto = WorkerOptions(name="auto", broker_url=url, queues=("default",))
    waiting = WorkerOptions(name="strict", broker_url=url, queues=("strict",), is_strict=True)
    async with (
        a_notifier(stage),
        a_relay(stage, url),
        a_worker(stage, {"*": recorder.quick}, auto) as worker,
        a_worker(stage, {"*": strict.quick}, waiting),
    ):
        await is_consuming(worker)
        await one_succeeds(stage, within_s=10)
        first = await stage.created(queue="strict")
        await finished(stage, first.id)
        await asyncio.to_thread(private_broker.kill)
        held = await stage.created(queue="strict")
        for _ in range(5):
            await one_succeeds(stage, within_s=2)
        assert (await stage.task(held.id)).status is Status.NEW
        private_broker.spawn()
        await asyncio.to_thread(private_broker.wait)
        await is_consuming(worker)
        await finished(stage, held.id)
        await one_succeeds(stage, within_s=2)
        away = log_lines.named("broker.away")
    warned = [line["link"] for line in away if line["level"] == "warning"]
    connected = [line["link"] for line in log_lines.named("broker.connected")]
    # A broker that is starting may drop early connections once more: then that is logged, too.
    assert Counter(["relay", "worker", "worker"]) <= Counter(warned) <= Counter(connected)
    assert set(recorder.runs.values()) == set(strict.runs.values()) == {1}
    await assert_safe(stage.sql)


async def test_a_wiped_broker_costs_moments(stage: Stage, private_broker: BrokerServer) -> None:
    """All its queues are lost, with all hints."""
    recorder = Recorder()
    url = private_broker.url
    options = WorkerOptions(slots=5, broker_url=url, is_strict=True)
    async with (
        a_notifier(stage),
        a_relay(stage, url),
        a_worker(stage, {"*": recorder.held}, options),
    ):
        await stage.creation.create_all([a_draft() for _ in range(300)])
        await recorder.has_begun(5)
        await asyncio.to_thread(private_broker.wipe)
        recorder.may_end.set()
        private_broker.spawn()
        await asyncio.to_thread(private_broker.wait)
        await all_ended(stage, timeout_s=8)
    assert set(recorder.runs.values()) == {1}
    await assert_safe(stage.sql)


@pytest.mark.parametrize("queue", ["default", "one_that_nobody_has_subscribed_to"])
async def test_a_frozen_broker_is_disconnected_and_tasks_go_on(
    queue: str, stage: Stage, private_broker: BrokerServer
) -> None:
    recorder = Recorder()
    url = private_broker.url
    options = WorkerOptions(broker_url=url)
    async with (
        a_notifier(stage),
        a_relay(stage, url),
        a_worker(stage, {"*": recorder.quick}, options) as worker,
    ):
        await is_consuming(worker)
        await one_succeeds(stage, within_s=10)
        private_broker.freeze()
        try:
            await one_succeeds(stage, within_s=10, queue=queue)
        finally:
            private_broker.thaw()
        await is_consuming(worker)
        await one_succeeds(stage, within_s=5)
    assert set(recorder.runs.values()) == {1}
