"""Puts workers together: transport, lease, handlers."""

import asyncio
import random
from collections.abc import Callable, Sequence

from taskmill.composition.handlers import Pool, built_in_pool, pools
from taskmill.composition.process_context import ProcessContext
from taskmill.composition.registration import Registration
from taskmill.composition.retries import retry_policy
from taskmill.domain.errors import Unavailable
from taskmill.domain.task_log import LineLevel
from taskmill.observability.logs import get_logger
from taskmill.runtime.idle_backoff import IdleBackoff
from taskmill.runtime.ids import IdFactory
from taskmill.runtime.periodic import pause
from taskmill.runtime.services import Service
from taskmill.runtime.waiting import wake_on
from taskmill.storage.draining import drain_lock
from taskmill.storage.leases import WorkerCard
from taskmill.transports.base import Transport
from taskmill.transports.postgres import PostgresTransport
from taskmill.worker.assembly import make_worker
from taskmill.worker.ends import EndPolicy
from taskmill.worker.handlers import EVERY_TYPE, Handlers
from taskmill.worker.lease import LeaseKeeper
from taskmill.worker.loop import Worker
from taskmill.worker.options import WorkerOptions
from taskmill.worker.process_end import ProcessEnd
from taskmill.worker.stalls import StallWatch
from taskmill.worker.task_log import NOTHING, LineLimits
from taskmill.worker.traced import AttemptSpans

log = get_logger(__name__)

_DRAIN_AGAIN_S = 1.0


def worker_services(parts: ProcessContext, end_process: Callable[[], None]) -> list[Service]:
    """Return the services of the worker role: a worker for each way in which handlers run.

    `end_process` is called when an operator asks one of them to stop.
    """
    services: list[Service] = []
    found = pools(parts)
    transports = []
    for pool in found:
        transport, beside = _transport(parts, pool)
        transports.append(transport)
        services += [*pool.beside, *beside]

    parts.heard_work += [transport.wake for transport in transports]
    end = ProcessEnd(end_process)
    workers = [
        _worker(parts, pool, transport, end)
        for pool, transport in zip(found, transports, strict=True)
    ]
    contracts = [contract for pool in found for contract in pool.contracts]
    registration = Registration(parts.database, parts.settings.worker.name, contracts)
    watch = StallWatch(
        parts.clock,
        [worker.pool for worker in workers],
        longest_s=parts.settings.worker.blocked_s,
    )
    return [watch, *services, _Together(workers, registration)]


class _Together:
    """Workers of one process: they stop at the same time, not one after the other."""

    name = "worker"

    def __init__(self, workers: Sequence[Worker], registration: Registration) -> None:
        self._workers = workers
        self._registration = registration

    async def run(self, stop: asyncio.Event) -> None:
        """Register what they run, then run all of them until told to stop."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._registration.register_until(stop))
            await self._registration.wait()
            for worker in self._workers:
                group.create_task(worker.run(stop))


def _transport(parts: ProcessContext, pool: Pool) -> tuple[Transport, list[Service]]:
    """Return how a pool learns of tasks, and the services for that."""
    direct = _direct(parts, pool.name, pool.handlers, parts.idle_backoff)
    if not parts.settings.uses_broker:
        return direct, []
    # Here, because the driver takes 0.1 s to import, and who has no broker does without it.
    from taskmill.transports.rabbitmq import RabbitTransport  # noqa: PLC0415

    types = pool.handlers.types
    hinted = RabbitTransport(
        parts.database,
        broker_url=parts.settings.require_broker_url(),
        worker=pool.name,
        queues=parts.settings.worker.queues,
        types=None if EVERY_TYPE in types else types,
        fallback=direct if parts.settings.broker == "auto" else None,
        clock=parts.clock,
        hint_queues=parts.settings.hint_queue_type,
        idle_backoff=parts.idle_backoff,
    )
    return hinted, [hinted]


def _direct(
    parts: ProcessContext, name: str, handlers: Handlers, idle_backoff: IdleBackoff | None = None
) -> PostgresTransport:
    return PostgresTransport(
        parts.database,
        worker=name,
        queues=parts.settings.worker.queues,
        types=None if EVERY_TYPE in handlers.types else handlers.types,
        poll_s=parts.settings.worker.poll_s,
        clock=parts.clock,
        randomness=parts.randomness,
        idle_backoff=idle_backoff,
    )


def _worker(
    parts: ProcessContext,
    pool: Pool,
    transport: Transport,
    end_process: ProcessEnd,
    *,
    until_idle: bool = False,
) -> Worker:
    settings = parts.settings
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
        parts.database,
        options,
        transport=transport,
        keeper=_lease_keeper(parts, pool),
        handlers=pool.handlers,
        policy=EndPolicy(retry_policy(parts), parts.randomness),
        first_claims=parts.first_claims,
        lines=_line_limits(parts),
        clock=parts.clock,
        process_end=end_process,
        spans=None if parts.traces is None else AttemptSpans(parts.traces, worker=pool.name),
        unwritten=parts.unwritten.extend,
    )


def _lease_keeper(parts: ProcessContext, pool: Pool) -> LeaseKeeper:
    card = WorkerCard(
        name=pool.name,
        queues=parts.settings.worker.queues,
        types=list(pool.handlers.types),
        slots=pool.slots,
    )
    return LeaseKeeper(
        parts.database,
        card,
        ttl_s=parts.settings.lease.ttl_s,
        ids=IdFactory(parts.clock, random.Random()),  # noqa: S311 - for its thread alone
        clock=parts.clock,
    )


def _line_limits(parts: ProcessContext) -> LineLimits:
    kept = parts.settings.task_log
    return LineLimits(
        level=NOTHING if kept.level == "off" else LineLevel(kept.level).number,
        claim_lines=kept.claim_lines,
        claim_bytes=kept.claim_bytes,
        message_chars=kept.message_chars,
        fields_bytes=kept.fields_bytes,
        waiting_bytes=kept.waiting_bytes,
    )


class Drainer:
    """Starts a worker for what waits when the earlier service's address asks; one at a time of all processes."""

    name = "drainer"

    def __init__(self, parts: ProcessContext) -> None:
        self._parts = parts
        self._asked = asyncio.Event()

    def drain(self) -> None:
        """Start a worker soon, unless one that was started so still works."""
        self._asked.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Run one worker after the other, as asked."""
        async with wake_on(stop, self._asked.set):
            while not stop.is_set():
                await self._asked.wait()
                self._asked.clear()
                while not (stop.is_set() or await self._has_drained(stop)):
                    await pause(stop, _DRAIN_AGAIN_S)

    async def _has_drained(self, stop: asyncio.Event) -> bool:
        """Run a worker; False when another process has one now, or the database is away."""
        try:
            async with drain_lock(self._parts.database) as is_ours:
                if is_ours:
                    await self._worker().run(stop)
                return is_ours
        except Unavailable as error:
            log.warning("drain.delayed", error=repr(error.__cause__ or error))
            return False

    def _worker(self) -> Worker:
        """Return a worker that claims from PostgreSQL, whatever the policy, and ends when nothing is due."""
        parts = self._parts
        pool = built_in_pool(parts, f"{parts.settings.worker.name}-drain")
        direct = _direct(parts, pool.name, pool.handlers)
        # It is a guest in its process, which goes on: asked to stop, it takes no more, and ends so.
        return _worker(parts, pool, direct, ProcessEnd(lambda: None), until_idle=True)
