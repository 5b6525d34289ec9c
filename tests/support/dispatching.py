"""Transports under test: relays that run beside the test, and workers that use one transport alone."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from taskmill.amqp.connection import BrokerLink
from taskmill.amqp.depths import read_depths
from taskmill.amqp.names import HINTS, hint_key, hint_queue_name
from taskmill.amqp.publisher import Publisher
from taskmill.amqp.topology import declare_exchange
from taskmill.app import Context
from taskmill.domain.errors import BrokerAway, Unroutable
from taskmill.domain.lifecycle import TERMINAL
from taskmill.domain.task import Task
from taskmill.relay.hinting import HintSender
from taskmill.storage.database import Database
from taskmill.storage.notifier import NotificationListener
from taskmill.wire.hints import Hint, encode_hint
from taskmill.worker.handlers import Handler
from tests.support.links import an_open_link
from tests.support.polling import eventually
from tests.support.stage import Stage
from tests.support.workers import RunningWorker, WorkerOptions, a_worker

Payload = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TransportSetup:
    """A transport under test, with everything that it needs beside the worker."""

    name: str
    stage: Stage
    broker_url: str | None = None

    def worker(
        self, handlers: Mapping[str, Handler], options: WorkerOptions | None = None
    ) -> AbstractAsyncContextManager[RunningWorker]:
        """Run a worker that uses the transport alone."""
        chosen = replace(options or WorkerOptions(), broker_url=self.broker_url, is_strict=True)
        return a_worker(self.stage, handlers, chosen)


@asynccontextmanager
async def a_notifier(stage: Stage) -> AsyncIterator[None]:
    """Notify listeners of the stage's new tasks, as the API does."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.creation._notifier.run(stop))
        try:
            yield
        finally:
            stop.set()


@asynccontextmanager
async def a_relay(
    stage: Stage, broker_url: str, database: Database | None = None
) -> AsyncIterator[HintSender]:
    """Send hints until the block ends."""
    database = database or stage.database
    relay = HintSender(database, broker_url=broker_url, clock=stage.clock)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(NotificationListener(database, relay.on_notification).run(stop))
        group.create_task(relay.run(stop))
        try:
            yield relay
        finally:
            stop.set()


@dataclass(kw_only=True)
class Recorder:
    """Handlers that record what they ran, and how many attempts ran at once."""

    begun: list[UUID] = field(default_factory=list)
    running: int = 0
    most_at_once: int = 0
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def quick(self, context: Context) -> None:
        """End after one iteration of the event loop, in which others may begin."""
        self._begin(context)
        await asyncio.sleep(0)
        self.running -= 1

    async def held(self, context: Context) -> None:
        """End when the test sets `may_end`."""
        self._begin(context)
        try:
            await self.may_end.wait()
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
        """Wait until `count` attempts have begun."""

        async def probe() -> bool:
            return len(self.begun) >= count

        await eventually(probe, f"{count} attempts to begin", timeout_s=timeout_s)


async def all_ended(stage: Stage, *, timeout_s: float = 15) -> None:
    """Wait until every task is terminal."""

    async def probe() -> bool:
        remaining: int = await stage.sql.fetchval(
            "SELECT count(*) FROM taskmill.current_task WHERE status <> ALL($1)", list(TERMINAL)
        )
        return remaining == 0

    await eventually(probe, "all tasks to end", timeout_s=timeout_s)


EVERYTHING = hint_queue_name((), ())
"""The queue from which workers take hints that serve all queues and types."""


class Hinter:
    """Publishes hints by hand, valid and invalid ones."""

    def __init__(self, link: BrokerLink, broker_url: str) -> None:
        self._link = link
        self._url = broker_url
        self._publisher = Publisher(link)

    async def send(
        self, hint: bytes | Hint, *, queue: str = "default", task_type: str = "emulate"
    ) -> None:
        """Publish a hint, or any body; returns when the broker has put it into a queue."""
        body = hint if isinstance(hint, bytes) else encode_hint(hint)

        async def is_sent() -> bool:
            try:
                await self._publisher.publish(
                    body, exchange=HINTS, routing_key=hint_key(queue, task_type)
                )
            except (BrokerAway, Unroutable):  # as long as no worker has declared its queue
                return False
            return True

        await eventually(is_sent, "the broker to take a hint")

    async def unacknowledged(self, name: str = EVERYTHING) -> int:
        """Count the hints that were not acknowledged, once the queue has no consumer."""
        count = 0

        async def nobody_consumes() -> bool:
            nonlocal count
            [depth] = await read_depths(self._url, [name])
            count = depth.messages
            return depth.consumers == 0

        await eventually(nobody_consumes, "nobody to consume")
        return count


def hint_of(task: Task) -> Hint:
    """Return the hint that names this task's bucket."""
    return Hint(queue=task.queue, type=task.type, priority=task.priority, run_at=task.run_at)


@asynccontextmanager
async def a_hinter(broker_url: str) -> AsyncIterator[Hinter]:
    """A publisher of hints with an open link."""
    async with an_open_link(broker_url) as link:
        async with link.side_channel() as channel:
            await declare_exchange(channel, HINTS)
        yield Hinter(link, broker_url)
