"""Puts workers together: transport, lease, handlers, finishing."""

import asyncio
import random
from datetime import timedelta

from taskmill.composition.outgoing import open_outbound, signer
from taskmill.composition.parts import Parts
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.task_log import LineLevel
from taskmill.runtime.ids import IdFactory
from taskmill.runtime.services import Service
from taskmill.storage.doorbell import DoorbellListener
from taskmill.storage.leases import WorkerCard
from taskmill.transports.base import Transport
from taskmill.transports.postgres import PostgresTransport
from taskmill.wire.push import TYPE as PUSH
from taskmill.worker.emulation import Emulation, Profile
from taskmill.worker.finishing import Finishing
from taskmill.worker.handlers import EVERY_TYPE, Handler, Handlers
from taskmill.worker.lease import LeaseKeeper
from taskmill.worker.loop import Worker
from taskmill.worker.task_log import NOTHING, LineLimits, TaskLog
from taskmill.worker.traced import AttemptSpans, telling


def worker_services(parts: Parts) -> list[Service]:
    """Return the services of the worker role."""
    name, handlers = parts.settings.worker.name, _handlers(parts)
    direct = _direct(parts, name, handlers)
    if not parts.settings.uses_broker:
        listener = DoorbellListener(parts.database, direct.wake)
        return [listener, _worker(parts, name, handlers, direct)]
    # Here, because the driver takes 0.1 s to import, and who has no broker does without it.
    from taskmill.transports.rabbitmq import RabbitTransport  # noqa: PLC0415

    hinted = RabbitTransport(
        parts.database,
        broker_url=parts.settings.require_broker_url(),
        worker=name,
        queues=parts.settings.worker.queues,
        types=None if EVERY_TYPE in handlers.types else handlers.types,
        fallback=direct if parts.settings.broker == "auto" else None,
        clock=parts.clock,
    )
    listener = DoorbellListener(parts.database, hinted.wake)
    return [hinted, listener, _worker(parts, name, handlers, hinted)]


def _handlers(parts: Parts) -> Handlers:
    emulation = parts.settings.emulation
    profile = Profile(
        delay_min_s=emulation.delay_min_s,
        delay_max_s=emulation.delay_max_s,
        failure_probability=emulation.failure_probability,
    )
    emulated: Handler = Emulation(profile, parts.randomness)
    handlers = dict.fromkeys(("emulate", *emulation.types), emulated)
    if PUSH not in handlers:
        handlers[PUSH] = _push(parts)
    if parts.traces is not None:
        handlers = {kind: telling(handler) for kind, handler in handlers.items()}
    return Handlers(
        handlers,
        exclusive=parts.settings.worker.exclusive_types,
    )


def _push(parts: Parts) -> Handler:
    # Here, because the HTTP client takes 0.1 s to import, and the API needs it for a drain only.
    from taskmill.worker.push import Push  # noqa: PLC0415

    settings = parts.settings.outbound
    return Push(
        open_outbound(parts),
        signer(parts),
        parts.clock,
        timeout_s=settings.timeout_s,
        longest_wait=timedelta(seconds=settings.retry_after_s),
        result_bytes=parts.settings.limits.result_bytes,
    )


def _direct(parts: Parts, name: str, handlers: Handlers) -> PostgresTransport:
    return PostgresTransport(
        parts.database,
        worker=name,
        queues=parts.settings.worker.queues,
        accepts=handlers.accepts,
        poll_s=parts.settings.worker.poll_s,
        clock=parts.clock,
        randomness=parts.randomness,
    )


def _worker(
    parts: Parts,
    name: str,
    handlers: Handlers,
    transport: Transport,
    *,
    until_idle: bool = False,
) -> Worker:
    settings = parts.settings
    return Worker(
        parts.database,
        worker=name,
        transport=transport,
        keeper=_lease_keeper(parts, name, handlers),
        finishing=Finishing(
            parts.database,
            worker=name,
            policy=_retry_policy(parts),
            clock=parts.clock,
            randomness=parts.randomness,
            batch_size=settings.worker.claim_size,
        ),
        task_log=TaskLog(parts.database, limits=_line_limits(parts), clock=parts.clock),
        handlers=handlers,
        clock=parts.clock,
        slots=settings.worker.concurrency,
        claim_size=settings.worker.claim_size,
        grace_s=settings.worker.grace_s,
        patience_s=settings.worker.patience_s,
        result_bytes=settings.limits.result_bytes,
        until_idle=until_idle,
        spans=None if parts.traces is None else AttemptSpans(parts.traces, worker=name),
    )


def _lease_keeper(parts: Parts, name: str, handlers: Handlers) -> LeaseKeeper:
    card = WorkerCard(
        name=name,
        queues=parts.settings.worker.queues,
        types=list(handlers.types),
        slots=parts.settings.worker.concurrency,
    )
    return LeaseKeeper(
        parts.database,
        card,
        ttl_s=parts.settings.lease.ttl_s,
        ids=IdFactory(parts.clock, random.Random()),  # noqa: S311 - for its thread alone
        clock=parts.clock,
    )


def _line_limits(parts: Parts) -> LineLimits:
    kept = parts.settings.task_log
    return LineLimits(
        level=NOTHING if kept.level == "off" else LineLevel(kept.level).number,
        claim_lines=kept.claim_lines,
        claim_bytes=kept.claim_bytes,
        message_chars=kept.message_chars,
        fields_bytes=kept.fields_bytes,
        waiting_bytes=kept.waiting_bytes,
    )


def _retry_policy(parts: Parts) -> RetryPolicy:
    retry = parts.settings.retry
    return RetryPolicy(
        base=timedelta(seconds=retry.base_s),
        factor=retry.factor,
        maximum=timedelta(seconds=retry.max_s),
        jitter=retry.jitter,
    )


class Drainer:
    """Starts a worker for what waits when the earlier service's address asks for one; one at a time."""

    name = "drainer"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._asked = asyncio.Event()

    def drain(self) -> None:
        """Start a worker soon, unless one that was started so still works."""
        self._asked.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Run one worker after the other, as asked."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._end(stop))
            while not stop.is_set():
                await self._asked.wait()
                self._asked.clear()
                if not stop.is_set():
                    await self._worker().run(stop)

    def _worker(self) -> Worker:
        """Return a worker that claims from PostgreSQL, whatever the policy, and ends when nothing is due."""
        parts = self._parts
        name, handlers = f"{parts.settings.worker.name}-drain", _handlers(parts)
        return _worker(parts, name, handlers, _direct(parts, name, handlers), until_idle=True)

    async def _end(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._asked.set()
