"""Hints of every kind, published by hand: late, duplicate, forged, invalid. There is no relay here."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pamqp.commands import Basic

from taskmill.amqp.names import HINTS, hint_key
from taskmill.domain.lifecycle import Status
from taskmill.wire.hints import Hint
from tests.support.builders import a_draft
from tests.support.dispatching import (
    Hinter,
    Recorder,
    TransportSetup,
    a_hinter,
    a_notifier,
    all_ended,
    hint_of,
)
from tests.support.hostile import NotUtf8, Unreadable
from tests.support.links import an_open_link
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.workers import WorkerOptions, finished

SEVERAL = Hint(queue="default", type="emulate")


@pytest.fixture
async def hinted(stage: Stage, broker_url: str) -> AsyncIterator[TransportSetup]:
    """Workers that get only the hints that the test publishes."""
    async with a_notifier(stage):
        yield TransportSetup(name="rabbitmq", stage=stage, broker_url=broker_url)


@pytest.fixture
async def hinter(broker_url: str) -> AsyncIterator[Hinter]:
    async with a_hinter(broker_url) as hinter:
        yield hinter


async def test_one_hint_has_all_due_tasks_claimed(
    hinted: TransportSetup, hinter: Hinter, stage: Stage
) -> None:
    recorder = Recorder()
    await stage.creation.create_all([a_draft(priority=n % 10) for n in range(200)])
    async with hinted.worker({"*": recorder.quick}, WorkerOptions(slots=3)):
        await hinter.send(SEVERAL)
        await all_ended(stage)
    assert len(recorder.begun) == 200
    assert await hinter.unacknowledged() == 0
    await assert_safe(stage.sql)


async def test_a_hint_of_one_task_has_its_bucket_claimed_without_a_scan(
    hinted: TransportSetup, hinter: Hinter, stage: Stage
) -> None:
    recorder = Recorder()
    async with hinted.worker({"*": recorder.quick}) as worker:
        await worker.has_lease()
        made = await stage.created(priority=9)
        await hinter.send(hint_of(made))
        await finished(stage, made.id)
    assert list(recorder.runs) == [made.id]


async def test_doubled_hints_cost_nothing(
    hinted: TransportSetup, hinter: Hinter, stage: Stage
) -> None:
    recorder = Recorder()
    made = [one.task for one in await stage.creation.create_all([a_draft()] * 20)]
    second = WorkerOptions(name="second")
    async with (
        hinted.worker({"*": recorder.quick}),
        hinted.worker({"*": recorder.quick}, second),
    ):
        for task in made:
            await hinter.send(hint_of(task))
            await hinter.send(hint_of(task))
        await all_ended(stage)
        for _ in range(20):
            await hinter.send(hint_of(made[0]))
            await hinter.send(SEVERAL)
        last = await stage.created()
        await hinter.send(hint_of(last))
        await finished(stage, last.id)
    assert set(recorder.runs.values()) == {1}
    assert {(await stage.task(task.id)).claim_no for task in made} == {1}
    await assert_safe(stage.sql)


_POISON = {
    "empty": b"",
    "no JSON": b"hello",
    "bad UTF-8": b'["\xff\xfe", "emulate"]',
    "no array": b'{"queue": "default"}',
    "null": b"null",
    "no text": b"[1, 2]",
    "too short": b'["default"]',
    "no priority": b'["default", "emulate", "9", 0]',
    "no time": b'["default", "emulate", 4, 1e300]',
    "deep": b"[" * 100_000,
    "huge": b'["' + b"x" * 2_000_000 + b'"]',
}


@pytest.mark.parametrize("body", list(_POISON.values()), ids=list(_POISON))
async def test_poison_messages_are_consumed_however_many_come(
    hinted: TransportSetup, hinter: Hinter, stage: Stage, body: bytes
) -> None:
    """There is more of it than the prefetch: unacknowledged, it would block the worker."""
    recorder = Recorder()
    async with hinted.worker({"*": recorder.quick}):
        for _ in range(20):
            await hinter.send(body)
        made = await stage.created()
        await hinter.send(hint_of(made))
        await finished(stage, made.id)
    assert await hinter.unacknowledged() == 0


async def test_what_the_driver_can_not_read_stops_no_worker(
    hinted: TransportSetup, hinter: Hinter, stage: Stage, broker_url: str
) -> None:
    recorder = Recorder()
    async with (
        hinted.worker({"*": recorder.quick}),
        an_open_link(broker_url) as link,
        link.side_channel() as channel,
    ):
        # As soon as the worker has its queue.
        await hinter.send(SEVERAL)
        driver = await channel.get_underlay_channel()
        key = hint_key("default", "emulate")
        unreadable = Unreadable("message_id", b"\x03\xff\xfe\xfd")
        await driver.basic_publish(b"[]", exchange=HINTS, routing_key=key, properties=unreadable)
        carbon_copy = Basic.Properties(headers={"CC": [key]})
        await driver.basic_publish(
            b"[]", exchange=HINTS, routing_key=NotUtf8("?"), properties=carbon_copy
        )
        made = await stage.created()
        await hinter.send(hint_of(made))
        # The bad hints expire after ten seconds in any case.
        async with asyncio.timeout(5):
            await finished(stage, made.id)
    assert await hinter.unacknowledged() == 0


async def test_an_early_or_expired_task_is_not_claimed(
    hinted: TransportSetup, hinter: Hinter, stage: Stage
) -> None:
    recorder = Recorder()
    early = await stage.created(delay=timedelta(hours=1))
    over = await stage.created(expires_at=stage.clock.now() - timedelta(seconds=1))
    due = await stage.created()
    async with hinted.worker({"*": recorder.quick}):
        for task in (early, over, due):
            await hinter.send(hint_of(task))
        await finished(stage, due.id)
    assert list(recorder.runs) == [due.id]
    assert (await stage.task(early.id)).status is Status.NEW


async def test_a_hint_of_what_the_worker_does_not_serve_claims_nothing(
    hinted: TransportSetup, hinter: Hinter, stage: Stage
) -> None:
    """Such hints come when somebody forges them, and for other types of the same queue."""
    recorder = Recorder()
    alien = await stage.created(type="strange")
    elsewhere = await stage.created(queue="other", type="known")
    options = WorkerOptions(queues=("default",))
    async with hinted.worker({"known": recorder.quick}, options):
        for _ in range(10):
            await hinter.send(hint_of(alien), task_type="known")
            await hinter.send(hint_of(elsewhere), task_type="known")
        due = await stage.created(type="known")
        await hinter.send(hint_of(due), task_type="known")
        await finished(stage, due.id)
    assert list(recorder.runs) == [due.id]
    assert (await stage.task(alien.id)).claim_no == (await stage.task(elsewhere.id)).claim_no == 0


async def test_a_hint_of_a_paused_queue_claims_nothing(
    hinted: TransportSetup, hinter: Hinter, stage: Stage
) -> None:
    recorder = Recorder()
    held = await stage.created(queue="a")
    await stage.service.set_queue_paused("a", paused=True)
    async with hinted.worker({"*": recorder.quick}):
        await hinter.send(hint_of(held), queue="a")
        due = await stage.created(queue="b")
        await hinter.send(hint_of(due), queue="b")
        await finished(stage, due.id)
        assert list(recorder.runs) == [due.id]
        await stage.service.set_queue_paused("a", paused=False)
        await hinter.send(hint_of(held), queue="a")
        await finished(stage, held.id)
