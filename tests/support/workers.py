"""Workers with the test's handlers, which run beside the test."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

from taskmill.domain.lifecycle import TERMINAL, Status
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.task import Task
from taskmill.observability.traces import Traces
from taskmill.operations.contracts import Contracts
from taskmill.operations.first_claims import FirstClaims
from taskmill.runtime.idle_backoff import IdleBackoff
from taskmill.runtime.ids import IdFactory
from taskmill.settings import TaskLogSettings
from taskmill.storage.database import Database
from taskmill.storage.leases import WorkerProfile
from taskmill.storage.notifier import NotificationListener
from taskmill.transports.postgres import PostgresTransport
from taskmill.transports.rabbitmq import RabbitTransport
from taskmill.worker.assembly import make_worker
from taskmill.worker.attempt_spans import AttemptSpans, recording_exceptions
from taskmill.worker.ends import EndPolicy
from taskmill.worker.handlers import EVERY_TYPE, Handler, Handlers
from taskmill.worker.lease import LeaseKeeper
from taskmill.worker.loop import Worker
from taskmill.worker.options import WorkerOptions as InnerOptions
from taskmill.worker.process_end import ProcessEnd
from tests.support.builders import AT_ONCE
from tests.support.polling import eventually
from tests.support.stage import Stage

AnyTransport: TypeAlias = PostgresTransport | RabbitTransport


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """Options of a test's worker; the lease is renewed every third of `ttl_s`.

    With a `broker_url` it uses hints, and with `is_strict` nothing else.
    """

    name: str = "worker"
    slots: int = 20
    claim_size: int = 20
    grace_s: float = 5.0
    timeout_s: float = 5.0
    ttl_s: float = 3.0
    poll_s: float = 0.05
    result_bytes: int = 1000
    policy: RetryPolicy = AT_ONCE
    takes_all: bool = False
    until_idle: bool = False
    database: Database | None = None
    queues: tuple[str, ...] = ()
    weights: Mapping[str, int] = field(default_factory=dict)
    broker_url: str | None = None
    is_strict: bool = False
    exclusive: tuple[str, ...] = ()
    end_process: Callable[[], None] = lambda: None
    traces: Traces | None = None
    lines: TaskLogSettings = field(default_factory=TaskLogSettings)


@dataclass(frozen=True, kw_only=True)
class RunningWorker:
    """A worker and its parts; `ended` is done when it has stopped."""

    transport: AnyTransport
    keeper: LeaseKeeper
    worker: Worker
    stop: asyncio.Event
    ended: asyncio.Task[None]

    async def has_lease(self) -> None:
        """Wait until it has a lease, and may claim."""

        async def probe() -> bool:
            return self.keeper.lease_id is not None

        await eventually(probe, "a lease")


@asynccontextmanager
async def a_worker(
    stage: Stage, handlers: Mapping[str, Handler], options: WorkerOptions | None = None
) -> AsyncIterator[RunningWorker]:
    """Run a worker until the block ends, then stop it gracefully."""
    options = options or WorkerOptions()
    if options.traces is not None:
        handlers = {kind: recording_exceptions(handler) for kind, handler in handlers.items()}
    made = _made(stage, Handlers(handlers, exclusive=options.exclusive), options)
    transport, keeper, worker, database = made
    stop, closing = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(NotificationListener(database, transport.on_notification).run(closing))
        if isinstance(transport, RabbitTransport):
            group.create_task(transport.run(closing))
        ended = group.create_task(worker.run(stop))
        try:
            yield RunningWorker(
                transport=transport, keeper=keeper, worker=worker, stop=stop, ended=ended
            )
        finally:
            stop.set()
            await asyncio.wait([ended])
            closing.set()


def _made(
    stage: Stage, handlers: Handlers, options: WorkerOptions
) -> tuple[AnyTransport, LeaseKeeper, Worker, Database]:
    database = options.database or stage.database
    transport: AnyTransport = a_transport(stage, handlers, options)
    if options.broker_url is not None:
        transport = a_hinted_transport(stage, handlers, options, options.broker_url)
    card = WorkerProfile(
        name=options.name,
        queues=options.queues,
        types=list(handlers.types),
        slots=options.slots,
    )
    keeper = LeaseKeeper(
        database,
        card,
        ttl_s=options.ttl_s,
        ids=IdFactory(stage.clock, random.Random()),  # noqa: S311 - no secret
        clock=stage.clock,
    )
    worker = make_worker(
        database,
        InnerOptions(
            name=options.name,
            slots=options.slots,
            claim_size=options.claim_size,
            grace_s=options.grace_s,
            stop_timeout_s=options.timeout_s,
            result_bytes=options.result_bytes,
            until_idle=options.until_idle,
        ),
        transport=transport,
        keeper=keeper,
        handlers=handlers,
        policy=EndPolicy(options.policy, random.Random(1)),  # noqa: S311 - no secret
        first_claims=FirstClaims(Contracts(database), stage.clock),
        lines=options.lines,
        clock=stage.clock,
        process_end=ProcessEnd(options.end_process),
        spans=AttemptSpans(options.traces, worker=options.name) if options.traces else None,
    )
    return transport, keeper, worker, database


def a_transport(
    stage: Stage,
    handlers: Handlers,
    options: WorkerOptions,
    *,
    queues: tuple[str, ...] = (),
    idle_backoff: IdleBackoff | None = None,
) -> PostgresTransport:
    """A transport that a test can also drive without a worker."""
    return PostgresTransport(
        options.database or stage.database,
        worker=options.name,
        queues={**dict.fromkeys(queues or options.queues, 1), **options.weights},
        types=None if options.takes_all or EVERY_TYPE in handlers.types else handlers.types,
        poll_s=options.poll_s,
        clock=stage.clock,
        randomness=random.Random(1),  # noqa: S311 - no secret
        idle_backoff=idle_backoff,
    )


def a_hinted_transport(
    stage: Stage, handlers: Handlers, options: WorkerOptions, broker_url: str
) -> RabbitTransport:
    """A transport that uses hints; it is connected while its `run` runs."""
    return RabbitTransport(
        a_transport(stage, handlers, options),
        broker_url=broker_url,
        worker=options.name,
        queues={*options.queues, *options.weights},
        types=() if EVERY_TYPE in handlers.types else handlers.types,
        is_strict=options.is_strict,
        clock=stage.clock,
        hint_queues="classic",
    )


async def finished(stage: Stage, task_id: UUID) -> Task:
    """The task once it is terminal."""

    async def probe() -> Task | None:
        task = await stage.task(task_id)
        return task if task.status in TERMINAL else None

    task = await eventually(probe, "a finished task")
    assert task is not None
    return task


async def in_status(stage: Stage, task_id: UUID, status: Status) -> Task:
    """The task once it has that status."""

    async def probe() -> Task | None:
        task = await stage.task(task_id)
        return task if task.status is status else None

    task = await eventually(probe, f"a task that is {status}")
    assert task is not None
    return task
