"""Ways from a waiting task to a worker: relays beside the test, and workers that go by a transport."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from taskmill.amqp.connection import BrokerLink
from taskmill.amqp.depths import look
from taskmill.amqp.publisher import Publisher
from taskmill.amqp.topology import HintQueueType, declare_hints, encode_hint, hint_queue_name
from taskmill.app import Context
from taskmill.domain.errors import BrokerAway
from taskmill.domain.lifecycle import TERMINAL
from taskmill.relay.release import Relay
from taskmill.storage.database import Database
from taskmill.storage.notifier import NotificationListener
from taskmill.worker.handlers import Handler
from tests.support.links import an_open_link
from tests.support.polling import eventually
from tests.support.stage import Stage
from tests.support.workers import RunningWorker, WorkerOptions, a_worker

Payload = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Way:
    """A transport under test, with all that it needs beside the worker."""

    name: str
    stage: Stage
    broker_url: str | None = None

    def worker(
        self, handlers: Mapping[str, Handler], options: WorkerOptions | None = None
    ) -> AbstractAsyncContextManager[RunningWorker]:
        """Run a worker that goes by the transport alone."""
        chosen = replace(options or WorkerOptions(), broker_url=self.broker_url, is_strict=True)
        return a_worker(self.stage, handlers, chosen)


@asynccontextmanager
async def a_doorbell(stage: Stage) -> AsyncIterator[None]:
    """Let those who listen hear of the stage's new tasks, as the API does."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.creation._notifier.run(stop))
        try:
            yield
        finally:
            stop.set()


@asynccontextmanager
async def a_relay(
    stage: Stage,
    broker_url: str,
    database: Database | None = None,
    *,
    hint_queues: HintQueueType = "classic",
) -> AsyncIterator[Relay]:
    """Run a relay until the block is left."""
    used = database or stage.database
    relay = Relay(used, broker_url=broker_url, clock=stage.clock, hint_queues=hint_queues)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(NotificationListener(used, relay.wake).run(stop))
        group.create_task(relay.run(stop))
        try:
            yield relay
        finally:
            stop.set()


@dataclass(kw_only=True)
class Recorder:
    """Handlers that note what they ran, and how much of it at once."""

    begun: list[UUID] = field(default_factory=list)
    running: int = 0
    most_at_once: int = 0
    blocker: asyncio.Event = field(default_factory=asyncio.Event)

    async def quick(self, context: Context) -> None:
        """End after a moment in which others may begin."""
        self._begin(context)
        await asyncio.sleep(0)
        self.running -= 1

    async def until_opened(self, context: Context) -> None:
        """End when the test opens the blocker."""
        self._begin(context)
        try:
            await self.blocker.wait()
        finally:
            self.running -= 1

    def _begin(self, context: Context) -> None:
        self.begun.append(context.task.id)
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)

    @property
    def runs(self) -> Counter[UUID]:
        """How often each task began."""
        return Counter(self.begun)

    async def has_begun(self, count: int, *, timeout_s: float = 15) -> None:
        """Wait until so many attempts have begun."""

        async def look() -> bool:
            return len(self.begun) >= count

        await eventually(look, f"{count} attempts to begin", timeout_s=timeout_s)


async def all_ended(stage: Stage, *, timeout_s: float = 15) -> None:
    """Wait until every task is terminal."""

    async def look() -> bool:
        left: int = await stage.sql.fetchval(
            "SELECT count(*) FROM taskmill.task WHERE status <> ALL($1)", list(TERMINAL)
        )
        return left == 0

    await eventually(look, "all tasks to end", timeout_s=timeout_s)


async def released(stage: Stage) -> int:
    """How many waiting tasks have a mark."""
    marked: int = await stage.sql.fetchval(
        "SELECT count(*) FROM taskmill.dispatch WHERE released_at IS NOT NULL"
    )
    return marked


async def is_released(stage: Stage, count: int) -> None:
    """Wait until so many waiting tasks have a mark."""

    async def look() -> bool:
        return await released(stage) == count

    await eventually(look, f"{count} tasks to be released")


class Hinter:
    """Publishes hints by hand, good ones and bad ones."""

    def __init__(self, link: BrokerLink, broker_url: str) -> None:
        self._link = link
        self._url = broker_url
        self._publisher = Publisher(link)

    async def send(
        self, told: bytes | Sequence[UUID], *, queue: str = "default", task_type: str = "emulate"
    ) -> None:
        """Publish a hint of these tasks, or any body; returns when the broker has it."""
        name = hint_queue_name(queue, task_type)
        await declare_hints(self._link, name)
        body = told if isinstance(told, bytes) else encode_hint(told)

        async def is_sent() -> bool:
            try:
                await self._publisher.publish(body, routing_key=name)
            except BrokerAway:  # it may refuse the first message for a queue that it has just made
                return False
            return True

        await eventually(is_sent, "the broker to take a hint")

    async def left(self, *, queue: str = "default", task_type: str = "emulate") -> int:
        """Count the hints that nobody has acknowledged, once nobody consumes."""

        left = 0

        async def nobody_consumes() -> bool:
            nonlocal left
            [depth] = await look(self._url, [hint_queue_name(queue, task_type)])
            left = depth.messages
            return depth.consumers == 0

        await eventually(nobody_consumes, "nobody to consume")
        return left


@asynccontextmanager
async def a_hinter(broker_url: str) -> AsyncIterator[Hinter]:
    """Give what publishes hints."""
    async with an_open_link(broker_url) as link:
        yield Hinter(link, broker_url)
