"""Puts workers together: transport, lease, handlers."""

import asyncio
import random
from collections.abc import Callable, Sequence

from taskmill.composition.declared_schedules import ScheduleRegistration, schedule_registration
from taskmill.composition.handlers import Pool, built_in_pool, pools
from taskmill.composition.process_context import ProcessContext
from taskmill.composition.registration import Registration
from taskmill.domain.errors import Unavailable
from taskmill.observability.logs import get_logger
from taskmill.runtime.idle_backoff import IdleBackoff
from taskmill.runtime.ids import IdFactory
from taskmill.runtime.periodic import pause
from taskmill.runtime.services import Service
from taskmill.runtime.waiting import wake_on
from taskmill.storage.draining import drain_lock
from taskmill.storage.leases import WorkerProfile
from taskmill.transports.base import Transport
from taskmill.transports.postgres import PostgresTransport
from taskmill.worker.assembly import make_worker
from taskmill.worker.attempt_spans import AttemptSpans
from taskmill.worker.ends import EndPolicy
from taskmill.worker.handlers import EVERY_TYPE, Handlers
from taskmill.worker.lease import LeaseKeeper
from taskmill.worker.loop import Worker
from taskmill.worker.options import WorkerOptions
from taskmill.worker.process_end import ProcessEnd
from taskmill.worker.stalls import StallWatch

log = get_logger(__name__)

_DRAIN_AGAIN_S = 1.0


def worker_services(context: ProcessContext, end_process: Callable[[], None]) -> list[Service]:
    """Return the services of the worker role: a worker for each way in which handlers run.

    `end_process` is called when an operator asks one of them to stop.
    """
    services: list[Service] = []
    found = pools(context)
    transports = []
    for pool in found:
        transport, beside = _transport(context, pool)
        transports.append(transport)
        services += [*pool.beside, *beside]

    context.on_work += [transport.on_notification for transport in transports]
    end = ProcessEnd(end_process)
    workers = [
        _worker(context, pool, transport, end)
        for pool, transport in zip(found, transports, strict=True)
    ]
    contracts = [contract for pool in found for contract in pool.contracts]
    registration = Registration(context.database, context.settings.worker.name, contracts)
    schedules = schedule_registration(context, context.app)
    watch = StallWatch(
        context.clock,
        [worker.pool for worker in workers],
        longest_s=context.settings.worker.blocked_s,
    )
    return [watch, *services, _WorkerGroup(workers, registration, schedules)]


class _WorkerGroup:
    """The workers of one process: they stop together, not one after the other."""

    name = "worker"

    def __init__(
        self,
        workers: Sequence[Worker],
        registration: Registration,
        schedules: ScheduleRegistration | None,
    ) -> None:
        self._workers = workers
        self._registration = registration
        self._schedules = schedules

    async def run(self, stop: asyncio.Event) -> None:
        """Register their contracts, then run all of them until stopped; register their schedules meanwhile."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._registration.register_until(stop))
            await self._registration.wait()
            if self._schedules is not None:
                group.create_task(self._schedules.register_until(stop))
            for worker in self._workers:
                group.create_task(worker.run(stop))


def _transport(context: ProcessContext, pool: Pool) -> tuple[Transport, list[Service]]:
    """Return how a pool gets tasks, and the services for that."""
    direct = _direct(context, pool.name, pool.handlers, context.idle_backoff)
    if not context.settings.uses_broker:
        return direct, []
    # Imported here: the driver takes 0.1 s, and is not needed without a broker.
    from taskmill.transports.rabbitmq import RabbitTransport  # noqa: PLC0415

    types = pool.handlers.types
    hinted = RabbitTransport(
        direct,
        broker_url=context.settings.require_broker_url(),
        worker=pool.name,
        queues=context.settings.worker.queues,
        types=() if EVERY_TYPE in types else types,
        is_strict=context.settings.broker == "rabbitmq",
        clock=context.clock,
        hint_queues=context.settings.hint_queue_type,
    )
    return hinted, [hinted]


def _direct(
    context: ProcessContext, name: str, handlers: Handlers, idle_backoff: IdleBackoff | None = None
) -> PostgresTransport:
    return PostgresTransport(
        context.database,
        worker=name,
        queues=context.settings.worker.queues,
        types=None if EVERY_TYPE in handlers.types else handlers.types,
        poll_s=context.settings.worker.poll_s,
        clock=context.clock,
        randomness=context.randomness,
        idle_backoff=idle_backoff,
    )


def _worker(
    context: ProcessContext,
    pool: Pool,
    transport: Transport,
    end_process: ProcessEnd,
    *,
    until_idle: bool = False,
) -> Worker:
    settings = context.settings
    options = WorkerOptions(
        name=pool.name,
        slots=pool.slots,
        claim_size=settings.worker.claim_size,
        grace_s=settings.worker.grace_s,
        stop_timeout_s=settings.worker.stop_timeout_s,
        result_bytes=settings.limits.result_bytes,
        until_idle=until_idle,
    )
    return make_worker(
        context.database,
        options,
        transport=transport,
        keeper=_lease_keeper(context, pool),
        handlers=pool.handlers,
        policy=EndPolicy(context.retry_policy, context.randomness),
        first_claims=context.first_claims,
        lines=context.settings.task_log,
        clock=context.clock,
        process_end=end_process,
        spans=None if context.traces is None else AttemptSpans(context.traces, worker=pool.name),
        unwritten=context.unwritten.extend,
    )


def _lease_keeper(context: ProcessContext, pool: Pool) -> LeaseKeeper:
    card = WorkerProfile(
        name=pool.name,
        queues=context.settings.worker.queues,
        types=list(pool.handlers.types),
        slots=pool.slots,
    )
    return LeaseKeeper(
        context.database,
        card,
        ttl_s=context.settings.lease.ttl_s,
        ids=IdFactory(context.clock, random.Random()),  # noqa: S311 - for its thread alone
        clock=context.clock,
    )


class Drainer:
    """Starts a worker for waiting tasks when the earlier service's endpoint is called; one at a time overall."""

    name = "drainer"

    def __init__(self, context: ProcessContext) -> None:
        self._context = context
        self._requested = asyncio.Event()

    def drain(self) -> None:
        """Start a worker soon, unless one still runs."""
        self._requested.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Run one worker after the other, as requested."""
        async with wake_on(stop, self._requested.set):
            while not stop.is_set():
                await self._requested.wait()
                self._requested.clear()
                while not (stop.is_set() or await self._has_drained(stop)):
                    await pause(stop, _DRAIN_AGAIN_S)

    async def _has_drained(self, stop: asyncio.Event) -> bool:
        """Run a worker; False when another process has one now, or the database is away."""
        try:
            async with drain_lock(self._context.database) as is_ours:
                if is_ours:
                    await self._worker().run(stop)
                return is_ours
        except Unavailable as error:
            log.warning("drain.delayed", error=repr(error.__cause__ or error))
            return False

    def _worker(self) -> Worker:
        """Return a worker that claims from PostgreSQL whatever the broker policy, and ends when nothing is due."""
        context = self._context
        pool = built_in_pool(context, f"{context.settings.worker.name}-drain")
        direct = _direct(context, pool.name, pool.handlers)
        # Its process goes on: when asked to stop, it claims no more, and so ends.
        return _worker(context, pool, direct, ProcessEnd(lambda: None), until_idle=True)
