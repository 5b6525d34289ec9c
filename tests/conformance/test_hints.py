"""Hints of every kind, published by hand: late, duplicate, invalid, endless. There is no relay here."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from pamqp.commands import Basic

from taskmill.amqp.names import hint_queue_name
from taskmill.amqp.topology import declare_hints
from taskmill.domain.lifecycle import Status
from tests.support.builders import a_draft
from tests.support.dispatching import (
    Hinter,
    Recorder,
    TransportSetup,
    a_hinter,
    a_notifier,
    all_ended,
)
from tests.support.hostile import NotUtf8, Unreadable
from tests.support.links import an_open_link
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.workers import WorkerOptions, finished


@pytest.fixture
async def hinted(stage: Stage, broker_url: str) -> AsyncIterator[TransportSetup]:
    """Workers that get only the hints that the test publishes."""
    async with a_notifier(stage):
        yield TransportSetup(name="rabbitmq", stage=stage, broker_url=broker_url)


@pytest.fixture
async def hinter(broker_url: str) -> AsyncIterator[Hinter]:
    async with a_hinter(broker_url) as hinter:
        yield hinter


async def test_doubled_hints_cost_nothing(
    hinted: TransportSetup, hinter: Hinter, stage: Stage
) -> None:
    recorder = Recorder()
    made = [one.task.id for one in await stage.creation.create_all([a_draft()] * 20)]
    for _ in range(3):
        await hinter.send(made)
        for task_id in made:
            await hinter.send([task_id, task_id])
    second = WorkerOptions(name="second")
    async with (
        hinted.worker({"*": recorder.quick}),
        hinted.worker({"*": recorder.quick}, second),
    ):
        await all_ended(stage)
        await hinter.send(made)
    # A single worker has passed all other hints when it runs the last task.
    async with hinted.worker({"*": recorder.quick}):
        await finished(stage, await one_more(hinter, stage))
    assert set(recorder.runs.values()) == {1}
    assert await hinter.unacknowledged() == 0
    assert {(await stage.task(task_id)).claim_no for task_id in made} == {1}
    await assert_safe(stage.sql)


async def one_more(hinter: Hinter, stage: Stage) -> UUID:
    """Create a task and publish a hint for it."""
    made = await stage.created()
    await hinter.send([made.id])
    return made.id


async def test_a_hint_of_unknown_and_finished_tasks_is_discarded(
    hinted: TransportSetup, hinter: Hinter, stage: Stage
) -> None:
    recorder = Recorder()
    async with hinted.worker({"*": recorder.quick}):
        made = await stage.created()
        await hinter.send([stage.ids(), made.id, stage.ids()])
        await finished(stage, made.id)
        for _ in range(20):
            await hinter.send([stage.ids(), made.id])
        last = await stage.created()
        await hinter.send([last.id])
        await finished(stage, last.id)
    assert list(recorder.runs) == [made.id, last.id]
    assert await hinter.unacknowledged() == 0
    await assert_safe(stage.sql)


@pytest.mark.parametrize("slots", [1, 2, 3])
async def test_what_exceeds_the_slots_is_claimed_as_they_free_up_and_before_the_next_hint(
    hinted: TransportSetup, hinter: Hinter, stage: Stage, slots: int
) -> None:
    recorder = Recorder()
    made = [one.task.id for one in await stage.creation.create_all([a_draft()] * 110)]
    await hinter.send(made[10:])
    await hinter.send(made[:10])
    async with hinted.worker({"*": recorder.quick}, WorkerOptions(slots=slots)):
        await all_ended(stage)
    assert recorder.most_at_once == slots
    # The last ones of a hint may be claimed together with the first of the next.
    assert set(recorder.begun[: 101 - slots]) <= set(made[10:])
    assert set(recorder.begun[99 + slots :]) <= set(made[:10])
    assert len(recorder.begun) == 110


_POISON = {
    "empty": b"",
    "no JSON": b"hello",
    "bad UTF-8": b'["\xff\xfe"]',
    "no array": b'{"id": "x"}',
    "null": b"null",
    "no text": b"[1, 2, null]",
    "no id": b'["not-an-id"]',
    "no tasks": b"[]",
    "deep": b"[" * 100_000,
    "huge": b'["' + b"x" * 2_000_000 + b'"]',
    "endless": b"[" + b",".join([b'"01a210d6-0fb8-7000-bc58-f0fde15ef219"'] * 20_000) + b"]",
}


@pytest.mark.parametrize("body", list(_POISON.values()), ids=list(_POISON))
async def test_poison_messages_are_consumed_however_many_come(
    hinted: TransportSetup, hinter: Hinter, stage: Stage, body: bytes
) -> None:
    """There is more of it than the prefetch: unacknowledged, it would block the worker."""
    recorder = Recorder()
    made = await stage.created()
    async with hinted.worker({"*": recorder.quick}):
        for _ in range(40):
            await hinter.send(body)
        await hinter.send([made.id])
        await finished(stage, made.id)
    assert await hinter.unacknowledged() == 0


async def test_what_the_driver_can_not_read_stops_no_worker(
    hinted: TransportSetup, hinter: Hinter, stage: Stage, broker_url: str
) -> None:
    recorder = Recorder()
    made = await stage.created()
    name = hint_queue_name("default", "emulate")
    async with (
        hinted.worker({"*": recorder.quick}),
        an_open_link(broker_url) as link,
        link.side_channel() as channel,
    ):
        await declare_hints(link, name)
        # A broker that is busy may refuse the first message for a queue that it has just made.
        await hinter.send([stage.ids()])
        driver = await channel.get_underlay_channel()
        unreadable = Unreadable("message_id", b"\x03\xff\xfe\xfd")
        await driver.basic_publish(b"[]", routing_key=name, properties=unreadable)
        carbon_copy = Basic.Properties(headers={"CC": [name]})
        await driver.basic_publish(b"[]", routing_key=NotUtf8("?"), properties=carbon_copy)
        await hinter.send([made.id])
        # The bad hints expire after ten seconds in any case.
        async with asyncio.timeout(5):
            await finished(stage, made.id)
    assert await hinter.unacknowledged() == 0


async def test_an_early_hint_claims_nothing(
    hinted: TransportSetup, hinter: Hinter, stage: Stage
) -> None:
    recorder = Recorder()
    early, due = await stage.created(delay=timedelta(hours=1)), await stage.created()
    async with hinted.worker({"*": recorder.quick}):
        await hinter.send([early.id])
        await hinter.send([due.id])
        await finished(stage, due.id)
    assert list(recorder.runs) == [due.id]
    assert (await stage.task(early.id)).status is Status.NEW


async def test_an_expired_task_is_not_claimed(
    hinted: TransportSetup, hinter: Hinter, stage: Stage
) -> None:
    recorder = Recorder()
    over = await stage.created(expires_at=stage.clock.now() - timedelta(seconds=1))
    due = await stage.created()
    async with hinted.worker({"*": recorder.quick}):
        await hinter.send([over.id, due.id])
        await finished(stage, due.id)
    assert list(recorder.runs) == [due.id]


async def test_a_hint_in_the_wrong_queue_claims_nothing_that_the_worker_does_not_serve(
    hinted: TransportSetup, hinter: Hinter, stage: Stage
) -> None:
    recorder = Recorder()
    alien = await stage.created(type="strange")
    elsewhere = await stage.created(queue="other", type="known")
    due = await stage.created(type="known")
    options = WorkerOptions(queues=("default",))
    async with hinted.worker({"known": recorder.quick}, options):
        await hinter.send([alien.id, elsewhere.id], task_type="known")
        await hinter.send([due.id], task_type="known")
        await finished(stage, due.id)
    assert list(recorder.runs) == [due.id]
    assert (await stage.task(alien.id)).claim_no == (await stage.task(elsewhere.id)).claim_no == 0


async def test_a_hint_of_a_paused_queue_claims_nothing(
    hinted: TransportSetup, hinter: Hinter, stage: Stage
) -> None:
    recorder = Recorder()
    first = await stage.created(queue="a")
    async with hinted.worker({"*": recorder.quick}):
        await hinter.send([first.id], queue="a")
        await finished(stage, first.id)
        held, due = await stage.created(queue="a"), await stage.created(queue="b")
        await stage.service.set_queue_paused("a", paused=True)
        await hinter.send([held.id], queue="a")
        await hinter.send([due.id], queue="b")
        await finished(stage, due.id)
        # On the same consumer, so it arrives after the first.
        await hinter.send([due.id], queue="a")
        again = await stage.created(queue="b")
        await hinter.send([again.id], queue="b")
        await finished(stage, again.id)
        assert list(recorder.runs) == [first.id, due.id, again.id]
        await stage.service.set_queue_paused("a", paused=False)
        await hinter.send([held.id], queue="a")
        await finished(stage, held.id)
